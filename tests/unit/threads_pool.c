/* threads_pool.c - what a thread pool can be told: what to do when it is full, hooks, threads that
 * leave and come back, the background. */
#include "test.h"
#include "trine.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

struct gate {
    atomic_int *begun, *open;
    pthread_t thread;
    int order;
};

static int pass_gate(struct gate *g) {
    g->thread = pthread_self();
    g->order = atomic_fetch_add(g->begun, 1);
    while (!atomic_load(g->open))
        sched_yield();
    return 0;
}
TRINE_TASK(pass_gate, struct gate);

static void await_count(atomic_int *count, int least) {
    while (atomic_load(count) < least)
        sched_yield();
}

/* One worker, which is busy, and a queue of one, which is full. */
static void fill(trine_scope *s, trine_executor *pool, struct gate *gates) {
    CHECK_EQ(trine_submit(s, pool, pass_gate, &gates[0]), 0);
    await_count(gates[0].begun, 1);
    CHECK_EQ(trine_submit(s, pool, pass_gate, &gates[1]), 0);
}

static void full_pool(trine_full when_full, trine_executor **ret_pool) {
    CHECK_EQ(trine_threads_open(ret_pool, TRINE_OPTS(trine_threads_opts, .workers = 1, .queue = 1,
                                                     .when_full = when_full)),
             0);
}

TEST(a_full_pool_fails_the_submission_when_told_so) {
    trine_executor *pool;
    full_pool(TRINE_FULL_FAIL, &pool);
    atomic_int begun = 0, open = 0;
    struct gate gates[3];
    for (int i = 0; i < 3; i++)
        gates[i] = (struct gate){.begun = &begun, .open = &open};
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    fill(s, pool, gates);
    CHECK_EQ(trine_submit(s, pool, pass_gate, &gates[2]), -EBUSY);
    CHECK_EQ(atomic_load(&begun), 1);
    atomic_store(&open, 1);
    CHECK_EQ(trine_join(s), -EBUSY);
    CHECK_EQ(atomic_load(&begun), 2);
    trine_executor_close(&pool);
}

TEST(a_full_pool_lets_the_caller_run_the_task_when_told_so) {
    trine_executor *pool;
    full_pool(TRINE_FULL_RUN_HERE, &pool);
    atomic_int begun = 0, open = 0, always = 1;
    struct gate gates[3];
    for (int i = 0; i < 3; i++)
        gates[i] = (struct gate){.begun = &begun, .open = i < 2 ? &open : &always};
    TRINE_SCOPE(s);
    fill(s, pool, gates);
    CHECK_EQ(trine_submit(s, pool, pass_gate, &gates[2]), 0);
    CHECK(pthread_equal(gates[2].thread, pthread_self()));
    CHECK(!pthread_equal(gates[0].thread, pthread_self()));
    atomic_store(&open, 1);
    CHECK_EQ(trine_join(s), 0);
    trine_executor_close(&pool);
}

TEST(a_full_pool_makes_the_caller_wait_and_its_scope_can_end_the_wait) {
    trine_executor *pool;
    full_pool(TRINE_FULL_WAIT, &pool);
    atomic_int begun = 0, open = 0;
    struct gate gates[3];
    for (int i = 0; i < 3; i++)
        gates[i] = (struct gate){.begun = &begun, .open = &open};
    TRINE_SCOPE(outer);
    fill(outer, pool, gates);
    {
        TRINE_SCOPE(s, .timeout = TRINE_MS(1));
        CHECK_EQ(trine_submit(s, pool, pass_gate, &gates[2]), -ETIMEDOUT);
        CHECK_EQ(trine_join(s), -ETIMEDOUT);
    }
    atomic_store(&open, 1);
    CHECK_EQ(trine_join(outer), 0);
    CHECK_EQ(atomic_load(&begun), 2);
    trine_executor_close(&pool);
}

TEST(the_background_waits_until_nothing_else_does) {
    enum { EACH = 20 };
    trine_executor *pool;
    CHECK_EQ(trine_threads_open(&pool, TRINE_OPTS(trine_threads_opts, .workers = 1)), 0);
    trine_executor *background = trine_threads_background(pool);
    atomic_int begun = 0, open = 0;
    struct gate first = {.begun = &begun, .open = &open}, gates[2 * EACH];
    TRINE_SCOPE(s);
    trine_submit(s, pool, pass_gate, &first);
    await_count(&begun, 1);
    for (int i = 0; i < 2 * EACH; i++) {
        gates[i] = (struct gate){.begun = &begun, .open = &open};
        CHECK_EQ(trine_submit(s, i % 2 ? pool : background, pass_gate, &gates[i]), 0);
    }
    atomic_store(&open, 1);
    CHECK_EQ(trine_join(s), 0);
    for (int i = 0; i < 2 * EACH; i++)
        CHECK(i % 2 ? gates[i].order <= EACH : gates[i].order > EACH);
    trine_executor_close(&pool);
}

