/* exec_map.c - a map over what comes one by one: in order or as completed, never more at a time
 * than asked for, ended by errors from either side. */
#define TEST_TRINE_INIT
#include "loop_case.h"

#include <trine/parallel.h>
#include <trine/task.h>

#include <errno.h>
#include <stdatomic.h>
#include <valgrind/valgrind.h>

struct square {
    int64_t n, pause, result;
};

static int square(struct square *s) {
    int r = s->pause ? trine_sleep(s->pause) : 0;
    s->result = s->n * s->n;
    return r < 0 ? r : s->n == 1000 ? -EDOM : 0;
}
TRINE_TASK(square, struct square);

struct line {
    int64_t given, want, taken;
    int64_t most;                 /* between the two at a time */
    int64_t fail_next, fail_done; /* at this item; 0: never */
    int64_t slow;                 /* this one takes longer than all behind it; -1: none */
    int64_t last, inversions, sum;
};

static int give(void *arg, void *item) {
    struct line *l = arg;
    struct square *s = item;
    if (l->given == l->want)
        return 0;
    if (l->fail_next && l->given == l->fail_next)
        return -EIO;
    CHECK(s->n == 0 && s->result == 0);
    s->n = l->given++;
    s->pause = s->n == l->slow ? TRINE_MS(20) : 0;
    if (l->given - l->taken > l->most)
        l->most = l->given - l->taken;
    return 1;
}

static int take(void *arg, void *item, int status) {
    struct line *l = arg;
    const struct square *s = item;
    CHECK_EQ(status, s->n == 1000 ? -EDOM : 0);
    CHECK(status < 0 || s->result == s->n * s->n);
    l->taken++;
    l->inversions += s->n < l->last;
    l->last = s->n;
    l->sum += s->n;
    return l->fail_done && l->taken == l->fail_done ? -ENOSPC : 0;
}

static struct line line(int64_t want) {
    return (struct line){.want = want, .slow = -1, .last = -1};
}

static void check_all(trine_executor *on, unsigned in_flight, bool as_completed) {
    struct line l = line(2000);
    CHECK_OK(trine_map_from(on, square, .next = give, .done = take, .arg = &l,
                            .in_flight = in_flight, .as_completed = as_completed));
    CHECK_EQ(l.taken, 2000);
    CHECK_EQ(l.sum, 1999000);
    CHECK(l.most <= (in_flight ? in_flight : 64));
    if (!as_completed)
        CHECK_EQ(l.inversions, 0);
}

static void check_on(trine_executor *on) {
    check_all(on, 0, false);
    check_all(on, 1, false);
    check_all(on, 7, true);
    struct line none = line(0);
    CHECK_OK(trine_map_from(on, square, .next = give, .arg = &none));
}

TEST(items_come_back_in_order_from_threads_and_processes) {
    trine_executor *threads, *processes;
    CHECK_OK(trine_threads_open(&threads, TRINE_OPTS(trine_threads_opts, .workers = 3)));
    if (RUNNING_ON_VALGRIND) { /* which has no pidfds */
        check_on(threads);
        trine_executor_close(&threads);
        return;
    }
    CHECK_OK(trine_processes_open(&processes, TRINE_OPTS(trine_processes_opts, .workers = 2)));
    check_on(threads);
    check_on(processes);
    trine_executor_close(&threads);
    trine_executor_close(&processes);
}

/* --- all that are there --- */

enum { MANY = 200000 };

struct visit {
    atomic_int times;
    bool named, fails;
};

static int visit(struct visit *v) {
    atomic_fetch_add(&v->times, 1);
    v->named = strcmp(trine_task_name(), "visit") == 0;
    return v->fails ? -EDOM : 0;
}
TRINE_TASK(visit, struct visit);

static struct visit visits[MANY];

static void check_visits(trine_executor *pool, size_t n) {
    memset(visits, 0, sizeof(visits));
    CHECK_OK(trine_map_all(pool, visit, visits, n));
    for (size_t i = 0; i < MANY; i++)
        CHECK(atomic_load(&visits[i].times) == (i < n) && visits[i].named == (i < n));
}

TEST(each_of_many_short_items_is_done_once_by_name) {
    trine_executor *pool;
    CHECK_OK(trine_threads_open(&pool, TRINE_OPTS(trine_threads_opts, .workers = 3, .queue = 2)));
    check_visits(pool, MANY);
    for (size_t n = 0; n < 40; n++)
        check_visits(pool, n);
    check_visits(trine_threads_background(pool), 5000);
    trine_executor_close(&pool);
}

TEST(an_error_keeps_what_has_not_begun_from_beginning) {
    trine_executor *pool;
    CHECK_OK(trine_threads_open(&pool, TRINE_OPTS(trine_threads_opts, .workers = 2)));
    memset(visits, 0, sizeof(visits));
    visits[10].fails = true;
    CHECK_EQ(trine_map_all(pool, visit, visits, MANY), -EDOM);
    size_t done = 0;
    for (size_t i = 0; i < MANY; i++)
        done += (size_t)atomic_load(&visits[i].times);
    CHECK(done >= 1 && done < MANY);
    trine_executor_close(&pool);
}

static atomic_int inside;

static int all_inside(struct visit *v) { /* returns when all of the pool's threads are here */
    (void)v;
    atomic_fetch_add(&inside, 1);
    while (atomic_load(&inside) < 5)
        if (trine_sleep(TRINE_US(100)) < 0)
            return -EIO;
    return 0;
}
TRINE_TASK(all_inside, struct visit);

TEST(each_thread_of_the_pool_takes_part) {
    trine_executor *pool;
    CHECK_OK(trine_threads_open(&pool, TRINE_OPTS(trine_threads_opts, .workers = 5)));
    CHECK_OK(trine_map_all(pool, all_inside, visits, 50));
    trine_executor_close(&pool);
}

IN_LOOP(items_come_back_in_order_from_coroutines) {
    check_on(NULL);
    return 0;
}

IN_LOOP(as_completed_does_not_wait_for_a_slow_one) {
    struct line l = line(50);
    l.slow = 3;
    CHECK_OK(trine_map_from(NULL, square, .next = give, .done = take, .arg = &l, .in_flight = 8,
                            .as_completed = true));
    CHECK_EQ(l.taken, 50);
    CHECK_EQ(l.last, 3);
    return 0;
}

IN_LOOP(an_error_of_either_side_ends_it) {
    struct line l = line(100);
    l.fail_next = 10;
    CHECK_EQ(trine_map_from(NULL, square, .next = give, .done = take, .arg = &l), -EIO);
    l = line(100);
    l.fail_done = 5;
    CHECK_EQ(trine_map_from(NULL, square, .next = give, .done = take, .arg = &l), -ENOSPC);
    CHECK_EQ(l.taken, 5);
    l = line(2000); /* without `done` a task's error does */
    CHECK_EQ(trine_map_from(NULL, square, .next = give, .arg = &l, .in_flight = 10), -EDOM);
    CHECK(l.given > 1000 && l.given <= 1020);
    return 0;
}

IN_LOOP(the_end_of_the_scope_around_ends_it) {
    struct line l = line(100);
    l.slow = 3;
    TRINE_SCOPE(s, .timeout = TRINE_MS(2));
    CHECK_EQ(trine_map_from(NULL, square, .next = give, .done = take, .arg = &l, .in_flight = 4),
             -ETIMEDOUT);
    CHECK_EQ(l.taken, 3);
    trine_scope_close(&s);
    return 0;
}
