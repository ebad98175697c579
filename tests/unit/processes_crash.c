/* processes_crash.c - what is known of a worker that crashed; tasks that are repeated, and those
 * that have a time limit of their own. */
#include "processes_help.h"

#include <trine/task.h>

#include <fcntl.h>

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
    CHECK_EQ(trine_errors(s, &listed, 1), 1);
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

/* --- repeated tasks --- */

struct again {
    char path[64]; /* a byte for each time it ran */
    int deaths;    /* so often it kills its worker */
    pid_t pid;
};

static int dies_some_times(struct again *a) {
    int fd = open(a->path, O_RDWR | O_APPEND | O_CLOEXEC);
    if (fd < 0 || write(fd, "x", 1) != 1)
        return -EIO;
    off_t runs = lseek(fd, 0, SEEK_END);
    close(fd);
    if (runs <= a->deaths)
        raise(SIGKILL);
    a->pid = getpid();
    return 0;
}
TRINE_TASK(dies_some_times, struct again);

static struct again again_new(int deaths) {
    struct again a = {.path = "/tmp/trine-again-XXXXXX", .deaths = deaths};
    int fd = mkostemp(a.path, O_CLOEXEC);
    CHECK(fd >= 0);
    close(fd);
    return a;
}

static long runs_of(const struct again *a) {
    int fd = open(a->path, O_RDONLY | O_CLOEXEC);
    off_t n = lseek(fd, 0, SEEK_END);
    close(fd);
    unlink(a->path);
    return n;
}

static int note_pid(struct again *a) {
    a->pid = getpid();
    return 0;
}
TRINE_TASK(note_pid, struct again);

static void check_repeated(int deaths) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 2});
    struct again a = again_new(deaths), before[40] = {{{0}, 0, 0}};
    CHECK_OK(trine_map_all(pool, note_pid, before, 40));
    TRINE_SCOPE(s, .timeout = TRINE_SEC(60));
    CHECK_OK(trine_submit_opts(s, pool, dies_some_times, &a, .repeat = true));
    CHECK_OK(trine_join(s));
    CHECK_EQ(runs_of(&a), deaths + 1);
    for (int i = 0; i < 40; i++) /* the last run had a worker that was none of the first ones */
        CHECK(before[i].pid != a.pid);
    trine_scope_close(&s);
    trine_executor_close(&pool);
}

TEST(a_task_that_may_be_repeated_goes_to_a_new_worker) {
    check_repeated(1);
    check_repeated(2);
}

TEST(a_task_that_has_killed_three_workers_is_given_up) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 2});
    struct again a = again_new(100), others[20] = {{{0}, 0, 0}};
    TRINE_SCOPE(s, .policy = TRINE_COLLECT, .timeout = TRINE_SEC(60));
    trine_future *f = trine_start_opts(s, pool, dies_some_times, &a, .repeat = true);
    CHECK_OK(trine_map(s, pool, note_pid, others, 20));
    CHECK_EQ(trine_join(s), -EOWNERDEAD);
    CHECK_EQ(trine_status(f), -EOWNERDEAD);
    CHECK(strstr(trine_error_of(f)->detail, "the third that died of it"));
    CHECK_EQ(runs_of(&a), 3);
    for (int i = 0; i < 20; i++)
        CHECK(others[i].pid > 0);
    trine_scope_close(&s);
    trine_executor_close(&pool);
}

TEST(a_task_that_does_not_say_so_is_not_repeated) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 2});
    struct again a = again_new(1);
    CHECK_EQ(trine_map_all(pool, dies_some_times, &a, 1), -EOWNERDEAD);
    CHECK_EQ(runs_of(&a), 1);
    trine_executor_close(&pool);
}

TEST(a_repeated_task_is_cancelled_between_two_workers) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    for (int i = 0; i < 20; i++) {
        struct again a = again_new(100);
        TRINE_SCOPE(s, .policy = TRINE_COLLECT);
        trine_future *f = trine_start_opts(s, pool, dies_some_times, &a, .repeat = true);
        CHECK_OK(trine_sleep(TRINE_US(200 * i)));
        trine_cancel(f, 0);
        int status;
        CHECK_OK(trine_await(f, &status));
        CHECK(status == -ECANCELED || status == -EOWNERDEAD);
        CHECK(runs_of(&a) <= 3);
        trine_scope_close(&s);
    }
    trine_executor_close(&pool);
}

/* --- time of its own --- */

static int sleeps(struct again *a) {
    usleep((useconds_t)a->deaths);
    a->pid = getpid();
    return 0;
}
TRINE_TASK(sleeps, struct again);

TEST(a_task_has_a_time_limit_of_its_own) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 2});
    struct again slow = {.deaths = 600000000}, other = {.deaths = 500000};
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
    struct again a = {.deaths = 400000}, b = {.deaths = 400000};
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

static int computes(struct again *a) {
    for (volatile uint64_t i = 0;; i++)
        a->deaths = (int)i;
    return 0;
}
TRINE_TASK(computes, struct again);

TEST(a_worker_over_its_cpu_time_ends_with_its_task) {
    trine_executor *pool =
        pool_open((trine_processes_opts){.workers = 1, .limit_cpu = TRINE_MS(500)});
    struct again a = {.deaths = 0}, b = {.deaths = 0};
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
    struct again first = {.deaths = 0}, last = {.deaths = 0};
    CHECK_OK(trine_map_all_task(pool, task, &first, 1, "here"));
    for (int i = 0; i < 200 && (!last.pid || last.pid == first.pid); i++) {
        struct again many[20] = {{{0}, 0, 0}};
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

static int leaks(struct again *a) {
    char *memory = malloc(1 << 20);
    if (!memory)
        return -ENOMEM;
    memset(memory, 1, 1 << 20);
    __asm__ volatile("" ::"r"(memory) : "memory");
    a->pid = getpid();
    return 0; // the leak is what is tested
}
TRINE_TASK(leaks, struct again);

TEST(a_worker_that_leaks_is_replaced) {
    check_replaced((trine_processes_opts){.workers = 1, .max_resident = (size_t)100 << 20},
                   &leaks_task);
}

/* Never idle, since each task has the next one behind it. */
TEST(a_worker_of_age_is_replaced_also_if_it_always_has_work) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1, .max_age = TRINE_MS(50)});
    struct again t[200];
    for (int i = 0; i < 200; i++)
        t[i] = (struct again){.deaths = 1000}; /* us of sleep */
    CHECK_OK(trine_map_all(pool, sleeps, t, 200));
    CHECK(t[199].pid != t[0].pid);
    trine_executor_close(&pool);
}

/* An answer that comes at the very end of its time must not cost the task behind it its life. */
TEST(a_task_behind_one_that_ends_at_its_limit_has_its_own_time) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    for (int i = 0; i < 300; i++) {
        struct again first = {.deaths = 4700 + i}, behind = {.deaths = 100};
        TRINE_SCOPE(s, .policy = TRINE_COLLECT);
        trine_start_opts(s, pool, sleeps, &first, .timeout = TRINE_MS(5));
        trine_future *f = trine_start(s, pool, sleeps, &behind);
        trine_join(s);
        CHECK_OK(trine_status(f));
        trine_scope_close(&s);
    }
    trine_executor_close(&pool);
}
