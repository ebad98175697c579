/* threads_help.c - who waits for tasks of a pool that nobody has begun runs them: the threads of
 * the pool always, so that a pool may wait for itself; others where the pool says so. */
#include "test.h"
#include "trine.h"

#include <trine/parallel.h>
#include <trine/sync.h>
#include <trine/task.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

static trine_executor *open_pool(unsigned workers, bool help) {
    trine_executor *pool = NULL;
    CHECK_OK(trine_threads_open(&pool,
                                TRINE_OPTS(trine_threads_opts, .workers = workers, .help = help)));
    return pool;
}

/* --- a pool that waits for itself --- */

struct sum {
    trine_executor *pool;
    int from, to; /* without `to` */
    long result;
};

static int add_up(struct sum *s);
TRINE_TASK(add_up, struct sum);

static int add_up(struct sum *s) {
    int middle = s->from + (s->to - s->from) / 2;
    if (s->to - s->from == 1) {
        s->result = s->from;
        return 0;
    }
    struct sum half[2] = {{s->pool, s->from, middle, 0}, {s->pool, middle, s->to, 0}};
    int r = trine_map_all(s->pool, add_up, half, 2);
    s->result = half[0].result + half[1].result;
    return r;
}

TEST(a_task_may_wait_for_tasks_of_its_own_full_pool) {
    for (unsigned workers = 1; workers <= 3; workers++) {
        trine_executor *pool = open_pool(workers, false);
        struct sum s = {pool, 0, 1000, 0};
        CHECK_OK(trine_map_all(pool, add_up, &s, 1));
        CHECK_EQ(s.result, 499500);
        trine_executor_close(&pool);
    }
}

static int await_one_by_one(struct sum *s) {
    struct sum parts[6];
    trine_future *f[6];
    TRINE_SCOPE(scope, .limit = 2);
    for (int i = 0; i < 6; i++) {
        parts[i] = (struct sum){s->pool, i, i + 3, 0};
        f[i] = trine_start(scope, s->pool, add_up, &parts[i]);
    }
    for (int i = 5; i >= 4; i--) /* these wait for their scope's limit */
        CHECK_OK(trine_await(f[i], NULL));
    CHECK(trine_await_any(f, 4) >= 0);
    trine_future *done;
    for (int i = 0; i < 6; i++)
        CHECK_EQ(trine_next_done(scope, &done), 1);
    for (int i = 0; i < 6; i++)
        s->result += parts[i].result;
    return trine_join(scope);
}
TRINE_TASK(await_one_by_one, struct sum);

TEST(each_kind_of_wait_for_a_future_goes_on) {
    trine_executor *pool = open_pool(1, false);
    struct sum s = {pool, 0, 0, 0};
    CHECK_OK(trine_map_all(pool, await_one_by_one, &s, 1));
    CHECK_EQ(s.result, 3 * (0 + 1 + 2 + 3 + 4 + 5) + 6 * 3);
    trine_executor_close(&pool);
}

static int count_piece(size_t from, size_t to, void *arg) {
    atomic_fetch_add((atomic_size_t *)arg, to - from);
    return 0;
}

struct loops {
    trine_executor *pool;
    atomic_size_t count;
};

static int run_loop(struct loops *l) {
    return trine_parallel_for(l->pool, 0, 1000, 10, count_piece, &l->count);
}
TRINE_TASK(run_loop, struct loops);

TEST(a_parallel_loop_may_be_run_in_its_own_pool) {
    trine_executor *pool = open_pool(2, false);
    struct loops l[8];
    for (int i = 0; i < 8; i++)
        l[i] = (struct loops){.pool = pool};
    CHECK_OK(trine_map_all(pool, run_loop, l, 8));
    for (int i = 0; i < 8; i++)
        CHECK_EQ(atomic_load(&l[i].count), 1000);
    trine_executor_close(&pool);
}

/* --- nothing else is run meanwhile --- */

struct holder {
    trine_executor *pool;
    trine_mutex *mutex;
    atomic_int *order;
    atomic_bool *queued;
    int mine, other, inner;
};

static int note_inner(struct holder *h) {
    h->inner = atomic_fetch_add(h->order, 1);
    return 0;
}
TRINE_TASK(note_inner, struct holder);

static int want_mutex(struct holder *h) {
    int r = trine_mutex_lock(h->mutex);
    if (r < 0)
        return r;
    h->other = atomic_fetch_add(h->order, 1);
    trine_mutex_unlock(h->mutex);
    return 0;
}
TRINE_TASK(want_mutex, struct holder);

