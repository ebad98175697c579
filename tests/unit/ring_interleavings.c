/* ring_interleavings.c - the thread pool's queue, its shipped source, through all interleavings of
 * its atomic operations with at most two preemptions. Each actor is a coroutine that lets a
 * scheduler decide before every atomic operation who goes on; the decisions are gone through one
 * after the other until none is left. Memory order is not covered: operations happen in the order
 * that was decided (ThreadSanitizer looks at the rest). */
#include "loop_case.h"

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <valgrind/valgrind.h>

static void step(void);
static void wait_for_others(void);

#undef atomic_load
#undef atomic_load_explicit
#undef atomic_store
#undef atomic_store_explicit
#undef atomic_compare_exchange_weak
#undef atomic_compare_exchange_strong
#ifdef __clang__
#define LOAD(p, order) __c11_atomic_load(p, order)
#define STORE(p, v, order) __c11_atomic_store(p, v, order)
#define SWAP(p, expected, v)                                                                       \
    __c11_atomic_compare_exchange_strong(p, expected, v, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)
#else
#define LOAD(p, order)                                                                             \
    __extension__({                                                                                \
        __auto_type p_ = (p);                                                                      \
        __typeof__((void)0, *p_) v_;                                                               \
        __atomic_load(p_, &v_, order);                                                             \
        v_;                                                                                        \
    })
#define STORE(p, v, order)                                                                         \
    __extension__({                                                                                \
        __auto_type p_ = (p);                                                                      \
        __typeof__((void)0, *p_) v_ = (v);                                                         \
        __atomic_store(p_, &v_, order);                                                            \
    })
#define SWAP(p, expected, v)                                                                       \
    __extension__({                                                                                \
        __auto_type p_ = (p);                                                                      \
        __typeof__((void)0, *p_) v_ = (v);                                                         \
        __atomic_compare_exchange(p_, (expected), &v_, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);     \
    })
#endif
#define atomic_load(p) (step(), LOAD(p, __ATOMIC_SEQ_CST))
#define atomic_load_explicit(p, order) (step(), LOAD(p, order))
#define atomic_store(p, v) (step(), STORE(p, v, __ATOMIC_SEQ_CST))
#define atomic_store_explicit(p, v, order) (step(), STORE(p, v, order))
#define atomic_compare_exchange_strong(p, expected, v) (step(), SWAP(p, expected, v))
#define atomic_compare_exchange_weak atomic_compare_exchange_strong
#define RING_WAIT() wait_for_others()

/* Names of its own: the library's ring is in this program too. */
#define ring_init tested_ring_init
#define ring_done tested_ring_done
#define ring_put tested_ring_put
#define ring_claim tested_ring_claim
#define ring_take tested_ring_take
#define ring_take_back tested_ring_take_back
#include "exec/ring.c" /* NOLINT(bugprone-suspicious-include) */

/* --- the scheduler --- */

enum { ACTORS = 3, PREEMPTIONS = 2, DECISIONS_MOST = 256 };

static struct {
    int running, preempted;
    bool alive[ACTORS];
    unsigned char chosen[DECISIONS_MOST], options[DECISIONS_MOST];
    int at, length;
    bool on; /* off: outside of the actors */
    long steps;
} plan;

/* The next decision of this run: the first of its options when it is a new one. */
static int decide(int options) {
    if (options == 1)
        return 0;
    CHECK(plan.at < DECISIONS_MOST); /* else they wait for each other */
    if (plan.at == plan.length) {
        plan.chosen[plan.length] = 0;
        plan.options[plan.length++] = (unsigned char)options;
    }
    return plan.chosen[plan.at++];
}

/* The next run's decisions; false: all have been gone through. */
static bool next_plan(void) {
    while (plan.length && plan.chosen[plan.length - 1] + 1 == plan.options[plan.length - 1])
        plan.length--;
    if (!plan.length)
        return false;
    plan.chosen[plan.length - 1]++;
    return true;
}

static int others(void) {
    int n = 0;
    for (int i = 0; i < ACTORS; i++)
        n += plan.alive[i] && i != plan.running;
    return n;
}

static void hand_over(int which) {
    for (int i = 0; i < ACTORS; i++)
        if (plan.alive[i] && i != plan.running && which-- == 0) {
            plan.running = i;
            return;
        }
}

static void await_turn(int me) {
    while (plan.running != me)
        CHECK_EQ(trine_yield(), 0);
}

static void step(void) {
    if (!plan.on)
        return;
    plan.steps++;
    int me = plan.running, n = others();
    if (plan.preempted == PREEMPTIONS || !n)
        return;
    int choice = decide(1 + n);
    if (!choice)
        return;
    plan.preempted++;
    hand_over(choice - 1);
    await_turn(me);
}

