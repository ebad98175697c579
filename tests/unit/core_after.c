/* Futures of time: trine_after. */
#include <trine.h>

#include "test.h"

#define HOUR TRINE_SEC(3600)

static void run(int (*body)(void *)) {
    const trine_task task = {"test", body, 0, 0};
    CHECK_EQ(trine_run_task(&task, NULL, NULL), 0);
}

#define IN_LOOP(name)                                                                              \
    static int name##_body(void *unused);                                                          \
    TEST(name) {                                                                                   \
        run(name##_body);                                                                          \
    }                                                                                              \
    static int name##_body(void *unused __attribute__((unused)))

static int status_of(trine_future *f) {
    int status = 1;
    CHECK_OK(trine_await(f, &status));
    CHECK_EQ(trine_status(f), status);
    return status;
}

IN_LOOP(a_future_of_time_is_never_early) {
    TRINE_SCOPE(s);
    for (int64_t ns = 1; ns < TRINE_MS(5); ns = ns * 3 + 1) {
        int64_t start = trine_now();
        trine_future *f = trine_after(s, ns);
        CHECK_EQ(trine_status(f), -EINPROGRESS);
        CHECK_EQ(status_of(f), 0);
        CHECK(trine_now() - start >= ns);
        trine_future_drop(f);
    }
    return 0;
}

IN_LOOP(futures_of_time_are_handed_out_in_order_of_time) {
    TRINE_SCOPE(s);
    trine_future *third = trine_after(s, TRINE_MS(6)), *first = trine_after(s, TRINE_MS(2)),
                 *second = trine_after(s, TRINE_MS(4)), *f;
    trine_future *expected[] = {first, second, third};
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(trine_next_done(s, &f), 1);
        CHECK_EQ(f, expected[i]);
    }
    CHECK_EQ(trine_next_done(s, &f), 0);
    return 0;
}

IN_LOOP(futures_of_one_time_are_done_in_order_of_start) {
    enum { MANY = 1000 };
    trine_future *all[MANY], *f;
    TRINE_SCOPE(s);
    for (int i = 0; i < MANY; i++)
        all[i] = trine_after(s, TRINE_MS(1));
    for (int i = 0; i < MANY; i++) {
        CHECK_EQ(trine_next_done(s, &f), 1);
        CHECK_EQ(f, all[i]);
        trine_future_drop(f);
    }
    return 0;
}

static int wait_for_ever(trine_channel **c) {
    int item;
    return trine_channel_recv(*c, &item);
}
TRINE_TASK(wait_for_ever, trine_channel *);

IN_LOOP(await_any_takes_a_time_beside_a_task) {
    trine_channel *c = trine_channel_new(sizeof(int), 1);
    {
        TRINE_SCOPE(s, .policy = TRINE_COLLECT);
        trine_future *both[] = {trine_start(s, NULL, wait_for_ever, &c), trine_after(s, 1)};
        CHECK_EQ(trine_await_any(both, 2), 1);
        CHECK_EQ(trine_status(both[0]), -EINPROGRESS);
        trine_channel_close(c);
        trine_future *other[] = {trine_after(s, HOUR), both[0]};
        CHECK_EQ(trine_await_any(other, 2), 1);
    }
    trine_channel_free(&c);
    return 0;
}

IN_LOOP(a_cancelled_future_of_time_is_done_at_once) {
    TRINE_SCOPE(s);
    trine_future *f = trine_after(s, HOUR), *done;
    trine_cancel(f, 0);
    CHECK_EQ(trine_status(f), -ECANCELED);
    CHECK_EQ(status_of(f), -ECANCELED);
    const trine_error *e = trine_error_of(f);
    CHECK(e && e->code == -ECANCELED);
    CHECK_STR(e->task, "trine_after");
    CHECK(strstr(e->site, "core_after.c:"));
    CHECK_EQ(trine_next_done(s, &done), 1);
    CHECK_EQ(done, f);
    CHECK_EQ(trine_join(s), 0); /* nor is it an error of the scope */
    CHECK_EQ(trine_errors(s, NULL, 0), 0);
    return 0;
}

