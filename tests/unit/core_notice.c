/* core_notice.c - a future is awaited on other threads than its scope's, and tells callbacks of its
 * end: once, at any moment, also when who waits gives up. */
#include "loop_case.h"

#include <trine/parallel.h>
#include <trine/sync.h>
#include <trine/task.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

struct gated {
    atomic_bool open;
    int value;
};

static int pass(struct gated *g) {
    while (!atomic_load(&g->open)) {
        int r = trine_sleep(TRINE_US(100));
        if (r < 0)
            return r;
    }
    return g->value;
}
TRINE_TASK(pass, struct gated);

struct other {
    trine_future *f;
    int64_t timeout;
    int result, status;
    atomic_bool asks;
};

static void *await_elsewhere(void *arg) {
    struct other *o = arg;
    TRINE_SCOPE(s, .timeout = o->timeout);
    atomic_store(&o->asks, true);
    o->result = trine_await(o->f, &o->status);
    return NULL;
}

static int await_in_loop(struct other *o) {
    await_elsewhere(o);
    return 0;
}
TRINE_TASK(await_in_loop, struct other);

static void *run_loop(void *arg) {
    CHECK_OK(trine_run(await_in_loop, (struct other *)arg));
    return NULL;
}

/* Two plain threads and a coroutine of another loop; the task is a coroutine of ours. */
IN_LOOP(other_threads_and_loops_await_a_future) {
    struct gated g = {.value = 5};
    TRINE_SCOPE(s);
    struct other o[3];
    pthread_t thread[3];
    trine_future *f = trine_start(s, NULL, pass, &g);
    for (int i = 0; i < 3; i++) {
        o[i] = (struct other){.f = f, .timeout = TRINE_SEC(60)};
        CHECK_EQ(pthread_create(&thread[i], NULL, i ? await_elsewhere : run_loop, &o[i]), 0);
        while (!atomic_load(&o[i].asks))
            CHECK_OK(trine_yield());
    }
    atomic_store(&g.open, true);
    CHECK_OK(trine_await(f, NULL));
    for (int i = 0; i < 3; i++) {
        while (pthread_tryjoin_np(thread[i], NULL) != 0)
            CHECK_OK(trine_sleep(TRINE_US(200)));
        CHECK_OK(o[i].result);
        CHECK_EQ(o[i].status, 5);
    }
    struct other late = {.f = f, .timeout = TRINE_SEC(60)}; /* it is done already */
    CHECK_EQ(pthread_create(&thread[0], NULL, await_elsewhere, &late), 0);
    while (pthread_tryjoin_np(thread[0], NULL) != 0)
        CHECK_OK(trine_sleep(TRINE_US(200)));
    CHECK_EQ(late.status, 5);
    return trine_join(s);
}

IN_LOOP(a_wait_on_another_thread_ends_with_its_scope_and_may_be_repeated) {
    struct gated g = {.value = 6};
    TRINE_SCOPE(s);
    trine_future *f = trine_start(s, NULL, pass, &g);
    for (int i = 0; i < 2; i++) {
        struct other o = {.f = f, .timeout = i ? TRINE_SEC(60) : TRINE_MS(5)};
        pthread_t thread;
        CHECK_EQ(pthread_create(&thread, NULL, await_elsewhere, &o), 0);
        while (i && !atomic_load(&o.asks))
            CHECK_OK(trine_yield());
        atomic_store(&g.open, i == 1);
        while (pthread_tryjoin_np(thread, NULL) != 0)
            CHECK_OK(trine_sleep(TRINE_US(200)));
        CHECK_EQ(o.result, i ? 0 : -ETIMEDOUT);
        CHECK_EQ(o.status, i ? 6 : 0);
    }
    return trine_join(s);
}

/* The time may be over at any moment of the end. */
IN_LOOP(the_end_of_a_wait_and_of_its_task_may_meet) {
    enum { ROUNDS = 300 };
    int won = 0;
    for (int i = 0; i < ROUNDS; i++) {
        struct gated g = {.value = 7};
        TRINE_SCOPE(s);
        trine_future *f = trine_start(s, NULL, pass, &g);
        struct other o = {.f = f, .timeout = TRINE_US(50 + i)};
        pthread_t thread;
        CHECK_EQ(pthread_create(&thread, NULL, await_elsewhere, &o), 0);
        while (!atomic_load(&o.asks))
            CHECK_OK(trine_yield());
        CHECK_OK(trine_sleep(TRINE_US(16)));
        atomic_store(&g.open, true);
        while (pthread_tryjoin_np(thread, NULL) != 0)
            CHECK_OK(trine_yield());
        CHECK(o.result == 0 ? o.status == 7 : o.result == -ETIMEDOUT && o.status == 0);
        won += o.result == 0;
        CHECK_OK(trine_join(s));
    }
    printf("  (%d of %d waits were in time)\n", won, ROUNDS);
    return 0;
}

