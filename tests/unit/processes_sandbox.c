/* processes_sandbox.c - a worker that was closed in computes, and can do nothing else: every system
 * call that is not on its list is tried. The walls behind that are tried by themselves. */
#include "processes_help.h"

#include <trine/queue.h>

#include "exec/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
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
    335,         336,
#endif
    SYS_madvise, SYS_mmap, SYS_mprotect, SYS_clone, SYS_clone3, SYS_prctl, SYS_tgkill};

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
    CHECK(REFUSED(madvise(page, 0, 100))); /* MADV_HWPOISON, of no page; MADV_SOFT_OFFLINE */
    CHECK(REFUSED(madvise(page, 0, 101)));
    CHECK(REFUSED(syscall(SYS_madvise, page, 0L, 100L | 1L << 32)));
    errno = 0;
    CHECK(!REFUSED(madvise(page, 4096, 103))); /* MADV_GUARD_REMOVE, of Linux 6.13 */
    CHECK_OK(madvise(page, 4096, MADV_DONTNEED));
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

/* --- by another machine's door --- */

#ifdef __x86_64__

/* getppid harms nobody, is on no list, and says by itself that it was carried out. */
static int by_x32(struct look *l) {
    errno = 0;
    l->got_through = syscall(SYS_getppid | 0x40000000);
    return l->got_through < 0 ? -errno : 0;
}
TRINE_TASK(by_x32, struct look);

static int by_interrupt(struct look *l) {
    enum { GETPPID_OF_I386 = 64 };
    long r = GETPPID_OF_I386;
    __asm__ volatile("int $0x80" : "+a"(r)::"memory", "cc", "r8", "r9", "r10", "r11");
    l->got_through = (int)r;
    return (int)r < 0 ? (int)r : 0;
}
TRINE_TASK(by_interrupt, struct look);

/* It dies or is told EPERM. ENOSYS is no refusal of ours: on another kernel it would be done. */
static void check_never_done(const trine_task *task) {
    trine_executor *pool = open_sandbox();
    struct look l = {0};
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    trine_future *f = trine_start_task(s, pool, task, &l, "here");
    trine_join(s);
    int status = trine_status(f);
    int signal = status < 0 ? trine_error_of(f)->signal : 0;
    CHECK_EQ(l.got_through, 0); /* it comes back when the call was done */
    /* SIGSEGV: of a kernel that has no such interrupt */
    if (status != -EPERM && (status != -EOWNERDEAD || (signal != SIGSYS && signal != SIGSEGV)))
        test_fail(__FILE__, __LINE__, "status %d, signal %d", status, signal);
    trine_scope_close(&s);
    trine_executor_close(&pool);
}

TEST(calls_by_the_numbers_of_x32_are_never_done) {
    check_never_done(&by_x32_task);
}

TEST(calls_by_the_interrupt_of_i386_are_never_done) {
    check_never_done(&by_interrupt_task);
}

#endif

/* --- the other walls --- */

struct who {
    pid_t pid;
};

static int tell_pid(struct who *w) {
    w->pid = getpid();
    return 0;
}
TRINE_TASK(tell_pid, struct who);

/* The columns behind a name in a file of /proc. */
static void check_proc(pid_t pid, const char *file, const char *name, const char *expected) {
    char path[64], line[256], found[256] = "";
    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
    FILE *f = fopen(path, "re");
    CHECK(f);
    while (fgets(line, sizeof(line), f))
        if (strncmp(line, name, strlen(name)) == 0) {
            char first[32] = "", second[32] = "";
            sscanf(line + strlen(name), "%31s %31s", first, second);
            snprintf(found, sizeof(found), "%s %s", first, second);
        }
    fclose(f);
    if (strcmp(found, expected) != 0)
        test_fail(__FILE__, __LINE__, "%s of %s is %s", name, path, found);
}

TEST(a_worker_that_is_closed_in_leaves_no_core_and_has_few_descriptors) {
    struct rlimit core;
    CHECK_EQ(getrlimit(RLIMIT_CORE, &core), 0);
    core.rlim_cur = core.rlim_max; /* a worker of no sandbox has the program's */
    CHECK_EQ(setrlimit(RLIMIT_CORE, &core), 0);
    trine_executor *pool = open_sandbox();
    struct who w = {0};
    CHECK_OK(trine_map_all(pool, tell_pid, &w, 1));
    check_proc(w.pid, "limits", "Max core file size", "0 0");
    check_proc(w.pid, "limits", "Max open files", "64 64");
    check_proc(w.pid, "status", "NoNewPrivs:", "1 ");
    check_proc(w.pid, "status", "Seccomp:", "2 ");
    trine_executor_close(&pool);
}

