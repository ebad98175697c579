/* exec_threads.c - the thread pool and blocking calls, from coroutines and from plain threads. */
#include "core/executor.h"
#include "test.h"
#include "trine.h"
#include "trine/debug.h"
#include "trine/task.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

struct sum {
    int from, to;
    long result;
    pthread_t thread;
};

static int add_up(struct sum *s) {
    s->thread = pthread_self();
    s->result = 0;
    for (int i = s->from; i <= s->to; i++)
        s->result += i;
    return s->from;
}
TRINE_TASK(add_up, struct sum);

static trine_executor *open_pool(unsigned workers, unsigned queue) {
    trine_threads_opts opts = {.size = sizeof(opts), .workers = workers, .queue = queue};
    trine_executor *pool;
    CHECK_EQ(trine_threads_open(&pool, &opts), 0);
    return pool;
}

static void map_once(trine_executor *pool) {
    struct sum sums[500];
    for (int i = 0; i < 500; i++)
        sums[i] = (struct sum){.from = i, .to = i + 100};
    TRINE_SCOPE(s);
    CHECK_EQ(trine_map(s, pool, add_up, sums, 500), 0);
    CHECK_EQ(trine_join(s), 0);
    for (int i = 0; i < 500; i++) {
        CHECK_EQ(sums[i].result, 101L * i + 5050);
        CHECK(!pthread_equal(sums[i].thread, pthread_self()));
    }
}

struct nothing {
    trine_executor *pool;
};

static int map_in_loop(struct nothing *n) {
    map_once(n->pool);
    struct sum one = {.from = 3, .to = 4};
    TRINE_SCOPE(s);
    trine_future *f = trine_start(s, n->pool, add_up, &one);
    int status;
    CHECK_EQ(trine_await(f, &status), 0);
    CHECK_EQ(status, 3);
    CHECK_EQ(one.result, 7L);
    return 0;
}
TRINE_TASK(map_in_loop, struct nothing);

TEST(map_works_without_a_loop_and_in_one) {
    for (unsigned queue = 1; queue <= 64; queue *= 8) {
        struct nothing n = {open_pool(3, queue)};
        map_once(n.pool);
        CHECK_EQ(trine_run(map_in_loop, &n), 0);
        trine_executor_close(&n.pool);
        CHECK(n.pool == NULL);
    }
}

struct polling {
    atomic_bool *began;
    int waited;
};

static int poll_cancelled(struct polling *p) {
    atomic_store(p->began, true);
    while (!trine_cancelled())
        sched_yield();
    p->waited = trine_sleep(TRINE_SEC(600));
    return p->waited;
}
TRINE_TASK(poll_cancelled, struct polling);

static int wait_long(struct polling *p) {
    atomic_store(p->began, true);
    TRINE_SCOPE(inner);
    p->waited = trine_sleep(TRINE_SEC(600));
    return p->waited;
}
TRINE_TASK(wait_long, struct polling);

static void await_flag(atomic_bool *flag) {
    while (!atomic_load(flag))
        CHECK_EQ(trine_sleep(TRINE_US(100)), 0);
}

static int cancel_running(struct nothing *n) {
    atomic_bool began[2] = {false, false};
    struct polling poll = {&began[0], 0}, wait = {&began[1], 0};
    TRINE_SCOPE(s);
    trine_submit(s, n->pool, poll_cancelled, &poll);
    trine_submit(s, n->pool, wait_long, &wait);
    await_flag(&began[0]);
    await_flag(&began[1]);
    struct sum queued = {.from = 1, .to = 2};
    trine_submit(s, n->pool, add_up, &queued); /* both workers are busy: never begins */
    trine_scope_cancel(s, 0);
    CHECK_EQ(trine_join(s), -ECANCELED);
    CHECK_EQ(poll.waited, -ECANCELED);
    CHECK_EQ(wait.waited, -ECANCELED);
    CHECK_EQ(queued.result, 0L);
    return 0;
}
TRINE_TASK(cancel_running, struct nothing);

TEST(cancel_reaches_running_waiting_and_queued_thread_tasks) {
    struct nothing n = {open_pool(2, 0)};
    CHECK_EQ(trine_run(cancel_running, &n), 0);
    CHECK_EQ(cancel_running(&n), 0); /* and from a plain thread */
    trine_executor_close(&n.pool);
}

static int quick(struct sum *s) {
    s->result = 1;
    return 0;
}
TRINE_TASK(quick, struct sum);

