/* processes_deadlock.c - what makes other pools of processes hang: a worker that ends while it
 * receives, computes or sends, arguments and results that cannot be had, and a pool that is closed
 * in the middle of that. tests/README.md says which of CPython's cases each is. */
#include "processes_help.h"

#include <trine/task.h>

#include <signal.h>
#include <sys/wait.h>

struct number {
    int in, out, dies_by;
    pid_t pid;
};

static int twice(struct number *n) {
    n->pid = getpid();
    if (n->dies_by < 0)
        _exit(-n->dies_by);
    if (n->dies_by)
        raise(n->dies_by);
    n->out = 2 * n->in;
    return 0;
}
TRINE_TASK(twice, struct number);

static int echo(trine_bytes in, trine_buf *out) {
    return trine_buf_append(out, in.ptr, in.len);
}
TRINE_BYTES_TASK(echo);

static pid_t worker_of(trine_executor *pool) {
    struct number n = {.in = 1};
    CHECK_OK(trine_map_all(pool, twice, &n, 1));
    return n.pid;
}

static bool is_stopped(pid_t pid) {
    char state = 0;
    parent_of(pid, &state);
    return state == 'T';
}

/* It has taken a part of the argument, as much as its stream holds is on the way. */
TEST(a_worker_that_dies_while_it_receives_costs_no_task) {
    enum { SIZE = 4 << 20 };
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    pid_t worker = worker_of(pool);
    char *bytes = calloc(1, SIZE);
    trine_buf out = {0};
    CHECK(bytes);
    bytes[SIZE - 1] = 7;
    kill(worker, SIGSTOP);
    while (!is_stopped(worker))
        usleep(100);
    {
        TRINE_SCOPE(s);
        trine_future *f = trine_start_bytes(s, pool, echo, ((trine_bytes){bytes, SIZE}), &out);
        kill(worker, SIGKILL);
        int status = -1;
        CHECK_OK(trine_await(f, &status));
        CHECK_EQ(status, 0);
    }
    CHECK(out.len == SIZE && ((char *)out.ptr)[SIZE - 1] == 7);
    trine_buf_free(&out);
    free(bytes);
    trine_executor_close(&pool);
}

TEST(an_argument_that_a_worker_has_no_memory_for_is_refused) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    test_skip("the address space is not limited under sanitizers");
#endif
    enum { SIZE = 256 << 20 };
    trine_executor *pool = pool_open(
        (trine_processes_opts){.workers = 1, .limit_memory = 64 << 20, .max_result = 512 << 20});
    char *bytes = calloc(1, SIZE);
    trine_buf out = {0};
    CHECK(bytes);
    {
        TRINE_SCOPE(s, .policy = TRINE_COLLECT);
        trine_future *f = trine_start_bytes(s, pool, echo, ((trine_bytes){bytes, SIZE}), &out);
        CHECK_EQ(trine_join(s), -ENOMEM);
        CHECK(strstr(trine_error_of(f)->detail, "no memory for its argument"));
    }
    CHECK_EQ(out.len, 0);
    worker_of(pool); /* and it goes on */
    free(bytes);
    trine_buf_free(&out);
    trine_executor_close(&pool);
}

/* All that fails in one way or another, with good ones between, and the pool is closed at once. */
static void close_behind(const int *deaths, unsigned n_deaths) {
    enum { TASKS = 60 };
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 2});
    struct number all[TASKS];
    trine_future *f[TASKS];
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    for (int i = 0; i < TASKS; i++) {
        all[i] =
            (struct number){.in = i, .dies_by = i % 5 ? 0 : deaths[(unsigned)i / 5 % n_deaths]};
        f[i] = trine_start(s, pool, twice, &all[i]);
    }
    trine_executor_close(&pool);
    CHECK_EQ(trine_join(s), -EOWNERDEAD);
    for (int i = 0; i < TASKS; i++) {
        CHECK_EQ(trine_status(f[i]), i % 5 ? 0 : -EOWNERDEAD);
        CHECK_EQ(all[i].out, i % 5 ? 2 * i : 0);
    }
    trine_scope_close(&s);
    CHECK_EQ(children_of(getpid(), NULL, 0), 0);
}

