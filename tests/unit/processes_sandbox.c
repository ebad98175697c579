/* processes_sandbox.c - a worker that was closed in computes, and can do nothing else: every system
 * call that is not on its list is tried. */
#include "processes_help.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

/* Beyond the last one of this kernel, which are then refused as well. */
enum { CALLS = 600 };

/* What computing takes, and what takes some arguments alone: tried by name below. */
static const long allowed[] = {
    SYS_brk,
    SYS_clock_getres,
    SYS_clock_gettime,
    SYS_clock_nanosleep,
    SYS_close,
    SYS_epoll_create1,
    SYS_epoll_ctl,
    SYS_epoll_pwait,
    SYS_epoll_pwait2,
    SYS_eventfd2,
    SYS_exit,
    SYS_exit_group,
    SYS_fstat,
    SYS_futex,
    SYS_getcpu,
    SYS_getpid,
    SYS_getrandom,
    SYS_getrusage,
    SYS_gettid,
    SYS_gettimeofday,
    SYS_lseek,
    SYS_madvise,
    SYS_membarrier,
    SYS_mremap,
    SYS_munmap,
    SYS_nanosleep,
    SYS_ppoll,
    SYS_read,
    SYS_readv,
    SYS_restart_syscall,
    SYS_rseq,
    SYS_rt_sigaction,
    SYS_rt_sigpending,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_rt_sigtimedwait,
    SYS_sched_getaffinity,
    SYS_sched_yield,
    SYS_set_robust_list,
    SYS_sigaltstack,
    SYS_sysinfo,
    SYS_times,
    SYS_write,
    SYS_writev,
#ifdef __x86_64__
    SYS_epoll_wait,
    SYS_poll,
    SYS_time,
#endif
};
/* And two of the kernel's own on x86-64, since 6.11 and 6.18: it lets them through, and they do
 * nothing but on pages that it has made. */
static const long in_part[] = {
#ifdef __x86_64__
    335,      336,
#endif
    SYS_mmap, SYS_mprotect, SYS_clone, SYS_clone3, SYS_prctl, SYS_tgkill};

struct look {
    unsigned refused;
    long got_through; /* the first that was not refused; -1: none */
    bool dies;
};

static bool is_in(const long *list, size_t n, long call) {
    for (size_t i = 0; i < n; i++)
        if (list[i] == call)
            return true;
    return false;
}

#define IS_IN(list, call) is_in(list, sizeof(list) / sizeof((list)[0]), call)

static int try_all(struct look *l) {
    l->got_through = -1;
    for (long call = 0; call < CALLS; call++) {
        if (IS_IN(allowed, call) || IS_IN(in_part, call))
            continue;
        if (syscall(call, -1L, -1L, -1L, -1L, -1L, -1L) != -1 || errno != EPERM) {
            l->got_through = call;
            return 0;
        }
        l->refused++;
    }
    return 0;
}
TRINE_TASK(try_all, struct look);

#define REFUSED(call) (errno = 0, (call) < 0 && errno == EPERM)

static int try_some(struct look *l) {
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED);
    CHECK(REFUSED(mprotect(page, 4096, PROT_READ | PROT_EXEC)));
    CHECK(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
              MAP_FAILED &&
          errno == EPERM);
    CHECK(REFUSED(open("/etc/passwd", O_RDONLY)));
    CHECK(REFUSED(open("/tmp/trine-sandbox", O_WRONLY | O_CREAT, 0600)));
    CHECK(REFUSED(socket(AF_INET, SOCK_STREAM, 0)));
    CHECK(REFUSED(fork()));
    CHECK(REFUSED(kill(1, 0)));
    CHECK(REFUSED(syscall(SYS_tgkill, 1, 1, SIGKILL)));
    CHECK(REFUSED(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)));
    errno = 0;
    CHECK(syscall(SYS_clone3, NULL, 0) < 0 && errno == ENOSYS);
    char byte;
    CHECK_EQ(read(STDIN_FILENO, &byte, 1), 0);
    CHECK_EQ(write(STDOUT_FILENO, "nobody reads this\n", 18), 18);
    l->got_through = 0;
    return 0;
}
TRINE_TASK(try_some, struct look);

static void *count_up(void *arg) {
    *(unsigned *)arg += 1;
    return NULL;
}

struct nothing {
    int unused;
};

static int nap(struct nothing *n) {
    (void)n;
    return trine_sleep(TRINE_MS(1));
}
TRINE_TASK(nap, struct nothing);

