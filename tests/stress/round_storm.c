/* round_storm.c - one task after the other is submitted and awaited, so that each round wakes a
 * worker and then the waiter: where all sleep in between, which is counted, and where both look on
 * for a while first. A wake-up that is lost hangs, and the harness says so. */
#define TEST_TIMEOUT 1800
#include "test.h"

#include <trine.h>

#include <stdatomic.h>
#include <sys/resource.h>

struct round {
    long number;
    long switches; /* of the worker, so far: it has slept as often at the most */
};

static long sleeps(void) {
    struct rusage used;
    CHECK_EQ(getrusage(RUSAGE_THREAD, &used), 0);
    return used.ru_nvcsw;
}

static int count(struct round *r) {
    if (r->switches >= 0)
        r->switches = sleeps();
    r->number++;
    return 0;
}
TRINE_TASK(count, struct round);

struct rounds {
    trine_executor *pool;
    long wanted;
    struct round r;
};

static int go_round(struct rounds *all) {
    long before = all->r.number;
    TRINE_SCOPE(s);
    for (long i = 0; i < all->wanted; i++) {
        trine_future *f = trine_start(s, all->pool, count, &all->r);
        int status = -1;
        CHECK_OK(trine_await(f, &status));
        CHECK(status == 0 && all->r.number == before + i + 1);
        trine_future_drop(f);
    }
    return trine_join(s);
}
TRINE_TASK(go_round, struct rounds);

static trine_executor *open_pool(int64_t spin) {
    trine_executor *pool = NULL;
    CHECK_OK(trine_threads_open(&pool, TRINE_OPTS(trine_threads_opts, .workers = 1, .spin = spin)));
    return pool;
}

/* Each side finds nothing to do once a round, and sleeps unless the other one is quick: until both
 * have slept as often as wanted. */
TEST(rounds_in_which_all_sleep) {
    long wanted = getenv("TRINE_STRESS") ? 1000000 : 20000, before = sleeps(), ours, theirs;
    struct rounds all = {.pool = open_pool(-1), .wanted = wanted / 10};
    do {
        CHECK_OK(go_round(&all));
        ours = sleeps() - before, theirs = all.r.switches;
    } while ((ours < wanted || theirs < wanted) && all.r.number < 10 * wanted);
    printf("# %ld rounds: the waiter slept %ld times, the worker %ld times\n", all.r.number, ours,
           theirs);
    CHECK(ours >= wanted && theirs >= wanted);
    trine_executor_close(&all.pool);
}

TEST(rounds_in_which_both_look_on) {
    struct rounds all = {.pool = open_pool(TRINE_US(100)),
                         .wanted = getenv("TRINE_STRESS") ? 100000000 : 100000,
                         .r.switches = -1};
    const trine_run_opts opts = {.size = sizeof(opts), .spin = TRINE_US(100)};
    CHECK_OK(trine_run_task(&go_round_task, &all, &opts));
    printf("# %ld rounds\n", all.wanted);
    trine_executor_close(&all.pool);
}
