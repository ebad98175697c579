/* core_mutex.c - mutex and condition: exclusion, order, cancellation in both orders of its race
 * with the wake-up, deadlines; for coroutines, for threads, and for both at once. */
#include "loop_case.h"

#include <trine/sync.h>

#include <pthread.h>
#include <stdatomic.h>

/* --- mutex --- */

struct locker {
    trine_mutex *mutex;
    int number;
    int *order, *count; /* who had it when; NULL: not noted */
    int result;
};

static int lock_and_note(struct locker *l) {
    l->result = trine_mutex_lock(l->mutex);
    if (l->result < 0)
        return l->result;
    if (l->order)
        l->order[(*l->count)++] = l->number;
    trine_mutex_unlock(l->mutex);
    return 0;
}
TRINE_TASK(lock_and_note, struct locker);

IN_LOOP(a_mutex_serves_a_loop_in_order_of_coming) {
    trine_mutex m = {0};
    int order[10], count = 0;
    struct locker l[10];
    TRINE_SCOPE(s);
    CHECK_EQ(trine_mutex_lock(&m), 0);
    for (int i = 0; i < 10; i++) {
        l[i] = (struct locker){&m, i, order, &count, 0};
        trine_spawn(s, lock_and_note, &l[i]);
    }
    settle();
    trine_sync_stats stats;
    trine_mutex_stats(&m, &stats);
    CHECK_EQ(stats.waiters, 10UL);
    CHECK_EQ(stats.held, 1UL);
    CHECK_STR(stats.owner, "a_mutex_serves_a_loop_in_order_of_coming_body");
    trine_mutex_unlock(&m);
    CHECK_EQ(trine_mutex_lock(&m), 0); /* behind all of them */
    CHECK_EQ(count, 10);
    for (int i = 0; i < 10; i++)
        CHECK_EQ(order[i], i);
    trine_mutex_unlock(&m);
    return trine_join(s);
}

IN_LOOP(a_cancelled_waiter_leaves_the_mutex_to_the_next) {
    trine_mutex m = {0};
    struct locker a = {&m, 1, NULL, NULL, 1}, b = {&m, 2, NULL, NULL, 1};
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    CHECK_EQ(trine_mutex_lock(&m), 0);
    trine_future *first = trine_start(s, NULL, lock_and_note, &a);
    trine_spawn(s, lock_and_note, &b);
    settle();
    trine_cancel(first, 0); /* before it is woken */
    settle();
    CHECK_EQ(a.result, -ECANCELED);
    trine_mutex_unlock(&m);
    settle();
    CHECK_EQ(b.result, 0);
    CHECK_EQ(trine_mutex_try_lock(&m), 0);
    trine_mutex_unlock(&m);
    return 0;
}

IN_LOOP(a_mutex_that_was_handed_over_beats_the_cancel) {
    trine_mutex m = {0};
    struct locker a = {&m, 1, NULL, NULL, 1}, b = {&m, 2, NULL, NULL, 1};
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    CHECK_EQ(trine_mutex_lock(&m), 0);
    trine_future *first = trine_start(s, NULL, lock_and_note, &a);
    trine_spawn(s, lock_and_note, &b);
    settle();
    trine_mutex_unlock(&m); /* a owns it now, and has not run yet */
    CHECK_EQ(trine_mutex_try_lock(&m), -EBUSY);
    trine_cancel(first, 0);
    settle();
    CHECK_EQ(a.result, 0);
    CHECK_EQ(b.result, 0);
    return trine_join(s) == -ECANCELED ? 0 : trine_join(s);
}

IN_LOOP(a_mutex_goes_to_who_waits_not_to_who_comes_back_first) {
    trine_mutex m = {0};
    struct locker a = {&m, 1, NULL, NULL, 1};
    TRINE_SCOPE(s);
    CHECK_EQ(trine_mutex_lock(&m), 0);
    trine_spawn(s, lock_and_note, &a);
    settle();
    trine_mutex_unlock(&m);
    CHECK_EQ(trine_mutex_try_lock(&m), -EBUSY);
    CHECK_EQ(trine_join(s), 0);
    CHECK_EQ(a.result, 0);
    return 0;
}

