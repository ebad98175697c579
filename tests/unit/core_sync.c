/* core_sync.c - semaphore, limiter, event, barrier, readers-writer lock, once: what they let in,
 * order, cancellation in both orders of its race with the wake-up; for coroutines and threads. */
#include "loop_case.h"

#include <trine/sync.h>

#include <pthread.h>
#include <stdatomic.h>

/* --- semaphore and limiter --- */

struct taker {
    trine_semaphore *semaphore;
    trine_limiter *limiter;
    trine_event *go;
    int *inside, *most;
    int result;
};

static int take_permit(struct taker *t) {
    t->result =
        t->semaphore ? trine_semaphore_acquire(t->semaphore) : trine_limiter_acquire(t->limiter);
    if (t->result < 0)
        return t->result;
    *t->most = ++*t->inside > *t->most ? *t->inside : *t->most;
    int r = t->go ? trine_event_wait(t->go) : 0;
    --*t->inside;
    if (t->semaphore)
        trine_semaphore_release(t->semaphore);
    else
        trine_limiter_release(t->limiter);
    return r;
}
TRINE_TASK(take_permit, struct taker);

IN_LOOP(a_semaphore_lets_as_many_in_as_it_has_permits) {
    trine_semaphore semaphore;
    trine_semaphore_init(&semaphore, 3, 3);
    trine_event go = {0};
    int inside = 0, most = 0;
    struct taker t[8];
    TRINE_SCOPE(s);
    for (int i = 0; i < 8; i++) {
        t[i] = (struct taker){&semaphore, NULL, &go, &inside, &most, 1};
        trine_spawn(s, take_permit, &t[i]);
    }
    settle();
    CHECK_EQ(inside, 3);
    trine_sync_stats stats;
    trine_semaphore_stats(&semaphore, &stats);
    CHECK_EQ(stats.waiters, 5UL);
    CHECK_EQ(stats.held, 3UL);
    CHECK_EQ(trine_semaphore_try_acquire(&semaphore), -EBUSY);
    trine_event_set(&go);
    CHECK_EQ(trine_join(s), 0);
    CHECK_EQ(most, 3);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(trine_semaphore_try_acquire(&semaphore), 0);
    return 0;
}

IN_LOOP(a_permit_is_not_lost_with_a_cancelled_waiter) {
    for (int cancel_first = 0; cancel_first < 2; cancel_first++) {
        trine_semaphore semaphore;
        trine_semaphore_init(&semaphore, 0, 0);
        int inside = 0, most = 0;
        struct taker a = {&semaphore, NULL, NULL, &inside, &most, 1}, b = a;
        TRINE_SCOPE(s, .policy = TRINE_COLLECT);
        trine_future *first = trine_start(s, NULL, take_permit, &a);
        trine_spawn(s, take_permit, &b);
        settle();
        if (cancel_first)
            trine_cancel(first, 0);
        trine_semaphore_release(&semaphore);
        if (!cancel_first)
            trine_cancel(first, 0);
        settle();
        CHECK_EQ(a.result, cancel_first ? -ECANCELED : 0);
        CHECK_EQ(b.result, 0); /* from us, or from a when it was done */
    }
    return 0;
}

struct players {
    trine_semaphore here, there;
};

static void *play(void *arg) {
    struct players *p = arg;
    for (int i = 0; i < 20000; i++) {
        CHECK_EQ(trine_semaphore_acquire(&p->there), 0);
        trine_semaphore_release(&p->here);
    }
    return NULL;
}

TEST(a_permit_that_comes_while_somebody_begins_to_wait_is_not_lost) {
    struct players p;
    trine_semaphore_init(&p.here, 0, 0);
    trine_semaphore_init(&p.there, 0, 0);
    pthread_t thread;
    pthread_create(&thread, NULL, play, &p);
    for (int i = 0; i < 20000; i++) {
        trine_semaphore_release(&p.there);
        CHECK_EQ(trine_semaphore_acquire(&p.here), 0);
    }
    pthread_join(thread, NULL);
}

TEST_ABORTS(a_bounded_semaphore_takes_no_permit_too_many, "at most 2 permits") {
    trine_semaphore s;
    trine_semaphore_init(&s, 2, 2);
    trine_semaphore_release(&s);
}

IN_LOOP(a_limiter_grows_and_shrinks_while_it_is_used) {
    trine_limiter limiter;
    trine_limiter_init(&limiter, 2);
    trine_event go = {0};
    int inside = 0, most = 0;
    struct taker t[6];
    TRINE_SCOPE(s);
    for (int i = 0; i < 6; i++) {
        t[i] = (struct taker){NULL, &limiter, &go, &inside, &most, 1};
        trine_spawn(s, take_permit, &t[i]);
    }
    settle();
    CHECK_EQ(inside, 2);
    trine_limiter_set(&limiter, 4);
    settle();
    CHECK_EQ(inside, 4);
    trine_limiter_set(&limiter, 1);
    trine_sync_stats stats;
    trine_limiter_stats(&limiter, &stats);
    CHECK_EQ(stats.held, 4UL);
    CHECK_EQ(stats.waiters, 2UL);
    trine_event_set(&go);
    CHECK_EQ(trine_join(s), 0);
    CHECK_EQ(most, 4);
    return 0;
}