IN_LOOP(of_time_and_cancellation_the_first_decides) {
    TRINE_SCOPE(s);
    trine_future *f = trine_after(s, 1);
    CHECK_EQ(status_of(f), 0);
    trine_cancel(f, 0);
    CHECK_EQ(trine_status(f), 0);
    CHECK(!trine_error_of(f));
    trine_future *g = trine_after(s, 1);
    trine_cancel(g, 0);
    CHECK_EQ(status_of(trine_after(s, TRINE_MS(1))), 0); /* g's time passes as well */
    CHECK_EQ(trine_status(g), -ECANCELED);
    return 0;
}

IN_LOOP(the_end_of_a_scope_ends_its_futures_of_time) {
    {
        TRINE_SCOPE(s);
        trine_future *f = trine_after(s, HOUR);
        trine_scope_cancel(s, -EIO);
        CHECK_EQ(trine_status(f), -ECANCELED);
        CHECK_EQ(status_of(f), -ECANCELED);
        CHECK_EQ(trine_join(s), -EIO);
    }
    TRINE_SCOPE(s, .timeout = TRINE_MS(1));
    trine_future *f = trine_after(s, HOUR), *late;
    CHECK_EQ(status_of(f), -ETIMEDOUT);
    late = trine_after(s, HOUR);
    CHECK_EQ(trine_status(late), -ETIMEDOUT);
    return 0;
}

IN_LOOP(the_end_of_an_outer_scope_reaches_inner_futures_of_time) {
    TRINE_SCOPE(outer);
    TRINE_SCOPE(inner);
    trine_future *f = trine_after(inner, HOUR);
    trine_scope_cancel(outer, 0);
    CHECK_EQ(status_of(f), -ECANCELED);
    return 0;
}

IN_LOOP(join_does_not_wait_for_futures_of_time) {
    TRINE_SCOPE(s, .limit = 1, .pending = 1);
    trine_after(s, HOUR);
    trine_after(s, HOUR); /* nor does the limit count them */
    trine_future *dropped = trine_after(s, HOUR), *f;
    trine_future_drop(dropped);
    CHECK_EQ(trine_join(s), 0);
    trine_future *late = trine_after(s, 1);
    CHECK_EQ(trine_next_done(s, &f), 1);
    CHECK_EQ(f, late);
    return 0;
}

IN_LOOP(closing_a_scope_stops_its_futures_of_time) {
    trine_future *f, *g;
    {
        TRINE_SCOPE(s);
        f = trine_after(s, TRINE_MS(1));
    }
    TRINE_SCOPE(s);
    g = trine_after(s, TRINE_MS(5));
    CHECK_EQ(g, f); /* the record is free for the next one ... */
    CHECK_EQ(status_of(g), 0);
    return 0; /* ... and its timer has not gone on */
}

TEST(a_plain_thread_awaits_a_time) {
    TRINE_SCOPE(s);
    CHECK_EQ(status_of(trine_after(s, TRINE_MS(1))), 0);
}

static int await_one(trine_future **f) {
    int status;
    return trine_await(*f, &status);
}
TRINE_TASK(await_one, trine_future *);

IN_LOOP(a_cancelled_awaiter_leaves_the_time_alone) {
    TRINE_SCOPE(times);
    trine_future *f = trine_after(times, HOUR);
    {
        TRINE_SCOPE(s, .policy = TRINE_COLLECT);
        trine_future *waits = trine_start(s, NULL, await_one, &f),
                     *waits_too = trine_start(times, NULL, await_one, &f);
        CHECK_OK(trine_yield());
        trine_cancel(waits, 0);
        CHECK_EQ(status_of(waits), -ECANCELED);
        CHECK_EQ(trine_status(f), -EINPROGRESS);
        trine_cancel(f, 0);
        CHECK_EQ(status_of(waits_too), 0);
    }
    return 0;
}

IN_LOOP(a_hundred_thousand_futures_of_time) {
    enum { MANY = 100000 };
    TRINE_SCOPE(s);
    for (int i = 0; i < MANY; i++) {
        trine_future *f = trine_after(s, i % 7 ? i * 100 : HOUR);
        if (i % 5 == 0)
            trine_cancel(f, 0);
    }
    int done = 0;
    for (trine_future *f; done < MANY - (MANY / 7 + 1) + MANY / 35 + 1; done++) {
        CHECK_EQ(trine_next_done(s, &f), 1);
        trine_future_drop(f);
    }
    return 0; /* those of an hour are stopped with the scope */
}
