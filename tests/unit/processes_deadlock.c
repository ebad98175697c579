/* processes_deadlock.c - what makes other pools of processes hang: a worker that ends while it
 * receives, computes or sends, arguments and results that cannot be had, and a pool that is closed
 * in the middle of that. tests/README.md says which of CPython's cases each is. */
#include "processes_inside.h"
#include "worker_says.h"

#include <trine/shared.h>
#include <trine/task.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
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

static void stop(pid_t pid) {
    CHECK_EQ(kill(pid, SIGSTOP), 0);
    CHECK(EVENTUALLY(is_stopped(pid), 20000));
}

/* --- it receives --- */

/* No area is that large: it goes through the stream, a part after the other. */
enum { LARGE = AREA_BYTES + (1 << 20) };
static char large[LARGE];

struct measured {
    size_t len;
    char first, last;
    pid_t pid;
};

static int measure(trine_bytes in, trine_buf *out) {
    const char *bytes = in.ptr;
    struct measured m = {.len = in.len,
                         .first = bytes[0],
                         .last = bytes[in.len - 1],
                         .pid = getpid()};
    return trine_buf_append(out, &m, sizeof(m));
}
TRINE_BYTES_TASK(measure);

/* Holds the supervisor once all of the stream is full; or once the worker's time is over. */
static bool hold_when_full(trine_executor *pool, pid_t worker) {
    if (!try_to_hold(pool))
        return false;
    struct worker *w = find_worker(pool, worker);
    if (!w || on_the_way(w->memory.out.memory) == STREAM_BYTES)
        return true;
    let_supervisor_go(pool);
    return false;
}

/* The worker has taken what its stream holds, waits for the rest, and is stopped there: the
 * supervisor, which would send it, is held meanwhile. */
static trine_future *start_and_stop_in_the_middle(trine_scope *s, trine_executor *pool,
                                                  int64_t timeout, trine_buf *out,
                                                  pid_t *ret_worker) {
    pid_t worker = worker_of(pool);
    large[0] = 5;
    large[LARGE - 1] = 7;
    stop(worker);
    trine_future *f = trine_start_bytes_opts(s, pool, measure, ((trine_bytes){large, LARGE}), out,
                                             .timeout = timeout);
    CHECK(EVENTUALLY(hold_when_full(pool, worker), 20000));
    struct worker *w = find_worker(pool, worker);
    CHECK(w || timeout);
    if (w) {
        CHECK_EQ(kill(worker, SIGCONT), 0);
        CHECK(EVENTUALLY(on_the_way(w->memory.out.memory) == 0, 20000));
        stop(worker);
    }
    *ret_worker = worker;
    return f;
}

static void check_measured(const trine_buf *out, pid_t not_by) {
    struct measured m;
    CHECK_EQ(out->len, sizeof(m));
    memcpy(&m, out->ptr, sizeof(m));
    CHECK_EQ(m.len, LARGE);
    CHECK_EQ(m.first, 5);
    CHECK_EQ(m.last, 7);
    CHECK(m.pid != not_by);
}

TEST(a_worker_that_dies_while_it_receives_costs_no_task) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    trine_buf out = {0};
    pid_t worker;
    {
        TRINE_SCOPE(s, .policy = TRINE_COLLECT);
        trine_future *f = start_and_stop_in_the_middle(s, pool, 0, &out, &worker);
        CHECK_EQ(kill(worker, SIGKILL), 0);
        let_supervisor_go(pool);
        int status = -1;
        CHECK_OK(trine_await(f, &status));
        CHECK_EQ(status, 0);
    }
    check_measured(&out, worker);
    trine_buf_free(&out);
    trine_executor_close(&pool);
}

/* It neither takes the rest nor hears SIGTERM. */
TEST(a_task_is_cancelled_while_a_stopped_worker_receives_it) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1, .grace = TRINE_MS(20)});
    trine_buf out = {0};
    pid_t worker;
    {
        TRINE_SCOPE(s, .policy = TRINE_COLLECT);
        trine_future *f = start_and_stop_in_the_middle(s, pool, 0, &out, &worker);
        let_supervisor_go(pool);
        trine_cancel(f, 0);
        int status = 0;
        CHECK_OK(trine_await(f, &status));
        CHECK_EQ(status, -ECANCELED);
    }
    CHECK_EQ(out.len, 0);
    CHECK(EVENTUALLY(!is_alive(worker), 20000));
    CHECK(worker_of(pool) != worker);
    trine_buf_free(&out);
    trine_executor_close(&pool);
}

