/* future_storm.c - eight loops, two plain threads and four pools: each starts tasks on pools and
 * loops at random, puts their futures on a board, and awaits what it finds there of others, with
 * deadlines that cut many waits short. Each wait that is not cut gives the value that its task
 * returned; nobody is left waiting. The seed is printed and replays with TRINE_SEED, as far as
 * threads replay. */
#define TEST_TIMEOUT 600
#define TEST_TRINE_INIT
#include "test.h"

#include <trine/sync.h>
#include <trine/task.h>

#include <pthread.h>
#include <stdatomic.h>

enum { LOOPS = 8, PLAIN = 2, WALKERS = 4, POOLS = 4, PLACES = 32, TASKS = 3 };

/* A future that others may await while `readers` says so; its owner takes it down before it drops
 * it. */
struct place {
    trine_future *future; /* NULL: the place is free */
    int value;            /* that the task will return */
    int readers;
};

static struct {
    trine_executor *pools[POOLS];
    trine_mutex mutex; /* the board */
    trine_condition left;
    struct place places[PLACES];
    int64_t until;
    atomic_long own, others, cut, called, stopped;
    atomic_int wrong; /* the line where it went wrong; 0: nowhere */
} world;

/* Says where; the others go on, and stop in time. */
#define must(condition) must_at(condition, __LINE__)

static void must_at(bool condition, int line) {
    int none = 0;
    if (!condition)
        atomic_compare_exchange_strong(&world.wrong, &none, line);
}

static unsigned roll(uint64_t *dice, unsigned n) {
    *dice ^= *dice << 13, *dice ^= *dice >> 7, *dice ^= *dice << 17;
    return (unsigned)(*dice >> 33) % n;
}

/* --- what is run --- */

struct work {
    int value, pause_us, turns;
};

static int work(struct work *w) {
    volatile int x = 0;
    for (int i = 0; i < w->turns; i++)
        x += i;
    (void)x;
    if (w->pause_us)
        must(trine_sleep(TRINE_US(w->pause_us)) == 0);
    return w->value;
}
TRINE_TASK(work, struct work);

/* --- the board --- */

static struct place *put_up(trine_future *f, int value) {
    struct place *found = NULL;
    must(trine_mutex_lock(&world.mutex) == 0);
    for (int i = 0; i < PLACES && !found; i++)
        if (!world.places[i].future && !world.places[i].readers)
            found = &world.places[i];
    if (found)
        *found = (struct place){.future = f, .value = value};
    trine_mutex_unlock(&world.mutex);
    return found;
}

static void take_down(struct place *p) {
    must(trine_mutex_lock(&world.mutex) == 0);
    p->future = NULL;
    while (p->readers)
        must(trine_condition_wait(&world.left, &world.mutex) == 0);
    trine_mutex_unlock(&world.mutex);
}

static struct place *begin_to_read(uint64_t *dice, trine_future **ret_future) {
    struct place *p = &world.places[roll(dice, PLACES)];
    must(trine_mutex_lock(&world.mutex) == 0);
    *ret_future = p->future;
    p->readers += p->future != NULL;
    trine_mutex_unlock(&world.mutex);
    return *ret_future ? p : NULL;
}

static void end_reading(struct place *p) {
    TRINE_SCOPE(s, .shield = true, .timeout = TRINE_SEC(100));
    must(trine_mutex_lock(&world.mutex) == 0);
    p->readers--;
    trine_condition_broadcast(&world.left);
    trine_mutex_unlock(&world.mutex);
}

/* --- who awaits --- */

static void note_call(void *arg, int status) {
    *(int *)arg = status;
    atomic_fetch_add(&world.called, 1);
}

static void ask_for_other(uint64_t *dice) {
    trine_future *f;
    struct place *p = begin_to_read(dice, &f);
    if (!p)
        return;
    int value = p->value, status = -1;
    if (roll(dice, 4) == 0) {
        trine_notice n;
        trine_on_done(f, &n, note_call, &status);
        must(trine_sleep(TRINE_US(1 + roll(dice, 100))) == 0);
        trine_notice_stop(&n);
        must(status == -1 || status == value);
        atomic_fetch_add(&world.stopped, 1);
    } else {
        TRINE_SCOPE(s, .timeout = roll(dice, 2) ? TRINE_US(1 + roll(dice, 200)) : 0);
        int r = trine_await(f, &status);
        must(r == 0 ? status == value : r == -ETIMEDOUT);
        atomic_fetch_add(r == 0 ? &world.others : &world.cut, 1);
    }
    end_reading(p);
}