TEST_ABORTS(a_limiter_is_not_given_more_than_was_taken, "nobody had taken") {
    trine_limiter l;
    trine_limiter_init(&l, 2);
    trine_limiter_release(&l);
}

/* --- event, barrier --- */

static int await_event(trine_event **e) {
    return trine_event_wait(*e);
}
TRINE_TASK(await_event, trine_event *);

static void *set_event(void *arg) {
    trine_event_set(arg);
    return NULL;
}

IN_LOOP(an_event_lets_all_go_and_can_be_cleared) {
    trine_event event = {0}, *e = &event;
    {
        TRINE_SCOPE(s);
        for (int i = 0; i < 5; i++)
            trine_spawn(s, await_event, &e);
        settle();
        pthread_t thread;
        pthread_create(&thread, NULL, set_event, e);
        CHECK_EQ(trine_join(s), 0);
        pthread_join(thread, NULL);
        CHECK(trine_event_is_set(e));
        CHECK_EQ(trine_event_wait(e), 0);
    }
    trine_event_clear(e);
    TRINE_SCOPE(s, .timeout = TRINE_MS(1));
    CHECK_EQ(trine_event_wait(e), -ETIMEDOUT);
    return 0;
}

struct party {
    trine_barrier *barrier;
    atomic_int *come, *last;
    int rounds, result;
};

static int meet(struct party *p) {
    for (int i = 0; i < p->rounds; i++) {
        atomic_fetch_add(p->come, 1);
        p->result = trine_barrier_wait(p->barrier);
        if (p->result < 0)
            return p->result;
        if (atomic_load(p->come) < 4 * (i + 1))
            return -EILSEQ; /* we were let go too early */
        atomic_fetch_add(p->last, p->result);
        if (trine_barrier_wait(p->barrier) < 0)
            return -EILSEQ;
    }
    return 0;
}
TRINE_TASK(meet, struct party);

static void *meet_in_thread(void *arg) {
    CHECK_EQ(meet(arg), 0);
    return NULL;
}