struct hooks {
    atomic_int started, stopped;
    char name[16];
};

static void on_start(void *arg) {
    struct hooks *h = arg;
    pthread_getname_np(pthread_self(), h->name, sizeof(h->name));
    atomic_fetch_add(&h->started, 1);
}

static void on_stop(void *arg) {
    struct hooks *h = arg;
    atomic_fetch_add(&h->stopped, 1);
}

TEST(a_thread_that_is_idle_leaves_and_another_one_comes_when_it_is_needed) {
    struct hooks hooks = {0};
    trine_executor *pool;
    CHECK_EQ(trine_threads_open(&pool, TRINE_OPTS(trine_threads_opts, .workers = 1, .name = "crew",
                                                  .on_start = on_start, .on_stop = on_stop,
                                                  .hook_arg = &hooks, .idle = TRINE_US(1))),
             0);
    CHECK_EQ(atomic_load(&hooks.started), 0); /* threads are started when tasks come */
    for (int round = 1; round <= 50; round++) {
        atomic_int begun = 0, open = 1;
        struct gate g = {.begun = &begun, .open = &open};
        TRINE_SCOPE(s);
        CHECK_EQ(trine_submit(s, pool, pass_gate, &g), 0);
        CHECK_EQ(trine_join(s), 0);
        CHECK_EQ(atomic_load(&begun), 1);
        if (round % 10 == 0)
            await_count(&hooks.stopped, atomic_load(&hooks.started)); /* it left by itself */
    }
    CHECK(atomic_load(&hooks.started) >= 5);
    trine_executor_close(&pool);
    CHECK_EQ(atomic_load(&hooks.started), atomic_load(&hooks.stopped));
}

TEST(hooks_run_in_each_thread_and_threads_have_names) {
    struct hooks hooks = {0};
    trine_executor *pool;
    CHECK_EQ(trine_threads_open(&pool, TRINE_OPTS(trine_threads_opts, .workers = 4, .name = "crew",
                                                  .on_start = on_start, .on_stop = on_stop,
                                                  .hook_arg = &hooks)),
             0);
    atomic_int begun = 0, open = 0;
    struct gate gates[4];
    TRINE_SCOPE(s);
    for (int i = 0; i < 4; i++) {
        gates[i] = (struct gate){.begun = &begun, .open = &open};
        CHECK_EQ(trine_submit(s, pool, pass_gate, &gates[i]), 0);
    }
    await_count(&begun, 4); /* as many threads as tasks that block */
    atomic_store(&open, 1);
    CHECK_EQ(trine_join(s), 0);
    trine_executor_close(&pool);
    CHECK_EQ(atomic_load(&hooks.started), 4);
    CHECK_EQ(atomic_load(&hooks.stopped), 4);
}

static int nothing(atomic_int *count) {
    atomic_fetch_add(count, 1);
    return 0;
}
TRINE_TASK(nothing, atomic_int);

/* Several loops put into one pool; each gets its own back. */
static void *put_many(void *pool) {
    atomic_int count = 0;
    for (int round = 0; round < 20; round++) {
        TRINE_SCOPE(s);
        for (int i = 0; i < 500; i++)
            CHECK_EQ(trine_submit(s, pool, nothing, &count), 0);
        if (round % 4 == 3)
            trine_scope_cancel(s, 0);
        CHECK_EQ(trine_join(s), round % 4 == 3 ? -ECANCELED : 0);
        if (round < 3)
            CHECK_EQ(atomic_load(&count), 500 * (round + 1));
    }
    return NULL;
}

TEST(threads_that_share_a_pool_get_back_what_is_theirs) {
    for (unsigned queue = 1; queue <= 1000; queue *= 10) {
        trine_executor *pool;
        CHECK_EQ(trine_threads_open(&pool, TRINE_OPTS(trine_threads_opts, .workers = 3,
                                                      .queue = queue, .idle = TRINE_US(50))),
                 0);
        pthread_t threads[4];
        for (int i = 0; i < 4; i++)
            pthread_create(&threads[i], NULL, put_many, pool);
        for (int i = 0; i < 4; i++)
            pthread_join(threads[i], NULL);
        trine_executor_close(&pool);
    }
}

/* More than the limit lets run at once: tasks start from the loop's own stack, over the bound. */
TEST(a_scope_with_a_limit_and_a_tiny_queue_runs_all) {
    trine_executor *pool;
    CHECK_EQ(trine_threads_open(&pool, TRINE_OPTS(trine_threads_opts, .workers = 1, .queue = 1)),
             0);
    atomic_int count = 0;
    TRINE_SCOPE(s, .limit = 8);
    for (int i = 0; i < 2000; i++)
        CHECK_EQ(trine_submit(s, pool, nothing, &count), 0);
    CHECK_EQ(trine_join(s), 0);
    CHECK_EQ(atomic_load(&count), 2000);
    trine_executor_close(&pool);
}