IN_LOOP(a_cancelled_task_does_not_even_try) {
    trine_mutex m = {0};
    TRINE_SCOPE(s);
    trine_scope_cancel(s, 0);
    CHECK_EQ(trine_mutex_lock(&m), -ECANCELED);
    CHECK_EQ(trine_mutex_try_lock(&m), 0);
    trine_mutex_unlock(&m);
    return 0;
}

IN_LOOP(a_deadline_ends_the_wait_for_a_mutex) {
    trine_mutex m = {0};
    CHECK_EQ(trine_mutex_lock(&m), 0);
    struct locker l = {&m, 0, NULL, NULL, 1};
    TRINE_SCOPE(s, .timeout = TRINE_MS(1));
    trine_spawn(s, lock_and_note, &l);
    CHECK_EQ(trine_join(s), -ETIMEDOUT);
    CHECK_EQ(l.result, -ETIMEDOUT);
    trine_mutex_unlock(&m);
    return 0;
}

struct shared {
    trine_mutex mutex;
    long value; /* not atomic: the mutex is all that guards it */
    int rounds, inside;
    bool fail;
};

static int count_up(struct shared **arg) {
    struct shared *s = *arg;
    for (int i = 0; i < s->rounds; i++) {
        int r = trine_mutex_lock(&s->mutex);
        if (r < 0)
            return r;
        s->fail |= s->inside++ != 0;
        s->value++;
        if (i % 16 == 0 && trine_yield() < 0)
            s->fail = true;
        s->inside--;
        trine_mutex_unlock(&s->mutex);
    }
    return 0;
}
TRINE_TASK(count_up, struct shared *);

static void *count_in_thread(void *arg) {
    struct shared *s = arg;
    CHECK_EQ(count_up(&s), 0);
    return NULL;
}

static int count_in_loop(struct shared **s) {
    TRINE_SCOPE(scope);
    for (int i = 0; i < 4; i++)
        trine_spawn(scope, count_up, s);
    return trine_join(scope);
}
TRINE_TASK(count_in_loop, struct shared *);

static void *count_in_loop_thread(void *arg) {
    struct shared *s = arg;
    CHECK_EQ(trine_run(count_in_loop, &s), 0);
    return NULL;
}

TEST(one_at_a_time_among_threads_and_coroutines) {
    static struct shared s = {.rounds = 3000};
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, i % 2 ? count_in_thread : count_in_loop_thread, &s);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQ(s.value, 3000L * (2 + 2 * 4));
    CHECK(!s.fail);
}

/* Two coroutines of one thread wait for a mutex that another thread gives back and takes again at
 * once, which is mostly quicker than the first of them can wake. */
struct rivals {
    trine_mutex mutex;
    struct locker first, second;
    int order[2], count;
    trine_scope *scope;
    atomic_bool waiting, over, stay; /* stay: the scope is still to be cancelled */
};

static int wait_both(struct rivals **arg) {
    struct rivals *r = *arg;
    r->first = (struct locker){&r->mutex, 1, r->order, &r->count, 1};
    r->second = (struct locker){&r->mutex, 2, r->order, &r->count, 1};
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    r->scope = s;
    trine_spawn(s, lock_and_note, &r->first);
    trine_spawn(s, lock_and_note, &r->second);
    settle();
    atomic_store(&r->waiting, true);
    int joined = trine_join(s);
    atomic_store(&r->over, true);
    while (atomic_load(&r->stay))
        sched_yield();
    return joined == -ECANCELED ? 0 : joined;
}
TRINE_TASK(wait_both, struct rivals *);