static trine_executor *some_pool(uint64_t *dice, bool in_loop) {
    unsigned which = roll(dice, POOLS + in_loop);
    return which < POOLS ? world.pools[which] : NULL; /* a coroutine */
}

static void step(uint64_t *dice, bool in_loop) {
    struct work w[TASKS];
    trine_future *f[TASKS];
    struct place *p[TASKS];
    TRINE_SCOPE(s);
    for (int i = 0; i < TASKS; i++) {
        int value = (int)roll(dice, 1000000); /* *w is the task's until it is done */
        w[i] =
            (struct work){value, (int)roll(dice, 3) * (int)roll(dice, 200), (int)roll(dice, 3000)};
        f[i] = trine_start(s, some_pool(dice, in_loop), work, &w[i]);
        p[i] = put_up(f[i], value);
    }
    ask_for_other(dice);
    for (int i = 0; i < TASKS; i++) {
        int status = -1;
        must(trine_await(f[i], &status) == 0 && status == w[i].value);
        atomic_fetch_add(&world.own, 1);
        if (p[i])
            take_down(p[i]);
        trine_future_drop(f[i]);
    }
    must(trine_join(s) == 0);
}

struct walker {
    uint64_t dice;
    bool in_loop;
};

static int walk(struct walker *w) {
    while (trine_now() < world.until)
        step(&w->dice, w->in_loop);
    return 0;
}
TRINE_TASK(walk, struct walker);

static int walk_all(struct walker *w) {
    TRINE_SCOPE(s);
    trine_map(s, NULL, walk, w, WALKERS);
    return trine_join(s);
}
TRINE_TASK(walk_all, struct walker);

static void *run_loop(void *arg) {
    CHECK_OK(trine_run(walk_all, (struct walker *)arg));
    return NULL;
}

static void *run_plain(void *arg) {
    walk(arg);
    return NULL;
}

static void open_pools(void) {
    for (unsigned i = 0; i < POOLS - 1; i++)
        CHECK_OK(
            trine_threads_open(&world.pools[i], TRINE_OPTS(trine_threads_opts, .workers = 1 + i,
                                                           .queue = 8 << i, .help = i == 1)));
    CHECK_OK(trine_processes_open(&world.pools[POOLS - 1],
                                  TRINE_OPTS(trine_processes_opts, .workers = 2)));
}

TEST(futures_of_all_kinds_are_awaited_by_everybody) {
    const char *given = getenv("TRINE_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)test_now_ms() * 2654435761u | 1;
    printf("# seed %llu\n", (unsigned long long)seed);
    open_pools();
    world.until = trine_now() + (getenv("TRINE_STRESS") ? TRINE_SEC(60) : TRINE_MS(1500));
    static struct walker walkers[LOOPS + PLAIN][WALKERS];
    pthread_t threads[LOOPS + PLAIN];
    for (unsigned t = 0; t < LOOPS + PLAIN; t++) {
        for (unsigned i = 0; i < WALKERS; i++)
            walkers[t][i] =
                (struct walker){seed + (t * WALKERS + i + 1) * UINT64_C(0x9E3779B97F4A7C15),
                                t < LOOPS};
        CHECK_EQ(pthread_create(&threads[t], NULL, t < LOOPS ? run_loop : run_plain, walkers[t]),
                 0);
    }
    for (unsigned t = 0; t < LOOPS + PLAIN; t++)
        CHECK_EQ(pthread_join(threads[t], NULL), 0);
    for (int i = 0; i < POOLS; i++)
        trine_executor_close(&world.pools[i]);
    CHECK_EQ(atomic_load(&world.wrong), 0);
    CHECK(atomic_load(&world.own) > 0 && atomic_load(&world.others) > 0);
    printf("# %ld of their own, %ld of others; %ld waits were cut short; %ld notices stopped, of "
           "which %ld had called\n",
           atomic_load(&world.own), atomic_load(&world.others), atomic_load(&world.cut),
           atomic_load(&world.stopped), atomic_load(&world.called));
}
