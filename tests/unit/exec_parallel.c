/* exec_parallel.c - loops over ranges: each index once, whatever the grain, errors and ends; and
 * waiting for several futures. */
#include "loop_case.h"

#include <trine/parallel.h>
#include <trine/sync.h>
#include <trine/task.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

enum { ITEMS = 100000 };

static trine_executor *threads(void) {
    trine_executor *pool = NULL;
    CHECK_OK(trine_threads_open(&pool, TRINE_OPTS(trine_threads_opts, .workers = 4)));
    return pool;
}

struct visits {
    _Atomic unsigned char seen[ITEMS];
    atomic_size_t longest, pieces;
    int fail_at; /* -1: nowhere */
};

static int visit(size_t from, size_t to, void *arg) {
    struct visits *v = arg;
    CHECK(from < to);
    atomic_fetch_add(&v->pieces, 1);
    size_t longest = atomic_load(&v->longest);
    while (to - from > longest && !atomic_compare_exchange_weak(&v->longest, &longest, to - from))
        ;
    for (size_t i = from; i < to; i++) {
        if ((int)i == v->fail_at)
            return -EDOM;
        atomic_fetch_add(&v->seen[i], 1);
    }
    return 0;
}

static struct visits v;

static void check_range(trine_executor *pool, size_t begin, size_t end, size_t grain) {
    memset(&v, 0, sizeof(v));
    v.fail_at = -1;
    CHECK_OK(trine_parallel_for(pool, begin, end, grain, visit, &v));
    for (size_t i = 0; i < ITEMS; i++)
        CHECK_EQ(v.seen[i], i >= begin && i < end);
    if (grain)
        CHECK(v.longest <= grain);
}

TEST(each_index_is_visited_once_whatever_the_grain) {
    trine_executor *pool = threads();
    static const size_t grains[] = {0, 1, 7, 1000, ITEMS, SIZE_MAX / 1000};
    for (size_t i = 0; i < sizeof(grains) / sizeof(grains[0]); i++) {
        check_range(pool, 0, ITEMS, grains[i]);
        check_range(pool, 17, 18, grains[i]);
        check_range(pool, 100, ITEMS - 3, grains[i]);
    }
    check_range(pool, 5, 5, 0);
    check_range(pool, 9, 5, 0); /* nothing to do */
    CHECK_EQ(v.pieces, 0);
    trine_executor_close(&pool);
}

TEST(an_error_ends_the_loop_and_is_returned) {
    trine_executor *pool = threads();
    memset(&v, 0, sizeof(v));
    v.fail_at = 50;
    CHECK_EQ(trine_parallel_for(pool, 0, ITEMS, 10, visit, &v), -EDOM);
    CHECK_EQ(v.seen[50], 0);
    trine_executor_close(&pool);
}

static atomic_int begun;

static int slow(size_t from, size_t to, void *arg) {
    (void)from, (void)to, (void)arg;
    atomic_fetch_add(&begun, 1);
    return trine_sleep(TRINE_SEC(600));
}

TEST(the_end_of_the_scope_around_ends_the_loop) {
    trine_executor *pool = threads();
    for (int64_t t = TRINE_MS(30); !begun && t < TRINE_SEC(20); t *= 2) {
        TRINE_SCOPE(s, .timeout = t);
        CHECK_EQ(trine_parallel_for(pool, 0, 1000, 1, slow, NULL), -ETIMEDOUT);
    }
    CHECK(begun >= 1 && begun <= (int)trine_usable_cpus());
    trine_executor_close(&pool);
}

IN_LOOP(coroutines_and_loops_without_a_pool_do_it_too) {
    trine_executor *pool = threads();
    check_range(pool, 0, ITEMS, 0);
    check_range(NULL, 0, ITEMS, 100);
    trine_executor_close(&pool);
    return 0;
}

struct total {
    uint64_t sum, count;
};

static int add(size_t from, size_t to, void *arg, void *into) {
    const uint32_t *numbers = arg;
    struct total *t = into;
    for (size_t i = from; i < to; i++) {
        t->sum += numbers[i];
        t->count++;
    }
    return 0;
}

static void combine(void *into, const void *more) {
    struct total *a = into;
    const struct total *b = more;
    a->sum += b->sum;
    a->count += b->count;
}

static int add_or_fail(size_t from, size_t to, void *arg, void *into) {
    return from > ITEMS / 2 ? -ERANGE : add(from, to, arg, into);
}