static void *wait_both_in_thread(void *arg) {
    struct rivals *r = arg;
    CHECK_EQ(trine_run(wait_both, &r), 0);
    return NULL;
}

/* Leaves the mutex held, with both behind it. */
static pthread_t begin_rivals(struct rivals *r) {
    pthread_t thread;
    CHECK_EQ(trine_mutex_lock(&r->mutex), 0);
    pthread_create(&thread, NULL, wait_both_in_thread, r);
    while (!atomic_load(&r->waiting))
        sched_yield();
    return thread;
}

TEST(who_tried_in_vain_stays_ahead_of_those_that_came_later) {
    for (int round = 0; round < 200; round++) {
        struct rivals r = {0};
        pthread_t thread = begin_rivals(&r);
        for (int i = 0; i < 3; i++) {
            trine_sync_stats stats;
            trine_mutex_unlock(&r.mutex);
            CHECK_EQ(trine_mutex_lock(&r.mutex), 0);
            do { /* until who tried waits again, or has had it */
                sched_yield();
                trine_mutex_stats(&r.mutex, &stats);
            } while (stats.waiters + (size_t)r.count < 2);
        }
        trine_mutex_unlock(&r.mutex);
        pthread_join(thread, NULL);
        CHECK_EQ(r.order[0], 1);
        CHECK_EQ(r.order[1], 2);
    }
}

TEST(who_tried_in_vain_and_is_cancelled_waits_no_longer) {
    int seen = 0;
    for (int round = 0; round < 2000 && seen < 20; round++) {
        struct rivals r = {.stay = true};
        pthread_t thread = begin_rivals(&r);
        trine_mutex_unlock(&r.mutex);
        CHECK_EQ(trine_mutex_lock(&r.mutex), 0);
        trine_scope_cancel(r.scope, 0);
        atomic_store(&r.stay, false);
        while (!atomic_load(&r.over)) /* while we hold the mutex */
            sched_yield();
        seen += r.first.result == -ECANCELED;
        trine_mutex_unlock(&r.mutex);
        pthread_join(thread, NULL);
        CHECK_EQ(trine_mutex_try_lock(&r.mutex), 0);
        trine_mutex_unlock(&r.mutex);
    }
}

TEST(a_plain_thread_needs_no_loop_to_lock) {
    trine_mutex m = {0};
    CHECK_EQ(trine_mutex_lock(&m), 0);
    trine_sync_stats stats;
    trine_mutex_stats(&m, &stats);
    CHECK_STR(stats.owner, "thread");
    trine_mutex_unlock(&m);
}

TEST_ABORTS(unlocking_what_is_not_held_aborts, "does not hold it") {
    trine_mutex m = {0};
    trine_mutex_unlock(&m);
}

TEST_ABORTS(locking_twice_aborts, "holds already") {
    trine_mutex m = {0};
    CHECK_EQ(trine_mutex_lock(&m), 0);
    CHECK_EQ(trine_mutex_lock(&m), 0);
}

/* --- condition --- */

struct wait {
    trine_mutex *mutex;
    trine_condition *condition;
    int result;
    bool held;
};

static int wait_once(struct wait *w) {
    int r = trine_mutex_lock(w->mutex);
    if (r < 0)
        return r;
    w->result = trine_condition_wait(w->condition, w->mutex);
    w->held = true;
    trine_mutex_unlock(w->mutex); /* aborts when it does not hold it */
    return w->result;
}
TRINE_TASK(wait_once, struct wait);

IN_LOOP(a_signal_wakes_one_and_a_broadcast_all) {
    trine_mutex m = {0};
    trine_condition c = {0};
    struct wait w[5];
    TRINE_SCOPE(s);
    for (int i = 0; i < 5; i++) {
        w[i] = (struct wait){&m, &c, 1, false};
        trine_spawn(s, wait_once, &w[i]);
    }
    settle();
    trine_sync_stats stats;
    trine_condition_stats(&c, &stats);
    CHECK_EQ(stats.waiters, 5UL);
    trine_condition_signal(&c);
    settle();
    CHECK_EQ(w[0].result, 0);
    CHECK_EQ(w[1].result, 1);
    trine_condition_broadcast(&c);
    settle();
    for (int i = 0; i < 5; i++)
        CHECK_EQ(w[i].result, 0);
    trine_condition_signal(&c); /* nobody waits: it is gone */
    return trine_join(s);
}