#define NO_ACCESS(call) (errno = 0, (call) < 0 && errno == EACCES)

static bool may_have_port(void) {
    struct sockaddr_in any = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool may = fd < 0 || !NO_ACCESS(bind(fd, (struct sockaddr *)&any, sizeof(any)));
    close(fd);
    return may;
}

/* In a process of its own; exits with the number of the first wall that is none. */
_Noreturn static void stand_behind_landlock(const char *dir, long version) {
    char path[64];
    int there = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    if (there < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || sandbox_forbid_files() < 0)
        _exit(1);
    snprintf(path, sizeof(path), "%s/file", dir);
    if (!NO_ACCESS(open(path, O_RDONLY | O_CLOEXEC)))
        _exit(2);
    if (!NO_ACCESS(open(path, O_WRONLY | O_CLOEXEC)))
        _exit(3);
    if (!NO_ACCESS(open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)))
        _exit(4);
    if (!NO_ACCESS(unlink(path)))
        _exit(5);
    snprintf(path, sizeof(path), "%s/new", dir);
    if (!NO_ACCESS(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)))
        _exit(6);
    if (!NO_ACCESS(symlink("file", path)) || !NO_ACCESS(mkdir(path, 0700)))
        _exit(7);
    if (version >= 4 && may_have_port())
        _exit(8);
    char text[5];
    if (read(there, text, 5) != 5 || memcmp(text, "Name:", 5) != 0)
        _exit(9); /* what was open before stays */
    _exit(0);
}

/* seccomp is before it and so hides it in a worker. */
TEST(landlock_by_itself_forbids_files_and_ports) {
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 1 || sandbox_check() < 0)
        test_skip("no Landlock here");
    char dir[] = "/tmp/trine-test-XXXXXX", file[64];
    CHECK(mkdtemp(dir));
    snprintf(file, sizeof(file), "%s/file", dir);
    int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600), status = -1;
    CHECK(fd >= 0);
    close(fd);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        stand_behind_landlock(dir, version);
    CHECK_EQ(waitpid(child, &status, 0), child);
    unlink(file);
    rmdir(dir);
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), 0);
}

/* --- what processes share is out of its reach --- */

struct shares {
    trine_shared memory;
    trine_queue items, messages;
    trine_counter counter;
    trine_shared_mutex mutex;
    int got[7];
};

static int try_shares(struct shares *s) {
    void *memory;
    char item = 0;
    trine_buf message = {0};
    s->got[0] = trine_shared_map(&s->memory, &memory);
    s->got[1] = trine_queue_put(&s->items, &item);
    s->got[2] = trine_queue_get(&s->items, &item);
    s->got[3] = trine_queue_put_bytes(&s->messages, (trine_bytes){"x", 1});
    s->got[4] = trine_queue_get_bytes(&s->messages, &message);
    s->got[5] = trine_counter_add(&s->counter, 1, NULL);
    s->got[6] = trine_shared_mutex_try_lock(&s->mutex);
    trine_buf_free(&message);
    return 0;
}
TRINE_TASK(try_shares, struct shares);

TEST(what_processes_share_is_refused_to_a_worker_that_is_closed_in) {
    trine_executor *pool = open_sandbox();
    struct shares s = {.got = {0}};
    char item = 1;
    CHECK_OK(trine_shared_open(1, &s.memory));
    CHECK_OK(trine_queue_open(1, 4, &s.items));
    CHECK_OK(trine_queue_open_bytes(64, &s.messages));
    CHECK_OK(trine_counter_open(&s.counter));
    CHECK_OK(trine_shared_mutex_open(&s.mutex));
    CHECK_OK(trine_queue_put(&s.items, &item)); /* so that a get would not wait */
    CHECK_OK(trine_queue_put_bytes(&s.messages, (trine_bytes){"x", 1}));
    CHECK_OK(trine_map_all(pool, try_shares, &s, 1));
    for (int i = 0; i < 7; i++)
        CHECK_EQ(s.got[i], -EPERM);
    CHECK_EQ(trine_queue_count(&s.items), 1);
    CHECK_EQ(trine_queue_count(&s.messages), 1);
    trine_shared_free(&s.memory);
    trine_queue_free(&s.items);
    trine_queue_free(&s.messages);
    trine_counter_free(&s.counter);
    trine_shared_mutex_free(&s.mutex);
    trine_executor_close(&pool);
}
