/* processes_crash.c - what is known of a worker that crashed; tasks that have a time limit of their
 * own, and limits of a worker. */
#include "processes_help.h"

#include <trine/task.h>

#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>

enum how { BY_ACCESS, BY_ACCESS_AFTER_A_LOOP, BY_ABORT, BY_DIVISION, BY_KILL, BY_EXIT, BY_LIES };

struct crash {
    enum how how;
    int unused;
};

static volatile int zero;

static int just_return(struct crash *c) {
    (void)c;
    return 0;
}
TRINE_TASK(just_return, struct crash);

__attribute__((noinline)) static int fault_here(enum how how) {
    switch (how) {
    case BY_ACCESS:
        *(volatile int *)(uintptr_t)0x1230 = 1; // NOLINT: it is what is tested
        break;
    case BY_ACCESS_AFTER_A_LOOP: /* which has put its own handler before the worker's */
        CHECK_OK(trine_run(just_return, &(struct crash){0}));
        *(volatile int *)(uintptr_t)0x1230 = 1; // NOLINT: it is what is tested
        break;
    case BY_ABORT:
        abort();
    case BY_DIVISION:
        raise(SIGFPE);
        break;
    case BY_KILL:
        raise(SIGKILL);
        break;
    default:
        _exit(7);
    }
    return zero;
}

__attribute__((noinline)) static int on_the_way(enum how how) {
    int r = fault_here(how);
    __asm__ volatile("" ::: "memory"); /* so that it is no tail call */
    return r + zero;
}

static int crash(struct crash *c) {
    return on_the_way(c->how);
}
TRINE_TASK(crash, struct crash);

static void check_crash(enum how how, int signal, uint64_t address) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    struct crash c = {.how = how};
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    trine_future *f = trine_start(s, pool, crash, &c);
    CHECK_EQ(trine_join(s), -EOWNERDEAD);
    const trine_error *e = trine_error_of(f);
    trine_error listed;
    CHECK_EQ(e->signal, signal);
    CHECK_EQ(e->address, address);
    CHECK_STR(e->task, "crash");
    CHECK_EQ(trine_errors(s, &listed, 1), 1);
    CHECK_STR(listed.task, "crash");
    CHECK_EQ(listed.backtrace, e->backtrace);
    if (how == BY_KILL || how == BY_EXIT) {
        CHECK(!e->backtrace);
    } else {
        CHECK(e->backtrace);
        const char *inner = strstr(e->backtrace, " fault_here"); /* or its .cold part */
        const char *outer = strstr(e->backtrace, " on_the_way+0x");
        if (!inner || !outer || outer < inner || strncmp(e->backtrace, "#0 ", 3) != 0)
            test_fail(__FILE__, __LINE__, "the calls are: %s", e->backtrace);
    }
    trine_scope_close(&s);
    trine_executor_close(&pool);
}

TEST(a_wrong_access_tells_its_address_and_its_calls) {
    check_crash(BY_ACCESS, SIGSEGV, 0x1230);
}

TEST(a_wrong_access_after_a_loop_of_its_own_is_no_other) {
    check_crash(BY_ACCESS_AFTER_A_LOOP, SIGSEGV, 0x1230);
}

TEST(an_abort_tells_its_calls) {
    check_crash(BY_ABORT, SIGABRT, 0);
}

TEST(a_signal_that_was_raised_tells_its_calls) {
    check_crash(BY_DIVISION, SIGFPE, 0);
}

TEST(a_kill_and_an_exit_leave_none) {
    check_crash(BY_KILL, SIGKILL, 0);
    check_crash(BY_EXIT, 0, 0);
}

/* --- on the signal stack --- */

struct reach {
    unsigned depth;
    int sum;
};

/* Each call has a frame of its own, which its caller looks at afterwards. */
__attribute__((noinline)) static int dig(unsigned depth) {
    volatile unsigned char frame[512];
    frame[0] = (unsigned char)depth;
    frame[sizeof(frame) - 1] = 1;
    return depth ? dig(depth - 1) + frame[0] + frame[sizeof(frame) - 1] : frame[0];
}

/* The kernel grows a stack up to the limit of the moment: a smaller one fills in no time, and if it
 * is unlimited not the whole memory. */