IN_LOOP(a_barrier_lets_go_when_all_have_come_again_and_again) {
    trine_barrier barrier;
    trine_barrier_init(&barrier, 4);
    static atomic_int come, last;
    struct party p[4];
    pthread_t threads[2];
    TRINE_SCOPE(s);
    for (int i = 0; i < 4; i++) {
        p[i] = (struct party){&barrier, &come, &last, 200, 0};
        if (i < 2)
            trine_spawn(s, meet, &p[i]);
        else
            pthread_create(&threads[i - 2], NULL, meet_in_thread, &p[i]);
    }
    CHECK_EQ(trine_join(s), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQ(atomic_load(&last), 200); /* one of four each time */
    return 0;
}

IN_LOOP(a_cancelled_party_has_not_come) {
    trine_barrier barrier;
    trine_barrier_init(&barrier, 2);
    {
        TRINE_SCOPE(s, .timeout = TRINE_MS(1));
        CHECK_EQ(trine_barrier_wait(&barrier), -ETIMEDOUT);
    }
    trine_sync_stats stats;
    trine_barrier_stats(&barrier, &stats);
    CHECK_EQ(stats.held, 0UL);
    TRINE_SCOPE(s, .timeout = TRINE_MS(1));
    CHECK_EQ(trine_barrier_wait(&barrier), -ETIMEDOUT); /* not let go by the first */
    return 0;
}

static int come_once(struct party *p) {
    return p->result = trine_barrier_wait(p->barrier);
}
TRINE_TASK(come_once, struct party);

IN_LOOP(a_broken_barrier_ends_all_waits) {
    trine_barrier barrier;
    trine_barrier_init(&barrier, 3);
    struct party p = {.barrier = &barrier, .result = 1};
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    trine_spawn(s, come_once, &p);
    settle();
    trine_barrier_break(&barrier);
    CHECK_EQ(trine_barrier_wait(&barrier), -ECONNABORTED);
    CHECK_EQ(trine_join(s), -ECONNABORTED);
    CHECK_EQ(p.result, -ECONNABORTED);
    return 0;
}

/* --- readers-writer lock --- */

struct visitor {
    trine_rwlock *lock;
    trine_event *go;
    bool writes;
    char name;
    char *trace; /* upper case: went in; lower case: out */
    int *at;
    int result;
};

static int visit(struct visitor *v) {
    v->result = v->writes ? trine_rwlock_write(v->lock) : trine_rwlock_read(v->lock);
    if (v->result < 0)
        return v->result;
    v->trace[(*v->at)++] = v->name;
    int r = trine_event_wait(v->go);
    v->trace[(*v->at)++] = (char)(v->name + 'a' - 'A');
    trine_rwlock_unlock(v->lock);
    return r;
}
TRINE_TASK(visit, struct visitor);

IN_LOOP(readers_share_writers_do_not_and_nobody_overtakes) {
    trine_rwlock lock = {0};
    trine_event go = {0};
    char trace[32] = "";
    int at = 0;
    struct visitor v[5];
    TRINE_SCOPE(s);
    for (int i = 0; i < 5; i++) { /* A and B read, C writes, D and E read */
        v[i] = (struct visitor){&lock, &go, i == 2, (char)('A' + i), trace, &at, 1};
        trine_spawn(s, visit, &v[i]);
    }
    settle();
    CHECK_STR(trace, "AB");
    trine_sync_stats stats;
    trine_rwlock_stats(&lock, &stats);
    CHECK_EQ(stats.held, 2UL);
    CHECK_EQ(stats.waiters, 3UL);
    trine_event_set(&go);
    CHECK_EQ(trine_join(s), 0);
    CHECK_STR(trace, "ABabCcDdEe");
    return 0;
}

IN_LOOP(who_waits_behind_a_cancelled_writer_goes_in) {
    trine_rwlock lock = {0};
    trine_event go = {0};
    char trace[32] = "";
    int at = 0;
    struct visitor reader = {&lock, &go, false, 'A', trace, &at, 1}, writer = reader, last = reader;
    writer.writes = true;
    writer.name = 'B';
    last.name = 'C';
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    trine_spawn(s, visit, &reader);
    trine_future *f = trine_start(s, NULL, visit, &writer);
    trine_spawn(s, visit, &last);
    settle();
    CHECK_STR(trace, "A");
    trine_cancel(f, 0);
    settle();
    CHECK_STR(trace, "AC");
    CHECK_EQ(writer.result, -ECANCELED);
    trine_event_set(&go);
    trine_join(s);
    CHECK_EQ(trine_rwlock_write(&lock), 0);
    trine_rwlock_unlock(&lock);
    return 0;
}

TEST_ABORTS(a_lock_that_nobody_holds_is_not_unlocked, "nobody holds") {
    trine_rwlock l = {0};
    trine_rwlock_unlock(&l);
}

struct pair {
    trine_rwlock lock;
    long a, b;
    bool torn;
};

static void *write_pair(void *arg) {
    struct pair *p = arg;
    for (int i = 0; i < 2000; i++) {
        CHECK_EQ(trine_rwlock_write(&p->lock), 0);
        p->a++;
        p->b++;
        trine_rwlock_unlock(&p->lock);
    }
    return NULL;
}

static void *read_pair(void *arg) {
    struct pair *p = arg;
    for (int i = 0; i < 2000; i++) {
        CHECK_EQ(trine_rwlock_read(&p->lock), 0);
        if (p->a != p->b)
            __atomic_store_n(&p->torn, true, __ATOMIC_RELAXED);
        trine_rwlock_unlock(&p->lock);
    }
    return NULL;
}

TEST(readers_in_threads_never_see_half_a_write) {
    static struct pair p;
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, i < 2 ? write_pair : read_pair, &p);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQ(p.a, 4000L);
    CHECK(!p.torn);
}

/* --- once --- */

struct start {
    trine_once *once;
    int runs, fail; /* fails that often */
    int result;
};

static int start_up(void *arg) {
    struct start *s = arg;
    int r = trine_yield();
    s->runs++;
    return r < 0 ? r : s->runs <= s->fail ? -EIO : 0;
}

struct user {
    struct start *start;
    int result;
};

static int use(struct user *u) {
    return u->result = trine_once_run(u->start->once, start_up, u->start);
}
TRINE_TASK(use, struct user);

IN_LOOP(once_runs_until_it_has_succeeded_and_all_wait_for_that) {
    trine_once once = {0};
    struct start start = {&once, 0, 2, 0};
    struct user u[6];
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    for (int i = 0; i < 6; i++) {
        u[i] = (struct user){&start, 1};
        trine_spawn(s, use, &u[i]);
    }
    CHECK_EQ(trine_join(s), -EIO);
    CHECK_EQ(start.runs, 3);
    for (int i = 0; i < 6; i++)
        CHECK_EQ(u[i].result, i < 2 ? -EIO : 0);
    CHECK_EQ(trine_once_run(&once, start_up, &start), 0);
    CHECK_EQ(start.runs, 3);
    return 0;
}

IN_LOOP(once_passes_on_when_its_runner_is_cancelled) {
    trine_once once = {0};
    struct start start = {&once, 0, 0, 0};
    struct user a = {&start, 1}, b = {&start, 1};
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    trine_future *first = trine_start(s, NULL, use, &a);
    trine_spawn(s, use, &b);
    CHECK_EQ(trine_yield(), 0); /* a is in start_up, b waits for it */
    trine_cancel(first, 0);
    settle();
    CHECK_EQ(b.result, 0);
    return 0;
}