static int nap_together(struct look *l) {
    (void)l;
    struct nothing n = {0};
    TRINE_SCOPE(s);
    for (int i = 0; i < 100; i++)
        trine_spawn(s, nap, &n);
    return trine_join(s);
}
TRINE_TASK(nap_together, struct look);

/* Memory, threads, a loop with coroutines, a pool of its own, time, chance. */
static int compute(struct look *l) {
    struct nothing many[8] = {{0}};
    struct timespec now;
    char *large = malloc(64 << 20);
    pthread_t thread;
    trine_executor *pool;
    CHECK(large);
    memset(large, 1, 64 << 20);
    free(large);
    CHECK_EQ(clock_gettime(CLOCK_REALTIME, &now), 0);
    CHECK_EQ(pthread_create(&thread, NULL, count_up, &l->refused), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_OK(trine_run(nap_together, l));
    CHECK_OK(trine_threads_open(&pool, TRINE_OPTS(trine_threads_opts, .workers = 2)));
    CHECK_OK(trine_map_all(pool, nap, many, 8));
    trine_executor_close(&pool);
    return 0;
}
TRINE_TASK(compute, struct look);

static int crash(struct look *l) {
    volatile uintptr_t nowhere = 8; /* the compiler is not to know */
    *(volatile int *)nowhere = l->dies;
    return 0;
}
TRINE_TASK(crash, struct look);

static int stop(struct look *l) {
    (void)l;
    abort();
}
TRINE_TASK(stop, struct look);

static trine_executor *open_sandbox(void) {
    const trine_processes_opts opts = {.size = sizeof(opts), .workers = 1, .sandbox = true};
    trine_executor *pool = NULL;
    int r = trine_processes_open(&pool, &opts);
    if (r == -ENOTSUP)
        test_skip("no seccomp here");
    CHECK_OK(r);
    return pool;
}

TEST(every_call_that_is_not_on_the_list_is_refused) {
    trine_executor *pool = open_sandbox();
    struct look l = {0};
    CHECK_OK(trine_map_all(pool, try_all, &l, 1));
    CHECK_EQ(l.got_through, -1);
    CHECK(l.refused > 500);
    trine_executor_close(&pool);
}

TEST(calls_that_compute_with_some_arguments_have_no_others) {
    trine_executor *pool = open_sandbox();
    struct look l = {.got_through = -1};
    CHECK_OK(trine_map_all(pool, try_some, &l, 1));
    CHECK_EQ(l.got_through, 0);
    trine_executor_close(&pool);
}

TEST(a_worker_that_is_closed_in_computes) {
    trine_executor *pool = open_sandbox();
    struct look l = {0};
    CHECK_OK(trine_map_all(pool, compute, &l, 1));
    CHECK_EQ(l.refused, 1);
    trine_executor_close(&pool);
}

TEST(what_it_dies_of_is_told_as_ever) {
    trine_executor *pool = open_sandbox();
    struct look l = {0};
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    trine_future *wrong = trine_start(s, pool, crash, &l), *ends = trine_start(s, pool, stop, &l);
    trine_join(s);
    CHECK_EQ(trine_status(wrong), -EOWNERDEAD);
    CHECK_EQ(trine_error_of(wrong)->signal, SIGSEGV);
    CHECK_EQ(trine_error_of(wrong)->address, 8);
    CHECK_EQ(trine_error_of(ends)->signal, SIGABRT);
    trine_executor_close(&pool);
}

static int fd_of_file = -1;

static int read_file(struct look *l) {
    (void)l;
    fd_of_file = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    return fd_of_file < 0 ? -errno : 0;
}
TRINE_TASK(read_file, struct look);

static int has_file(struct look *l) {
    char text[16];
    l->refused = read(fd_of_file, text, 5) == 5 && memcmp(text, "Name:", 5) == 0;
    return 0;
}
TRINE_TASK(has_file, struct look);

TEST(what_on_start_has_opened_stays) {
    trine_executor *pool = NULL;
    const trine_processes_opts opts = {.size = sizeof(opts),
                                       .workers = 1,
                                       .on_start = &read_file_task,
                                       .sandbox = true};
    int r = trine_processes_open(&pool, &opts);
    if (r == -ENOTSUP)
        test_skip("no seccomp here");
    CHECK_OK(r);
    struct look l = {0};
    CHECK_OK(trine_map_all(pool, has_file, &l, 1));
    CHECK_EQ(l.refused, 1);
    trine_executor_close(&pool);
}