/* --- callbacks --- */

struct called {
    int times, status;
    bool in_task;
    pthread_t thread;
};

static void note_call(void *arg, int status) {
    struct called *c = arg;
    c->times++;
    c->status = status;
    c->in_task = trine_task_name() != NULL;
    c->thread = pthread_self();
}

IN_LOOP(callbacks_are_called_once_on_the_loop_that_asked) {
    struct gated g = {.value = 8};
    struct called c[3] = {{0}};
    trine_notice n[3];
    TRINE_SCOPE(s);
    trine_future *f = trine_start(s, NULL, pass, &g);
    trine_on_done(f, &n[0], note_call, &c[0]);
    trine_on_done(f, &n[1], note_call, &c[1]);
    trine_notice_stop(&n[1]);
    CHECK_OK(trine_sleep(TRINE_MS(1)));
    CHECK_EQ(c[0].times, 0);
    atomic_store(&g.open, true);
    CHECK_OK(trine_await(f, NULL));
    trine_on_done(f, &n[2], note_call, &c[2]); /* it is done */
    CHECK_EQ(c[2].times, 0);                   /* not from inside of the call */
    CHECK_OK(trine_sleep(TRINE_MS(1)));
    for (int i = 0; i < 3; i++)
        CHECK_EQ(c[i].times, i != 1);
    CHECK(c[0].status == 8 && c[2].status == 8 && !c[0].in_task);
    trine_notice_stop(&n[0]); /* too late, and harmless */
    return trine_join(s);
}

struct caller {
    trine_future *f;
    struct called called;
    atomic_bool asked;
    trine_channel *done;
};

static void *ask_from_thread(void *arg) {
    struct caller *c = arg;
    trine_notice n;
    trine_on_done(c->f, &n, note_call, &c->called);
    atomic_store(&c->asked, true);
    while (!c->called.times)
        CHECK_OK(trine_sleep(TRINE_US(100)));
    CHECK(pthread_equal(c->called.thread, pthread_self()));
    return NULL;
}

IN_LOOP(a_thread_is_called_back_on_itself) {
    struct gated g = {.value = -EDOM};
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    struct caller c = {.f = trine_start(s, NULL, pass, &g)};
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, ask_from_thread, &c), 0);
    while (!atomic_load(&c.asked))
        CHECK_OK(trine_yield());
    atomic_store(&g.open, true);
    while (pthread_tryjoin_np(thread, NULL) != 0)
        CHECK_OK(trine_sleep(TRINE_US(200)));
    CHECK_EQ(c.called.times, 1);
    CHECK_EQ(c.called.status, -EDOM);
    CHECK_EQ(trine_join(s), -EDOM);
    return 0;
}

static void *ask_and_stop(void *arg) {
    struct caller *c = arg;
    trine_notice n;
    trine_on_done(c->f, &n, note_call, &c->called);
    atomic_store(&c->asked, true);
    trine_notice_stop(&n);
    int before = c->called.times;
    CHECK_OK(trine_sleep(TRINE_US(100)));
    CHECK(before <= 1 && c->called.times == before);
    return NULL;
}

IN_LOOP(a_notice_may_be_stopped_while_its_task_ends) {
    for (int i = 0; i < 300; i++) {
        struct gated g = {.value = 1};
        TRINE_SCOPE(s);
        struct caller c = {.f = trine_start(s, NULL, pass, &g)};
        pthread_t thread;
        atomic_store(&g.open, i % 2);
        CHECK_EQ(pthread_create(&thread, NULL, ask_and_stop, &c), 0);
        for (int k = 0; k < i % 7; k++)
            CHECK_OK(trine_yield());
        atomic_store(&g.open, true);
        while (pthread_tryjoin_np(thread, NULL) != 0)
            CHECK_OK(trine_yield());
        CHECK_OK(trine_join(s));
    }
    return 0;
}

/* --- several futures of another thread --- */