IN_LOOP(a_signal_is_not_lost_with_a_cancelled_waiter) {
    for (int cancel_first = 0; cancel_first < 2; cancel_first++) {
        trine_mutex m = {0};
        trine_condition c = {0};
        struct wait a = {&m, &c, 1, false}, b = {&m, &c, 1, false};
        TRINE_SCOPE(s, .policy = TRINE_COLLECT);
        trine_future *first = trine_start(s, NULL, wait_once, &a);
        trine_spawn(s, wait_once, &b);
        settle();
        if (cancel_first)
            trine_cancel(first, 0);
        trine_condition_signal(&c);
        if (!cancel_first)
            trine_cancel(first, 0);
        settle();
        /* Cancelled first: the signal reaches b. Signalled first: a has it. */
        CHECK_EQ(a.result, cancel_first ? -ECANCELED : 0);
        CHECK_EQ(b.result, cancel_first ? 0 : 1);
        CHECK(a.held);
        trine_condition_broadcast(&c);
    }
    return 0;
}

IN_LOOP(a_cancelled_wait_takes_the_mutex_again_and_waits_for_that) {
    trine_mutex m = {0};
    trine_condition c = {0};
    struct wait a = {&m, &c, 1, false};
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    trine_future *f = trine_start(s, NULL, wait_once, &a);
    settle();
    CHECK_EQ(trine_mutex_lock(&m), 0);
    trine_cancel(f, 0);
    settle();
    CHECK(!a.held); /* we hold it */
    trine_mutex_unlock(&m);
    settle();
    CHECK(a.held);
    CHECK_EQ(a.result, -ECANCELED);
    return 0;
}

TEST_ABORTS(a_condition_without_its_mutex_aborts, "without its mutex") {
    trine_mutex m = {0};
    trine_condition c = {0};
    CHECK_EQ(trine_condition_wait(&c, &m), 0);
}

struct buffer { /* a queue of one, by hand */
    trine_mutex mutex;
    trine_condition changed;
    int full, value;
    long sum;
};

static void *fill(void *arg) {
    struct buffer *b = arg;
    for (int i = 1; i <= 2000; i++) {
        CHECK_EQ(trine_mutex_lock(&b->mutex), 0);
        while (b->full)
            CHECK_EQ(trine_condition_wait(&b->changed, &b->mutex), 0);
        b->full = 1;
        b->value = i;
        trine_condition_broadcast(&b->changed);
        trine_mutex_unlock(&b->mutex);
    }
    return NULL;
}

static int empty(struct buffer **arg) {
    struct buffer *b = *arg;
    for (int i = 1; i <= 2000; i++) {
        CHECK_EQ(trine_mutex_lock(&b->mutex), 0);
        while (!b->full)
            CHECK_EQ(trine_condition_wait(&b->changed, &b->mutex), 0);
        b->full = 0;
        b->sum += b->value;
        trine_condition_broadcast(&b->changed);
        trine_mutex_unlock(&b->mutex);
    }
    return 0;
}
TRINE_TASK(empty, struct buffer *);

TEST(a_thread_and_a_coroutine_signal_each_other) {
    static struct buffer buffer;
    struct buffer *b = &buffer;
    pthread_t thread;
    pthread_create(&thread, NULL, fill, b);
    CHECK_EQ(trine_run(empty, &b), 0);
    pthread_join(thread, NULL);
    CHECK_EQ(b->sum, 2000L * 2001 / 2);
}