static int dig_deep(struct reach *r) {
    struct rlimit limit;
    CHECK_EQ(getrlimit(RLIMIT_STACK, &limit), 0);
    limit.rlim_cur = (rlim_t)1 << 20;
    CHECK_EQ(setrlimit(RLIMIT_STACK, &limit), 0);
    r->sum = dig(r->depth);
    return 0;
}
TRINE_TASK(dig_deep, struct reach);

TEST(a_stack_that_is_full_tells_its_address_and_its_calls) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    struct reach little = {.depth = 10}, much = {.depth = 1u << 20};
    CHECK_OK(trine_map_all(pool, dig_deep, &little, 1));
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    trine_future *f = trine_start(s, pool, dig_deep, &much);
    CHECK_EQ(trine_join(s), -EOWNERDEAD);
    const trine_error *e = trine_error_of(f);
    CHECK_EQ(e->signal, SIGSEGV);
    CHECK(e->address != 0);
    CHECK_STR(e->task, "dig_deep");
    if (!e->backtrace || !strstr(e->backtrace, " dig+0x"))
        test_fail(__FILE__, __LINE__, "the calls are: %s", e->backtrace ? e->backtrace : "none");
    trine_scope_close(&s);
    trine_executor_close(&pool);
}

struct paper {
    unsigned pages;
    int sum;
};

/* Says before where it will go, since no result comes back. */
static int read_what_is_gone(struct paper *p) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), size = p->pages * page;
    int fd = memfd_create("cut", MFD_CLOEXEC);
    CHECK(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
    volatile unsigned char *bytes = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    CHECK(bytes != MAP_FAILED);
    uint64_t at = (uint64_t)(uintptr_t)&bytes[page + 8];
    CHECK_OK(trine_progress(&at, sizeof(at)));
    CHECK_EQ(bytes[page + 8], 0);
    CHECK_EQ(ftruncate(fd, (off_t)page), 0);
    p->sum = bytes[page + 8];
    return 0;
}
TRINE_TASK(read_what_is_gone, struct paper);

TEST(a_file_that_was_cut_short_tells_the_address) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    trine_channel *places = trine_channel_new(sizeof(trine_buf), 1);
    struct paper p = {.pages = 3};
    trine_buf piece;
    CHECK(places);
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    trine_future *f = trine_start_opts(s, pool, read_what_is_gone, &p, .progress = places);
    CHECK_EQ(trine_join(s), -EOWNERDEAD);
    CHECK_OK(trine_channel_try_recv(places, &piece));
    CHECK_EQ(piece.len, sizeof(uint64_t));
    uint64_t at;
    memcpy(&at, piece.ptr, sizeof(at));
    const trine_error *e = trine_error_of(f);
    CHECK_EQ(e->signal, SIGBUS);
    CHECK(at != 0);
    CHECK_EQ(e->address, at);
    CHECK(e->backtrace && strstr(e->backtrace, " read_what_is_gone"));
    trine_buf_free(&piece);
    trine_scope_close(&s);
    trine_channel_free(&places);
    trine_executor_close(&pool);
}

/* --- time of its own --- */

struct run {
    int us; /* it sleeps that long */
    pid_t pid;
};

static int sleeps(struct run *r) {
    usleep((useconds_t)r->us);
    r->pid = getpid();
    return 0;
}
TRINE_TASK(sleeps, struct run);

static int note_pid(struct run *r) {
    r->pid = getpid();
    return 0;
}
TRINE_TASK(note_pid, struct run);

TEST(a_task_has_a_time_limit_of_its_own) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 2});
    struct run slow = {.us = 600000000}, other = {.us = 500000};
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    trine_future *f = trine_start_opts(s, pool, sleeps, &slow, .timeout = TRINE_MS(200));
    trine_future *g = trine_start(s, pool, sleeps, &other);
    CHECK_EQ(trine_join(s), -ETIME);
    CHECK_EQ(trine_status(f), -ETIME);
    CHECK(strstr(trine_error_of(f)->detail, "time limit of 0.2 s"));
    CHECK_OK(trine_status(g));
    trine_scope_close(&s);
    trine_executor_close(&pool);
}