struct several {
    trine_future *f[3]; /* the last one is the waiter's own */
    size_t n;
    trine_until until;
    int64_t timeout;
    int result, index;
    atomic_bool asks, over;
};

static void *wait_elsewhere(void *arg) {
    struct several *w = arg;
    struct gated own = {.open = true, .value = 1};
    trine_executor *pool;
    CHECK_OK(trine_threads_open(&pool, NULL));
    {
        TRINE_SCOPE(s);
        w->f[2] = trine_start(s, pool, pass, &own);
        atomic_store(&w->asks, true);
        w->result = trine_wait(w->f, w->n, w->until, w->timeout);
        w->index = trine_await_any(w->f, w->n);
    }
    trine_executor_close(&pool);
    atomic_store(&w->over, true);
    return NULL;
}

/* Which of the two gates of ours opens when; what the other thread's wait gives. */
static void check_wait(struct several w, int first, int second, int result, int index) {
    struct gated g[2] = {{.value = -EDOM}, {.value = 7}};
    pthread_t thread;
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    for (int i = 0; i < 2; i++)
        w.f[i] = trine_start(s, NULL, pass, &g[i]);
    CHECK_EQ(pthread_create(&thread, NULL, wait_elsewhere, &w), 0);
    while (!atomic_load(&w.asks))
        CHECK_OK(trine_yield());
    const int order[] = {first, second};
    for (int i = 0; i < 2; i++) {
        if (order[i] < 0)
            continue;
        atomic_store(&g[order[i]].open, true);
        CHECK_OK(trine_await(w.f[order[i]], NULL));
    }
    while (!atomic_load(&w.over))
        CHECK_OK(trine_sleep(TRINE_US(200)));
    pthread_join(thread, NULL);
    CHECK_EQ(w.result, result);
    CHECK_EQ(w.index, index);
    atomic_store(&g[0].open, true);
    atomic_store(&g[1].open, true);
    trine_join(s);
}

IN_LOOP(several_futures_of_another_thread_are_waited_for) {
    check_wait((struct several){.n = 2, .until = TRINE_UNTIL_FIRST, .timeout = -1}, 1, -1, 0, 1);
    check_wait((struct several){.n = 2, .until = TRINE_UNTIL_ALL, .timeout = -1}, 1, 0, 0, 0);
    check_wait((struct several){.n = 2, .until = TRINE_UNTIL_ERROR, .timeout = -1}, 0, -1, 0, 0);
    return 0;
}

IN_LOOP(futures_of_both_threads_are_waited_for) {
    check_wait((struct several){.n = 3, .until = TRINE_UNTIL_FIRST, .timeout = -1}, -1, -1, 0, 2);
    check_wait((struct several){.n = 3, .until = TRINE_UNTIL_ALL, .timeout = -1}, 0, 1, 0, 0);
    return 0;
}

/* Its time is over, which ends nothing; the second wait goes on until the gate opens. */
static void *wait_in_vain(void *arg) {
    struct several *w = arg;
    w->result = trine_wait(w->f, 2, TRINE_UNTIL_ALL, w->timeout);
    atomic_store(&w->over, true);
    return NULL;
}

static int wait_by_time(int64_t timeout, bool done) {
    struct gated g[2] = {{.open = done}, {.open = done}};
    struct several w = {.timeout = timeout};
    pthread_t thread;
    TRINE_SCOPE(s);
    for (int i = 0; i < 2; i++)
        w.f[i] = trine_start(s, NULL, pass, &g[i]);
    if (done)
        CHECK_OK(trine_join(s));
    CHECK_EQ(pthread_create(&thread, NULL, wait_in_vain, &w), 0);
    while (!atomic_load(&w.over))
        CHECK_OK(trine_sleep(TRINE_US(200)));
    pthread_join(thread, NULL);
    CHECK_EQ(trine_status(w.f[0]), done ? 0 : -EINPROGRESS);
    atomic_store(&g[0].open, true);
    atomic_store(&g[1].open, true);
    CHECK_OK(trine_join(s));
    return w.result;
}

IN_LOOP(a_look_at_another_threads_futures_and_a_wait_that_is_over_end_nothing) {
    CHECK_EQ(wait_by_time(0, false), -ETIME);
    CHECK_EQ(wait_by_time(0, true), 0);
    CHECK_EQ(wait_by_time(TRINE_MS(2), false), -ETIME);
    CHECK_EQ(wait_by_time(TRINE_MS(2), true), 0);
    return 0;
}
