/* sync_storm.c - coroutines of several threads use one set of locks and channels at random, and
 * many of their waits are cut short by deadlines of microseconds. Exclusion must hold, nothing that
 * is counted may be lost or doubled, and nobody may be left waiting: a lost wake-up hangs, and the
 * harness says so. The seed is printed and replays with TRINE_SEED, as far as threads replay. */
#define TEST_TIMEOUT 600
#include "test.h"

#include <trine/select.h>
#include <trine/sync.h>

#include <pthread.h>
#include <stdatomic.h>

enum { THREADS = 4, COROUTINES = 8, PERMITS = 3, TOKENS = 6 };

static struct {
    trine_mutex mutex, ready_mutex;
    trine_condition ready;
    trine_semaphore semaphore;
    trine_limiter limiter;
    trine_rwlock rwlock;
    trine_channel *ring,
        *hand;             /* tokens go round in the one, items from hand to hand in the other */
    int in_mutex, readies; /* guarded by what they count */
    atomic_int in_semaphore, in_limiter, readers, writers, cut, handed, taken;
    atomic_bool wrong;
    int rounds;
} world;

struct walker {
    uint64_t dice;
};

static unsigned roll(struct walker *w, unsigned n) {
    w->dice ^= w->dice << 13;
    w->dice ^= w->dice >> 7;
    w->dice ^= w->dice << 17;
    return (unsigned)(w->dice >> 33) % n;
}

static void must(bool condition) {
    if (!condition)
        atomic_store(&world.wrong, true);
}

/* A wait that a deadline may end, and by nothing else. */
static bool got(int r) {
    must(r == 0 || r == -ETIMEDOUT);
    if (r < 0)
        atomic_fetch_add(&world.cut, 1);
    return r == 0;
}

static int pause_in(struct walker *w) {
    return roll(w, 4) ? 0 : trine_yield();
}

static void use_mutex(struct walker *w) {
    if (!got(trine_mutex_lock(&world.mutex)))
        return;
    must(world.in_mutex++ == 0);
    (void)!pause_in(w);
    world.in_mutex--;
    trine_mutex_unlock(&world.mutex);
}

static void use_semaphore(struct walker *w) {
    if (!got(trine_semaphore_acquire(&world.semaphore)))
        return;
    must(atomic_fetch_add(&world.in_semaphore, 1) < PERMITS);
    (void)!pause_in(w);
    atomic_fetch_sub(&world.in_semaphore, 1);
    trine_semaphore_release(&world.semaphore);
}

static void use_limiter(struct walker *w) {
    if (!got(trine_limiter_acquire(&world.limiter)))
        return;
    must(atomic_fetch_add(&world.in_limiter, 1) < PERMITS);
    (void)!pause_in(w);
    atomic_fetch_sub(&world.in_limiter, 1);
    trine_limiter_release(&world.limiter);
}

static void use_rwlock(struct walker *w) {
    bool writes = roll(w, 3) == 0;
    if (!got(writes ? trine_rwlock_write(&world.rwlock) : trine_rwlock_read(&world.rwlock)))
        return;
    atomic_fetch_add(writes ? &world.writers : &world.readers, 1);
    (void)!pause_in(w);
    int writers = atomic_load(&world.writers), readers = atomic_load(&world.readers);
    must(writes ? writers == 1 && readers == 0 : writers == 0 && readers > 0);
    atomic_fetch_sub(writes ? &world.writers : &world.readers, 1);
    trine_rwlock_unlock(&world.rwlock);
}

static void move_token(struct walker *w) {
    int64_t token;
    (void)w;
    if (!got(trine_channel_recv(world.ring, &token)))
        return;
    must(token >= 0 && token < TOKENS);
    must(trine_channel_try_send(world.ring, &token) == 0); /* there is room for all */
}

/* Puts something there and takes something away, by select, so that nobody needs a partner. */
static void trade(struct walker *w) {
    int64_t mine = roll(w, 1000), other;
    trine_case cases[] = {TRINE_CASE_SEND(world.hand, &mine), TRINE_CASE_RECV(world.hand, &other)};
    int which = trine_select(cases, 2, TRINE_US(roll(w, 200)));
    must(which >= 0 || which == -ETIME || which == -ETIMEDOUT);
    if (which == 0)
        atomic_fetch_add(&world.handed, 1);
    if (which == 1)
        atomic_fetch_add(&world.taken, 1);
}