static int hold_mutex(struct holder *h) {
    int r = trine_mutex_lock(h->mutex);
    if (r < 0)
        return r;
    while (!atomic_load(h->queued))
        sched_yield();
    r = trine_map_all(h->pool, note_inner, h, 1);
    h->mine = atomic_fetch_add(h->order, 1);
    trine_mutex_unlock(h->mutex);
    return r;
}
TRINE_TASK(hold_mutex, struct holder);

TEST(a_thread_that_waits_runs_no_task_of_another_scope) {
    trine_executor *pool = open_pool(1, false);
    trine_mutex mutex = {0};
    atomic_int order = 0;
    atomic_bool queued = false;
    struct holder holder = {pool, &mutex, &order, &queued, -1, -1, -1}, other = holder;
    TRINE_SCOPE(s);
    CHECK_OK(trine_submit(s, pool, hold_mutex, &holder));
    CHECK_OK(trine_submit(s, pool, want_mutex, &other)); /* would lock what its thread holds */
    atomic_store(&queued, true);
    CHECK_OK(trine_join(s));
    CHECK_EQ(holder.inner, 0);
    CHECK_EQ(holder.mine, 1);
    CHECK_EQ(other.other, 2);
    trine_scope_close(&s);
    trine_executor_close(&pool);
}

/* --- plain threads --- */

struct where {
    pthread_t thread;
    int status;
    const char *name;
};

static int note_thread(struct where *w) {
    w->thread = pthread_self();
    w->name = trine_task_name();
    return w->status;
}
TRINE_TASK(note_thread, struct where);

static atomic_bool gate;

static int pass_gate(struct where *w) {
    (void)w;
    while (!atomic_load(&gate))
        sched_yield();
    return 0;
}
TRINE_TASK(pass_gate, struct where);

static void wait_for_task_of_busy_pool(bool help) {
    trine_executor *pool = open_pool(1, help);
    struct where w = {.status = 7};
    atomic_store(&gate, false);
    TRINE_SCOPE(s);
    CHECK_OK(trine_submit(s, pool, pass_gate, &w));
    trine_future *f = trine_start(s, pool, note_thread, &w);
    if (!help)
        atomic_store(&gate, true);
    int status = 0;
    CHECK_OK(trine_await(f, &status));
    CHECK_EQ(status, 7);
    CHECK_EQ(pthread_equal(w.thread, pthread_self()) != 0, help);
    CHECK_STR(w.name, "note_thread");
    CHECK(!trine_task_name());
    atomic_store(&gate, true);
    CHECK_OK(trine_join(s));
    trine_scope_close(&s);
    trine_executor_close(&pool);
}

TEST(a_thread_helps_a_pool_that_wants_it) {
    wait_for_task_of_busy_pool(true);
    wait_for_task_of_busy_pool(false);
}

static int sleep_some(struct where *w) {
    w->thread = pthread_self();
    return trine_sleep(TRINE_MS(20));
}
TRINE_TASK(sleep_some, struct where);

TEST(the_deadline_of_who_waits_is_not_that_of_the_task) {
    trine_executor *pool = open_pool(1, true);
    struct where w = {0};
    atomic_store(&gate, false);
    TRINE_SCOPE(s);
    CHECK_OK(trine_submit(s, pool, pass_gate, &w));
    trine_future *f = trine_start(s, pool, sleep_some, &w);
    {
        TRINE_SCOPE(inner, .timeout = TRINE_MS(1));
        int status = -1;
        CHECK_OK(trine_await(f, &status)); /* it was done by ourselves, if late */
        CHECK_EQ(status, 0);
        CHECK(pthread_equal(w.thread, pthread_self()));
        CHECK_EQ(trine_sleep(1), -ETIMEDOUT);
    }
    atomic_store(&gate, true);
    CHECK_OK(trine_join(s));
    trine_scope_close(&s);
    trine_executor_close(&pool);
}

TEST(an_error_and_the_end_of_a_scope_reach_tasks_that_are_run_by_who_waits) {
    trine_executor *pool = open_pool(1, true);
    struct where gated = {0}, fails = {.status = -EDOM}, last = {0};
    atomic_store(&gate, false);
    TRINE_SCOPE(s, .policy = TRINE_FAIL_FAST);
    CHECK_OK(trine_submit(s, pool, pass_gate, &gated));
    trine_future *f[2] = {trine_start(s, pool, note_thread, &fails),
                          trine_start(s, pool, note_thread, &last)};
    CHECK_OK(trine_await(f[0], NULL));
    CHECK_EQ(trine_error_of(f[0])->code, -EDOM);
    atomic_store(&gate, true);
    CHECK_EQ(trine_join(s), -EDOM);
    CHECK(!last.name); /* it never began */
    CHECK_EQ(trine_status(f[1]), -ECANCELED);
    trine_scope_close(&s);
    trine_executor_close(&pool);
}