/* Its time counts from when the first part of it was sent. */
TEST(a_task_is_over_its_time_while_a_stopped_worker_receives_it) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    trine_buf out = {0};
    pid_t worker;
    {
        TRINE_SCOPE(s, .policy = TRINE_COLLECT);
        trine_future *f = start_and_stop_in_the_middle(s, pool, TRINE_MS(300), &out, &worker);
        let_supervisor_go(pool);
        int status = 0;
        CHECK_OK(trine_await(f, &status));
        CHECK_EQ(status, -ETIME);
        CHECK(strstr(trine_error_of(f)->detail, "time limit of 0.3 s"));
    }
    CHECK_EQ(out.len, 0);
    CHECK(EVENTUALLY(!is_alive(worker), 20000));
    CHECK(worker_of(pool) != worker);
    trine_buf_free(&out);
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

/* --- it exits, while its task computes or its result is sent --- */

struct words {
    atomic_int begun, go;
};

struct exits {
    trine_shared words;
    bool sends;
};

static void *exit_at_once(void *unused) {
    (void)unused;
    _exit(3);
}

/* Once the stream is full, and the worker waits for room. */
static void *exit_when_full(void *replies) {
    while (on_the_way(((struct stream *)replies)->memory) < STREAM_BYTES)
        usleep(1000);
    _exit(3);
}

/* Another thread ends the worker, by its exit. */
static int be_left(trine_bytes in, trine_buf *out) {
    enum { SIZE = 4 * STREAM_BYTES };
    const struct exits *e = in.ptr;
    void *at;
    pthread_t thread;
    CHECK_OK(trine_shared_map(&e->words, &at));
    struct words *words = at;
    CHECK_OK(trine_buf_reserve(out, SIZE));
    memset(out->ptr, 1, SIZE);
    out->len = SIZE;
    atomic_store(&words->begun, (int)getpid());
    while (!atomic_load(&words->go))
        usleep(1000);
    CHECK_EQ(pthread_create(&thread, NULL, e->sends ? exit_when_full : exit_at_once,
                            worker_replies()),
             0);
    while (!e->sends)
        pause();
    return 0;
}
TRINE_BYTES_TASK(be_left);

static void check_exit(bool sends) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    struct exits e = {.sends = sends};
    trine_buf out = {0};
    void *at;
    CHECK_OK(trine_shared_open(sizeof(struct words), &e.words));
    CHECK_OK(trine_shared_map(&e.words, &at));
    struct words *words = at;
    {
        TRINE_SCOPE(s, .policy = TRINE_COLLECT);
        trine_future *f = trine_start_bytes(s, pool, be_left, ((trine_bytes){&e, sizeof(e)}), &out);
        CHECK(EVENTUALLY(atomic_load(&words->begun), 20000));
        hold_supervisor(pool); /* so that it takes nothing of the result */
        atomic_store(&words->go, 1);
        CHECK(EVENTUALLY(!is_alive(atomic_load(&words->begun)), 20000));
        let_supervisor_go(pool);
        CHECK_EQ(trine_join(s), -EOWNERDEAD);
        CHECK_EQ(trine_error_of(f)->signal, 0);
        CHECK(strstr(trine_error_of(f)->detail, "exited with code 3"));
    }
    CHECK_EQ(out.len, 0);
    CHECK(worker_of(pool) != atomic_load(&words->begun));
    trine_buf_free(&out);
    trine_shared_free(&e.words);
    trine_executor_close(&pool);
}

TEST(a_worker_that_another_thread_ends_while_its_task_computes) {
    check_exit(false);
}

TEST(a_worker_that_another_thread_ends_while_it_sends) {
    check_exit(true);
}

/* --- the pool is closed meanwhile --- */

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