TEST(cancel_at_any_moment_is_seen_once_and_the_pool_goes_on) {
    trine_executor *pool = open_pool(2, 4);
    for (int round = 0; round < 400; round++) {
        struct sum args[8] = {{0}};
        TRINE_SCOPE(s);
        for (int i = 0; i < 8; i++)
            trine_submit(s, pool, quick, &args[i]);
        if (round % 3 == 0)
            trine_scope_cancel(s, 0);
        int r = trine_join(s);
        CHECK_EQ(r, round % 3 == 0 ? -ECANCELED : 0);
    }
    map_once(pool);
    trine_executor_close(&pool);
}

static int hold(struct polling *p) {
    while (!atomic_load(p->began))
        sched_yield();
    return 5;
}
TRINE_TASK(hold, struct polling);

static int abandon(struct nothing *n) {
    (void)n;
    static atomic_bool release; /* outlives the abandoned call */
    atomic_store(&release, false);
    struct polling p = {&release, 0};
    for (int64_t t = TRINE_MS(5); !trine_abandoned_calls() && t < TRINE_SEC(20); t *= 2) {
        TRINE_SCOPE(s, .timeout = t); /* one that no thread has come to yet is taken back */
        CHECK_EQ(trine_blocking(hold, &p), -ETIMEDOUT);
    }
    CHECK_EQ(trine_abandoned_calls(), 1);
    atomic_store(&release, true);
    while (trine_abandoned_calls())
        CHECK_EQ(trine_sleep(TRINE_MS(1)), 0);
    CHECK_EQ(trine_blocking(hold, &p), 5);
    struct sum sum = {.from = 1, .to = 4};
    CHECK_EQ(trine_blocking(add_up, &sum), 1);
    CHECK_EQ(sum.result, 10L); /* copied back */
    return 0;
}
TRINE_TASK(abandon, struct nothing);

TEST(a_blocking_call_is_waited_for_or_abandoned) {
    CHECK_EQ(trine_run(abandon, NULL), 0);
    CHECK_EQ(abandon(NULL), 0);
}

TEST(usable_cpus_are_at_least_one) {
    CHECK(trine_usable_cpus() >= 1);
}

static int fail_at_seven(struct sum *s) {
    return s->from == 7 ? -EDOM : add_up(s) >= 0 ? 0 : -1;
}
TRINE_TASK(fail_at_seven, struct sum);

TEST(map_all_waits_for_all_and_gives_the_first_error) {
    trine_executor *pool = open_pool(2, 0);
    struct sum sums[20];
    for (int i = 0; i < 20; i++)
        sums[i] = (struct sum){.from = i, .to = i + 100};
    CHECK_EQ(trine_map_all(pool, add_up, sums, 20), 0);
    for (int i = 0; i < 20; i++)
        CHECK_EQ(sums[i].result, 101L * i + 5050);
    CHECK_EQ(trine_map_all(pool, fail_at_seven, sums, 20), -EDOM);
    trine_executor_close(&pool);
}

/* --- a thread task that runs a loop --- */

static atomic_bool waits_in_loop;

static int wait_in_loop(struct nothing *n) {
    (void)n;
    atomic_store(&waits_in_loop, true);
    int r = trine_sleep(TRINE_SEC(600));
    return r == -ECANCELED && trine_cancel_reason() == -EREMOTEIO ? -EXFULL : r;
}
TRINE_TASK(wait_in_loop, struct nothing);

static int run_loop(struct nothing *n) {
    return trine_run(wait_in_loop, n);
}
TRINE_TASK(run_loop, struct nothing);

TEST(the_end_of_a_thread_task_reaches_the_loop_that_it_runs) {
    trine_executor *pool = open_pool(1, 0);
    struct nothing n;
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    trine_future *f = trine_start(s, pool, run_loop, &n);
    while (!atomic_load(&waits_in_loop))
        sched_yield();
    trine_scope_cancel(s, -EREMOTEIO);
    trine_join(s);
    CHECK_EQ(trine_status(f), -EXFULL);
    trine_executor_close(&pool);
}

TEST(a_loop_in_a_scope_that_has_ended_runs_nothing) {
    struct nothing n;
    atomic_store(&waits_in_loop, false);
    TRINE_SCOPE(s);
    trine_scope_cancel(s, 0);
    CHECK_EQ(trine_run(wait_in_loop, &n), -ECANCELED);
    CHECK(!atomic_load(&waits_in_loop));
}