static void wait_for_others(void) {
    int me = plan.running, n = others();
    CHECK(n > 0); /* it waits for somebody who is not there */
    hand_over(decide(n));
    await_turn(me);
}

static void leave(void) {
    int n = others();
    plan.alive[plan.running] = false;
    if (n)
        hand_over(decide(n));
}

/* --- the actors: one puts and takes back, two take and steal --- */

enum { JOBS = 4, ROUNDS = 2, CLAIM = 2 };

static char tasks[JOBS]; /* only their addresses count */

static struct {
    struct ring ring;
    struct slot *slots[JOBS]; /* NULL: there was no room */
    struct span spans[2];
    _Atomic(uintptr_t) taking[2];
    int taken[JOBS], taken_back[JOBS];
} world;

static struct trine_future *task_of(int i) {
    return (struct trine_future *)(void *)&tasks[i];
}

static int put_four(struct nothing *n) {
    (void)n;
    await_turn(0);
    for (int i = 0; i < JOBS; i++) {
        struct job job = {task_of(i), NULL, &tasks[i], (struct loop *)(void *)&world};
        world.slots[i] = ring_put(&world.ring, &job);
        if (i == 1 && world.slots[0]) /* whoever owns the first one cancels it */
            world.taken_back[0] += ring_take_back(world.slots[0], task_of(0));
    }
    if (world.slots[JOBS - 1])
        world.taken_back[JOBS - 1] += ring_take_back(world.slots[JOBS - 1], task_of(JOBS - 1));
    leave();
    return 0;
}
TRINE_TASK(put_four, struct nothing);

static void take_at(int me, uint64_t at) {
    struct job job;
    if (!ring_take(&world.ring, at, &world.taking[me], &job))
        return;
    int i = (int)((char *)job.task - tasks);
    CHECK(i >= 0 && i < JOBS);
    CHECK(job.arg == &tasks[i] && job.home == (struct loop *)(void *)&world && !job.run);
    plan.on = false;
    CHECK_EQ(atomic_load(&world.taking[me]), (uintptr_t)job.task);
    atomic_store(&world.taking[me], 0);
    plan.on = true;
    world.taken[i]++;
}

static void take_span(int me, struct span *span) {
    uint64_t end = atomic_load(&span->end);
    for (uint64_t at = atomic_load(&span->next); at < end; at++)
        take_at(me, at);
}

static void take_all(int me) {
    await_turn(me + 1);
    for (int i = 0; i < ROUNDS; i++) {
        if (ring_claim(&world.ring, &world.spans[me], 1, CLAIM))
            take_span(me, &world.spans[me]);
        else
            take_span(me, &world.spans[1 - me]);
    }
    leave();
}

static int first_taker(struct nothing *n) {
    (void)n;
    take_all(0);
    return 0;
}
TRINE_TASK(first_taker, struct nothing);

static int second_taker(struct nothing *n) {
    (void)n;
    take_all(1);
    return 0;
}
TRINE_TASK(second_taker, struct nothing);

/* --- one run --- */

static void check_each_job_once(void) {
    plan.on = false;
    int left[JOBS] = {0};
    for (uint64_t at = 0; at <= world.ring.mask; at++) {
        struct trine_future *task = atomic_load(&world.ring.slots[at].task);
        CHECK(task != RING_TAKEN);
        if (task)
            left[(char *)task - tasks]++;
    }
    for (int i = 0; i < JOBS; i++)
        CHECK_EQ(world.taken[i] + world.taken_back[i] + left[i], world.slots[i] ? 1 : 0);
}

static void run_plan(void) {
    struct nothing n;
    memset(&world, 0, sizeof(world));
    plan.on = false;
    CHECK_OK(ring_init(&world.ring, 2));
    plan.on = true;
    plan.at = plan.preempted = 0;
    for (int i = 0; i < ACTORS; i++)
        plan.alive[i] = true;
    plan.running = -1;
    plan.running = decide(ACTORS);
    TRINE_SCOPE(s);
    trine_spawn(s, put_four, &n);
    trine_spawn(s, first_taker, &n);
    trine_spawn(s, second_taker, &n);
    CHECK_OK(trine_join(s));
    check_each_job_once();
    ring_done(&world.ring);
}

#ifdef __SANITIZE_THREAD__
enum { INSTRUMENTED = true };
#else
enum { INSTRUMENTED = false };
#endif
enum { SOME = 300 }; /* where each takes long, and none looks at more than the order of things */

IN_LOOP(no_interleaving_loses_a_task_or_runs_it_twice) {
    long runs = 0;
    do {
        run_plan();
        runs++;
        if ((RUNNING_ON_VALGRIND || INSTRUMENTED) && runs == SOME)
            break;
    } while (next_plan());
    printf("# %ld interleavings, %ld atomic operations\n", runs, plan.steps);
    CHECK(runs >= SOME);
    return 0;
}