TEST(a_time_limit_of_its_own_replaces_the_pools) {
    trine_executor *pool =
        pool_open((trine_processes_opts){.workers = 1, .task_timeout = TRINE_MS(100)});
    struct run a = {.us = 400000}, b = {.us = 400000};
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    trine_future *f = trine_start_opts(s, pool, sleeps, &a, .timeout = TRINE_SEC(50));
    trine_future *g = trine_start_opts(s, pool, sleeps, &b, .name = "impatient");
    CHECK_EQ(trine_join(s), -ETIME);
    CHECK_OK(trine_status(f));
    CHECK_EQ(trine_status(g), -ETIME);
    CHECK_STR(trine_error_of(g)->task, "impatient");
    trine_scope_close(&s);
    trine_executor_close(&pool);
}

/* --- limits of a worker --- */

static int computes(struct run *r) {
    for (volatile uint64_t i = 0;; i++)
        r->us = (int)i;
    return 0;
}
TRINE_TASK(computes, struct run);

TEST(a_worker_over_its_cpu_time_ends_with_its_task) {
    trine_executor *pool =
        pool_open((trine_processes_opts){.workers = 1, .limit_cpu = TRINE_MS(500)});
    struct run a = {.us = 0}, b = {.us = 0};
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    trine_future *f = trine_start(s, pool, computes, &a);
    trine_future *g = trine_start(s, pool, note_pid, &b);
    CHECK_EQ(trine_join(s), -EOWNERDEAD);
    CHECK_EQ(trine_error_of(f)->signal, SIGXCPU);
    CHECK_OK(trine_status(g));
    trine_scope_close(&s);
    trine_executor_close(&pool);
}

static void check_replaced(trine_processes_opts opts, const trine_task *task) {
    trine_executor *pool = pool_open(opts);
    struct run first = {.us = 0}, last = {.us = 0};
    CHECK_OK(trine_map_all_task(pool, task, &first, 1, "here"));
    for (int i = 0; i < 200 && (!last.pid || last.pid == first.pid); i++) {
        struct run many[20] = {{0}};
        CHECK_OK(trine_sleep(TRINE_MS(10)));
        CHECK_OK(trine_map_all_task(pool, task, many, 20, "here"));
        for (int k = 0; k < 20; k++)
            CHECK(many[k].pid > 0);
        last = many[19];
    }
    CHECK(last.pid != first.pid);
    trine_executor_close(&pool);
}

TEST(a_worker_of_age_is_replaced_and_no_task_lost) {
    check_replaced((trine_processes_opts){.workers = 1, .max_age = TRINE_MS(100)}, &note_pid_task);
}

static int leaks(struct run *r) {
    char *memory = malloc(1 << 20);
    if (!memory)
        return -ENOMEM;
    memset(memory, 1, 1 << 20);
    __asm__ volatile("" ::"r"(memory) : "memory");
    r->pid = getpid();
    return 0; // the leak is what is tested
}
TRINE_TASK(leaks, struct run);

TEST(a_worker_that_leaks_is_replaced) {
    check_replaced((trine_processes_opts){.workers = 1, .max_resident = (size_t)100 << 20},
                   &leaks_task);
}

/* Never idle, since each task has the next one behind it. */
TEST(a_worker_of_age_is_replaced_also_if_it_always_has_work) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1, .max_age = TRINE_MS(50)});
    struct run t[200];
    for (int i = 0; i < 200; i++)
        t[i] = (struct run){.us = 1000};
    CHECK_OK(trine_map_all(pool, sleeps, t, 200));
    CHECK(t[199].pid != t[0].pid);
    trine_executor_close(&pool);
}

/* An answer that comes at the very end of its time must not cost the task behind it its life. */
TEST(a_task_behind_one_that_ends_at_its_limit_has_its_own_time) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    for (int i = 0; i < 300; i++) {
        struct run first = {.us = 4700 + i}, behind = {.us = 100};
        TRINE_SCOPE(s, .policy = TRINE_COLLECT);
        trine_start_opts(s, pool, sleeps, &first, .timeout = TRINE_MS(5));
        trine_future *f = trine_start(s, pool, sleeps, &behind);
        trine_join(s);
        CHECK_OK(trine_status(f));
        trine_scope_close(&s);
    }
    trine_executor_close(&pool);
}