TEST(a_pool_closes_while_its_workers_crash) {
    close_behind((const int[]){SIGSEGV, SIGABRT, SIGKILL}, 3);
}

TEST(a_pool_closes_while_its_workers_exit) {
    close_behind((const int[]){-1, -255}, 2);
}

TEST(a_pool_closes_behind_tasks_that_are_in_no_module) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 2});
    trine_task nowhere = twice_task; /* on the stack */
    struct number n[10] = {{0}};
    trine_future *f[10];
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    for (int i = 0; i < 10; i++)
        f[i] = trine_start_task(s, pool, i % 2 ? &nowhere : &twice_task, &n[i], TRINE_HERE_);
    trine_executor_close(&pool);
    CHECK_EQ(trine_join(s), -ENOEXEC);
    for (int i = 0; i < 10; i++)
        CHECK_EQ(trine_status(f[i]), i % 2 ? -ENOEXEC : 0);
}

TEST(a_pool_that_did_nothing_closes) {
    for (int i = 0; i < 10; i++) {
        trine_executor *pool = pool_open((trine_processes_opts){.workers = 2});
        trine_executor_close(&pool);
        CHECK_EQ(children_of(getpid(), NULL, 0), 0);
    }
}

static int never(struct number *n) {
    for (;;)
        n->in = pause();
    return 0;
}
TRINE_TASK(never, struct number);

/* Close drains; who wants it to stop now cancels the scope before. */
TEST(cancelling_the_scope_stops_a_pool_now) {
    enum { TASKS = 100 };
    trine_executor *pool =
        pool_open((trine_processes_opts){.workers = 2, .queue = TASKS, .grace = TRINE_MS(10)});
    struct number all[TASKS];
    memset(all, 0, sizeof(all));
    {
        TRINE_SCOPE(s, .policy = TRINE_COLLECT);
        CHECK_OK(trine_map(s, pool, never, all, TASKS));
        trine_scope_cancel(s, 0);
        CHECK_EQ(trine_join(s), -ECANCELED);
    }
    worker_of(pool);
    trine_executor_close(&pool);
    CHECK_EQ(children_of(getpid(), NULL, 0), 0);
}

/* Results of megabytes are on the way when one of them dies. */
TEST(a_crash_among_large_results_harms_none_of_them) {
    enum { TASKS = 12, SIZE = 3 << 20 };
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 2});
    char *bytes = malloc(SIZE);
    trine_buf out[TASKS] = {{0}};
    struct number dies = {.dies_by = SIGSEGV};
    trine_future *f[TASKS], *crash = NULL;
    CHECK(bytes);
    memset(bytes, 5, SIZE);
    {
        TRINE_SCOPE(s, .policy = TRINE_COLLECT);
        for (int i = 0; i < TASKS; i++) {
            f[i] = trine_start_bytes(s, pool, echo, ((trine_bytes){bytes, SIZE}), &out[i]);
            if (i == TASKS / 2)
                crash = trine_start(s, pool, twice, &dies);
        }
        trine_join(s);
        CHECK_EQ(trine_status(crash), -EOWNERDEAD);
        for (int i = 0; i < TASKS; i++)
            CHECK_EQ(trine_status(f[i]), 0);
    }
    for (int i = 0; i < TASKS; i++) {
        CHECK(out[i].len == SIZE && memcmp(out[i].ptr, bytes, SIZE) == 0);
        trine_buf_free(&out[i]);
    }
    free(bytes);
    trine_executor_close(&pool);
}

/* What is done stays when the pool is gone, and a new one begins anew. */
TEST(results_outlive_their_pool) {
    struct number n = {.in = 4};
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    TRINE_SCOPE(s);
    trine_future *f = trine_start(s, pool, twice, &n);
    trine_executor_close(&pool);
    CHECK_EQ(trine_status(f), 0);
    CHECK_EQ(n.out, 8);
    pool = pool_open((trine_processes_opts){.workers = 1});
    worker_of(pool);
    trine_executor_close(&pool);
}