/* Each waits for what another has said before, or says so itself. */
static void say_or_wait(struct walker *w) {
    if (!got(trine_mutex_lock(&world.ready_mutex)))
        return;
    if (world.readies == 0 && roll(w, 2)) {
        TRINE_SCOPE(s, .timeout = TRINE_US(100)); /* there may be nobody left to say it */
        while (world.readies == 0 && got(trine_condition_wait(&world.ready, &world.ready_mutex)))
            ;
    }
    if (world.readies > 0) {
        world.readies--;
    } else {
        world.readies++;
        trine_condition_signal(&world.ready);
    }
    trine_mutex_unlock(&world.ready_mutex);
}

static int walk(struct walker *w) {
    static void (*const steps[])(struct walker *) = {use_mutex,  use_semaphore, use_limiter,
                                                     use_rwlock, move_token,    trade,
                                                     say_or_wait};
    for (int i = 0; i < world.rounds; i++) {
        void (*step)(struct walker *) = steps[roll(w, sizeof(steps) / sizeof(*steps))];
        TRINE_SCOPE(s, .timeout = roll(w, 2) ? TRINE_US(1 + roll(w, 50)) : 0);
        step(w);
    }
    return 0;
}
TRINE_TASK(walk, struct walker);

static int walk_all(struct walker *walkers) {
    TRINE_SCOPE(s);
    trine_map(s, NULL, walk, walkers, COROUTINES);
    return trine_join(s);
}
TRINE_TASK(walk_all, struct walker);

static void *walk_in_thread(void *arg) {
    CHECK_EQ(trine_run(walk_all, (struct walker *)arg), 0);
    return NULL;
}

TEST(locks_and_channels_hold_in_a_storm_of_deadlines) {
    const char *given = getenv("TRINE_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)test_now_ms() * 2654435761u | 1;
    printf("# seed %llu\n", (unsigned long long)seed);
    world.rounds = getenv("TRINE_STRESS") ? 100000 : 1500;
    trine_semaphore_init(&world.semaphore, PERMITS, PERMITS);
    trine_limiter_init(&world.limiter, PERMITS);
    world.ring = trine_channel_new(sizeof(int64_t), TOKENS);
    world.hand = trine_channel_new(sizeof(int64_t), 0);
    for (int64_t i = 0; i < TOKENS; i++)
        CHECK_EQ(trine_channel_try_send(world.ring, &i), 0);
    static struct walker walkers[THREADS][COROUTINES];
    pthread_t threads[THREADS];
    for (unsigned t = 0; t < THREADS; t++)
        for (unsigned i = 0; i < COROUTINES; i++)
            walkers[t][i].dice = seed + (t * COROUTINES + i + 1) * 0x9E3779B97F4A7C15u;
    for (int t = 0; t < THREADS; t++)
        pthread_create(&threads[t], NULL, walk_in_thread, walkers[t]);
    for (int t = 0; t < THREADS; t++)
        pthread_join(threads[t], NULL);
    CHECK(!world.wrong);
    CHECK_EQ(atomic_load(&world.handed), atomic_load(&world.taken));
    CHECK_EQ(trine_channel_count(world.ring), (size_t)TOKENS);
    bool seen[TOKENS] = {false};
    for (int64_t i = 0, token; i < TOKENS; i++) {
        CHECK_EQ(trine_channel_try_recv(world.ring, &token), 0);
        CHECK(!seen[token]);
        seen[token] = true;
    }
    CHECK_EQ(trine_mutex_try_lock(&world.mutex), 0);
    trine_mutex_unlock(&world.mutex);
    for (int i = 0; i < PERMITS; i++)
        CHECK_EQ(trine_semaphore_try_acquire(&world.semaphore), 0);
    printf("# %d waits were cut short, %d items went from hand to hand\n", atomic_load(&world.cut),
           atomic_load(&world.taken));
    trine_channel_free(&world.ring);
    trine_channel_free(&world.hand);
}