TEST(a_reduce_adds_all_pieces_up) {
    static uint32_t numbers[ITEMS];
    uint64_t sum = 0;
    for (uint32_t i = 0; i < ITEMS; i++)
        sum += numbers[i] = i * 2654435761u;
    trine_executor *pool = threads();
    for (size_t grain = 0; grain < 300; grain += 97) {
        struct total t = {0};
        CHECK_OK(
            trine_parallel_reduce(pool, 0, ITEMS, grain, add, combine, numbers, &t, sizeof(t)));
        CHECK_EQ(t.count, ITEMS);
        CHECK_EQ(t.sum, sum);
    }
    struct total t = {.sum = 1, .count = 2};
    CHECK_OK(trine_parallel_reduce(pool, 3, 3, 0, add, combine, numbers, &t, sizeof(t)));
    CHECK_EQ(trine_parallel_reduce(pool, 0, ITEMS, 10, add_or_fail, combine, numbers, &t,
                                   sizeof(t)),
             -ERANGE);
    CHECK(t.sum == 1 && t.count == 2); /* untouched */
    trine_executor_close(&pool);
}

/* --- trine_wait --- */

struct gated {
    bool open; /* by another coroutine of the loop */
    int result;
};

static int pass(struct gated *g) {
    while (!g->open) {
        int r = trine_sleep(TRINE_US(100));
        if (r < 0)
            return r;
    }
    return g->result;
}
TRINE_TASK(pass, struct gated);

struct wait {
    int64_t ns;
    int result;
};

static int wait_then(struct wait *w) {
    int r = trine_sleep(w->ns);
    return r < 0 ? r : w->result;
}
TRINE_TASK(wait_then, struct wait);

IN_LOOP(a_wait_ends_as_it_was_told) {
    struct gated g[3] = {{.result = 1}, {.result = 2}, {.result = -EIO}};
    trine_future *f[3];
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    for (int i = 0; i < 3; i++)
        f[i] = trine_start(s, NULL, pass, &g[i]);
    CHECK_EQ(trine_wait(f, 3, TRINE_UNTIL_FIRST, 0), -ETIME);
    g[1].open = true;
    CHECK_OK(trine_wait(f, 3, TRINE_UNTIL_FIRST, -1));
    CHECK(trine_status(f[1]) == 2 && trine_status(f[2]) == -EINPROGRESS);
    CHECK_OK(trine_wait(f, 3, TRINE_UNTIL_FIRST, 0));
    g[2].open = true;
    CHECK_OK(trine_wait(f, 3, TRINE_UNTIL_ERROR, -1));
    CHECK(trine_status(f[2]) == -EIO && trine_status(f[0]) == -EINPROGRESS);
    g[0].open = true;
    CHECK_OK(trine_wait(f, 3, TRINE_UNTIL_ALL, TRINE_SEC(60)));
    CHECK_EQ(trine_status(f[0]), 1);
    CHECK_OK(trine_wait(f, 2, TRINE_UNTIL_ERROR, -1)); /* none failed, but all are done */
    return 0;
}

IN_LOOP(a_wait_whose_time_is_over_cancels_nothing) {
    struct gated g = {.result = 6};
    TRINE_SCOPE(s);
    trine_future *f = trine_start(s, NULL, pass, &g), *twice[] = {f, f};
    CHECK_EQ(trine_wait(twice, 2, TRINE_UNTIL_ALL, TRINE_MS(2)), -ETIME);
    CHECK_EQ(trine_status(f), -EINPROGRESS);
    g.open = true;
    CHECK_OK(trine_wait(twice, 2, TRINE_UNTIL_ALL, -1));
    CHECK_EQ(trine_status(f), 6);
    return 0;
}

IN_LOOP(a_wait_ends_with_the_scope_around_it) {
    struct wait w = {TRINE_SEC(600), 0};
    TRINE_SCOPE(tasks, .policy = TRINE_COLLECT);
    trine_future *f = trine_start(tasks, NULL, wait_then, &w);
    {
        TRINE_SCOPE(s, .timeout = TRINE_MS(5));
        CHECK_EQ(trine_wait(&f, 1, TRINE_UNTIL_ALL, TRINE_SEC(600)), -ETIMEDOUT);
    }
    CHECK_EQ(trine_status(f), -EINPROGRESS);
    return 0;
}

TEST(a_plain_thread_waits_for_tasks_of_a_pool) {
    trine_executor *pool = threads();
    struct wait w[20];
    trine_future *f[20];
    TRINE_SCOPE(s);
    for (int i = 0; i < 20; i++) {
        w[i] = (struct wait){TRINE_MS(1), i};
        f[i] = trine_start(s, pool, wait_then, &w[i]);
    }
    CHECK_OK(trine_wait(f, 20, TRINE_UNTIL_ALL, -1));
    for (int i = 0; i < 20; i++)
        CHECK_EQ(trine_status(f[i]), i);
    trine_scope_close(&s);
    trine_executor_close(&pool);
}
