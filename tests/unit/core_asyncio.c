/* core_asyncio.c - what CPython's tests of TaskGroup, timeout, wait_for, gather, Lock, Condition,
 * Semaphore, Barrier and Queue check and no other file here does. tests/README.md has the whole
 * list, with the tests elsewhere. The cases are ours; what is checked is theirs. */
#include "loop_case.h"

#include <trine/select.h>
#include <trine/sync.h>
#include <trine/task.h>

#include <errno.h>

struct step {
    int64_t pause;
    int result;  /* what it returns when its pause was not cut short */
    int cleanup; /* what it returns when it was; 0: the error of the wait */
    int began, ended;
};

static int step(struct step *s) {
    s->began++;
    int r = s->pause ? trine_sleep(s->pause) : 0;
    s->ended++;
    return r < 0 ? (s->cleanup ? s->cleanup : r) : s->result;
}
TRINE_TASK(step, struct step);

/* --- TaskGroup --- */

IN_LOOP(a_scope_without_tasks_joins_at_once) {
    for (trine_policy policy = TRINE_FAIL_FAST; policy <= TRINE_FIRST; policy++) {
        TRINE_SCOPE(s, .policy = policy);
        CHECK_EQ(trine_join(s), 0);
        CHECK_EQ(trine_join(s), 0);
    }
    return 0;
}

IN_LOOP(errors_that_come_while_a_scope_ends_are_kept) {
    struct step fails = {.pause = TRINE_MS(1), .result = -EIO};
    struct step fails_again = {.pause = TRINE_SEC(600), .cleanup = -EPIPE};
    struct step ends = {.pause = TRINE_SEC(600)};
    TRINE_SCOPE(s);
    trine_spawn(s, step, &fails);
    trine_spawn(s, step, &fails_again);
    trine_spawn(s, step, &ends);
    CHECK_EQ(trine_join(s), -EIO);
    trine_error errors[4];
    CHECK_EQ(trine_errors(s, errors, 4), 2); /* to end when asked to is no error */
    CHECK_EQ(errors[0].code, -EIO);
    CHECK_EQ(errors[1].code, -EPIPE);
    return 0;
}

IN_LOOP(a_task_started_in_a_scope_that_ends_never_runs) {
    struct step late = {0};
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    trine_scope_cancel(s, 0);
    CHECK_EQ(trine_spawn(s, step, &late), -ECANCELED);
    trine_future *f = trine_start(s, NULL, step, &late);
    CHECK_EQ(trine_status(f), -ECANCELED);
    CHECK_EQ(trine_join(s), -ECANCELED);
    CHECK_EQ(late.began, 0);
    return 0;
}

static int stubborn(struct step *s) {
    while (s->began < 5) /* each wait fails, and it goes on all the same */
        s->began += trine_sleep(TRINE_MS(1)) == -ECANCELED;
    return s->result;
}
TRINE_TASK(stubborn, struct step);

IN_LOOP(a_task_that_does_not_heed_its_cancellation_is_waited_for) {
    struct step s = {.result = 7};
    TRINE_SCOPE(scope, .policy = TRINE_COLLECT);
    trine_future *f = trine_start(scope, NULL, stubborn, &s);
    settle();
    trine_scope_cancel(scope, 0);
    CHECK_EQ(trine_join(scope), -ECANCELED);
    CHECK_EQ(trine_status(f), 7);
    CHECK_EQ(s.began, 5);
    return 0;
}

static int inner_fails(struct step *s) {
    struct step fails = {.pause = TRINE_MS(1), .result = -EIO}, sibling = {.pause = TRINE_SEC(600)};
    TRINE_SCOPE(inner);
    trine_spawn(inner, step, &fails);
    trine_spawn(inner, step, &sibling);
    int r = trine_join(inner);
    s->ended = sibling.ended;
    return s->result ? r : 0;
}
TRINE_TASK(inner_fails, struct step);

IN_LOOP(an_inner_error_stays_inside_unless_it_is_returned) {
    struct step quiet = {.result = 0}, loud = {.result = 1}, sibling = {.pause = TRINE_MS(20)};
    {
        TRINE_SCOPE(s);
        trine_spawn(s, inner_fails, &quiet);
        trine_spawn(s, step, &sibling);
        CHECK_EQ(trine_join(s), 0);
        CHECK_EQ(quiet.ended, 1);
    }
    TRINE_SCOPE(s);
    trine_spawn(s, inner_fails, &loud);
    CHECK_EQ(trine_join(s), -EIO);
    return 0;
}

IN_LOOP(the_owner_that_is_cancelled_takes_its_tasks_along_level_by_level) {
    struct step deep = {.pause = TRINE_SEC(600)}, deeper = {.pause = TRINE_SEC(600)};
    TRINE_SCOPE(outer, .policy = TRINE_COLLECT);
    TRINE_SCOPE(middle);
    trine_spawn(middle, step, &deep);
    TRINE_SCOPE(inner);
    trine_spawn(inner, step, &deeper);
    settle();
    trine_scope_cancel(outer, -EINTR);
    CHECK_EQ(trine_join(inner), -ECANCELED);
    CHECK_EQ(trine_join(middle), -ECANCELED);
    CHECK_EQ(trine_join(outer), -EINTR);
    CHECK_EQ(deep.ended + deeper.ended, 2);
    return 0;
}

/* --- timeout, wait_for --- */

IN_LOOP(a_deadline_in_the_past_ends_the_first_wait_but_no_computation) {
    struct step s = {.pause = 0, .result = 3};
    TRINE_SCOPE(scope, .policy = TRINE_COLLECT, .timeout = TRINE_SEC(600));
    trine_future *f = trine_start(scope, NULL, step, &s);
    settle();
    trine_scope_set_deadline(scope, trine_now() - TRINE_SEC(1));
    int status;
    CHECK_OK(trine_await(f, &status)); /* it is done: completion beats the deadline */
    CHECK_EQ(status, 3);
    CHECK_EQ(trine_sleep(TRINE_SEC(600)), -ETIMEDOUT);
    CHECK_EQ(trine_join(scope), -ETIMEDOUT);
    return 0;
}

IN_LOOP(an_error_before_the_deadline_is_the_outcome) {
    struct step fails = {.result = -EIO};
    TRINE_SCOPE(s, .timeout = TRINE_MS(20));
    trine_spawn(s, step, &fails);
    CHECK_EQ(trine_sleep(TRINE_MS(50)), -ECANCELED);
    CHECK_EQ(trine_join(s), -EIO);
    CHECK(!trine_scope_timed_out(s));
    return 0;
}

IN_LOOP(of_two_nested_deadlines_the_one_that_passed_is_named) {
    TRINE_SCOPE(outer, .timeout = TRINE_MS(10), .move_on = true);
    TRINE_SCOPE(inner, .timeout = TRINE_SEC(600), .move_on = true);
    CHECK_EQ(trine_sleep(TRINE_SEC(600)), -ETIMEDOUT);
    CHECK(!trine_scope_timed_out(inner));
    CHECK(trine_scope_timed_out(outer));
    CHECK_EQ(trine_join(inner), -ETIMEDOUT); /* it is the outer one that moves on */
    CHECK_EQ(trine_join(outer), 0);
    return 0;
}

/* --- gather --- */

IN_LOOP(results_are_in_place_whatever_the_order_of_completion) {
    struct step s[5];
    trine_future *f[5], *next;
    TRINE_SCOPE(scope);
    for (int i = 0; i < 5; i++) {
        s[i] = (struct step){.pause = TRINE_MS(25 - 5 * i), .result = i};
        f[i] = trine_start(scope, NULL, step, &s[i]);
    }
    for (int i = 4; i >= 0; i--) {
        CHECK_EQ(trine_next_done(scope, &next), 1);
        CHECK_EQ(next, f[i]);
    }
    for (int i = 0; i < 5; i++)
        CHECK_EQ(trine_status(f[i]), i);
    return 0;
}

struct awaiter {
    trine_future *f;
    int status;
};

static int await_it(struct awaiter *a) {
    return trine_await(a->f, &a->status);
}
TRINE_TASK(await_it, struct awaiter);

IN_LOOP(one_future_is_awaited_by_many_and_again_when_it_is_done) {
    struct step s = {.pause = TRINE_MS(5), .result = 9};
    TRINE_SCOPE(scope);
    trine_future *f = trine_start(scope, NULL, step, &s);
    struct awaiter a[3] = {{f, 0}, {f, 0}, {f, 0}};
    trine_map(scope, NULL, await_it, a, 3);
    CHECK_OK(trine_join(scope));
    for (int i = 0; i < 3; i++)
        CHECK_EQ(a[i].status, 9);
    int again;
    CHECK_OK(trine_await(f, &again));
    CHECK_EQ(again, 9);
    trine_future *twice[] = {f, f};
    CHECK_EQ(trine_await_any(twice, 2), 0);
    return 0;
}

IN_LOOP(who_awaits_and_is_cancelled_leaves_the_task_running) {
    struct step s = {.pause = TRINE_MS(20), .result = 4};
    TRINE_SCOPE(scope, .policy = TRINE_COLLECT);
    trine_future *f = trine_start(scope, NULL, step, &s);
    struct awaiter a = {.f = f};
    trine_future *waiting = trine_start(scope, NULL, await_it, &a);
    settle();
    trine_cancel(waiting, 0);
    int status;
    CHECK_OK(trine_await(f, &status));
    CHECK_EQ(status, 4);
    CHECK_EQ(trine_status(waiting), -ECANCELED);
    return 0;
}

/* --- Lock, Condition, Semaphore, Barrier --- */

static void pass(int signal) {
    (void)signal;
    _exit(0); // the case has passed
}

static void expect_abort(void) {
    CHECK_EQ(sigaction(SIGABRT, &(struct sigaction){.sa_handler = pass}, NULL), 0);
}

IN_LOOP(a_mutex_that_nobody_holds_cannot_be_unlocked) {
    trine_mutex m = {0};
    expect_abort();
    trine_mutex_unlock(&m);
    CHECK(!"it went on");
    return 0;
}

IN_LOOP(a_permit_too_many_aborts) {
    trine_semaphore s;
    trine_semaphore_init(&s, 1, 1);
    expect_abort();
    trine_semaphore_release(&s);
    CHECK(!"it went on");
    return 0;
}

struct turn {
    trine_semaphore *s;
    int *clock, at, result;
};

static int take_turn(struct turn *t) {
    t->result = trine_semaphore_acquire(t->s);
    t->at = ++*t->clock;
    return t->result;
}
TRINE_TASK(take_turn, struct turn);

IN_LOOP(nobody_overtakes_who_waits_for_a_permit) {
    trine_semaphore s;
    int clock = 0;
    trine_semaphore_init(&s, 0, 0);
    struct turn t[4];
    TRINE_SCOPE(scope);
    for (int i = 0; i < 4; i++) {
        t[i] = (struct turn){.s = &s, .clock = &clock};
        trine_spawn(scope, take_turn, &t[i]);
    }
    settle();
    trine_semaphore_release(&s); /* it is the first one's, which has not run since */
    CHECK_EQ(trine_semaphore_try_acquire(&s), -EBUSY);
    for (int i = 1; i < 4; i++)
        trine_semaphore_release(&s);
    CHECK_OK(trine_join(scope));
    for (int i = 0; i < 4; i++)
        CHECK_EQ(t[i].at, i + 1);
    return 0;
}

IN_LOOP(of_many_waiters_that_are_cancelled_none_takes_a_permit_along) {
    trine_semaphore s;
    int clock = 0;
    trine_semaphore_init(&s, 0, 0);
    struct turn t[6];
    trine_future *f[6];
    TRINE_SCOPE(scope, .policy = TRINE_COLLECT);
    for (int i = 0; i < 6; i++) {
        t[i] = (struct turn){.s = &s, .clock = &clock};
        f[i] = trine_start(scope, NULL, take_turn, &t[i]);
    }
    settle();
    trine_semaphore_release(&s);
    trine_semaphore_release(&s);
    for (int i = 0; i < 5; i++)
        trine_cancel(f[i], 0); /* the first two have their permits already */
    trine_semaphore_release(&s);
    trine_join(scope);
    int got = 0;
    for (int i = 0; i < 6; i++)
        got += t[i].result == 0;
    CHECK_EQ(got, 3);
    return 0;
}

struct meeting {
    trine_mutex *m;
    trine_condition *c;
    int *ready, seen;
};

static int await_ready(struct meeting *me) {
    int r = trine_mutex_lock(me->m);
    while (r == 0 && *me->ready == 0)
        r = trine_condition_wait(me->c, me->m);
    me->seen += r == 0;
    *me->ready -= r == 0;
    trine_mutex_unlock(me->m);
    return r;
}
TRINE_TASK(await_ready, struct meeting);

IN_LOOP(as_many_signals_as_come_wake_as_many) {
    trine_mutex m = {0};
    trine_condition c = {0};
    int ready = 0;
    struct meeting all[5];
    TRINE_SCOPE(s);
    for (int i = 0; i < 5; i++) {
        all[i] = (struct meeting){.m = &m, .c = &c, .ready = &ready};
        trine_spawn(s, await_ready, &all[i]);
    }
    settle();
    for (int n = 1; n <= 5; n++) {
        CHECK_OK(trine_mutex_lock(&m));
        ready++;
        trine_condition_signal(&c);
        trine_mutex_unlock(&m);
        settle();
        int seen = 0;
        for (int i = 0; i < 5; i++)
            seen += all[i].seen;
        CHECK_EQ(seen, n);
    }
    CHECK_OK(trine_join(s));
    return 0;
}

IN_LOOP(a_signal_without_waiters_is_gone) {
    trine_mutex m = {0};
    trine_condition c = {0};
    trine_condition_signal(&c);
    trine_condition_broadcast(&c);
    CHECK_OK(trine_mutex_lock(&m));
    TRINE_SCOPE(s, .timeout = TRINE_MS(5));
    CHECK_EQ(trine_condition_wait(&c, &m), -ETIMEDOUT);
    trine_mutex_unlock(&m); /* it holds it, whatever the wait gave */
    return 0;
}

IN_LOOP(a_barrier_of_one_lets_go_at_once) {
    trine_barrier b;
    trine_barrier_init(&b, 1);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(trine_barrier_wait(&b), 1);
    return 0;
}

/* --- Queue --- */

struct mail {
    trine_channel *c;
    int item, result;
};

static int send_item(struct mail *m) {
    return m->result = trine_channel_send(m->c, &m->item);
}
TRINE_TASK(send_item, struct mail);

static int receive_item(struct mail *m) {
    return m->result = trine_channel_recv(m->c, &m->item);
}
TRINE_TASK(receive_item, struct mail);

IN_LOOP(a_full_channel_and_an_empty_one_refuse_without_waiting) {
    trine_channel *c = trine_channel_new(sizeof(int), 1);
    int item = 5;
    CHECK_EQ(trine_channel_try_recv(c, &item), -EAGAIN);
    CHECK_EQ(item, 5);
    CHECK_OK(trine_channel_try_send(c, &item));
    CHECK_EQ(trine_channel_try_send(c, &item), -EAGAIN);
    CHECK_EQ(trine_channel_count(c), 1);
    trine_channel_free(&c);
    return 0;
}

IN_LOOP(a_cancelled_sender_leaves_its_place_to_the_next) {
    trine_channel *c = trine_channel_new(sizeof(int), 1);
    struct mail m[3] = {{c, 1, 0}, {c, 2, 0}, {c, 3, 0}};
    trine_future *f[3];
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    for (int i = 0; i < 3; i++)
        f[i] = trine_start(s, NULL, send_item, &m[i]);
    settle(); /* the first is in, two wait */
    trine_cancel(f[1], 0);
    int first, second;
    CHECK_OK(trine_channel_recv(c, &first));
    CHECK_OK(trine_channel_recv(c, &second));
    CHECK_EQ(first, 1);
    CHECK_EQ(second, 3);
    trine_join(s);
    CHECK_EQ(m[1].result, -ECANCELED);
    CHECK_EQ(trine_channel_count(c), 0);
    trine_channel_free(&c);
    return 0;
}

IN_LOOP(an_item_for_a_receiver_that_is_cancelled_goes_to_the_next) {
    trine_channel *c = trine_channel_new(sizeof(int), 4);
    struct mail m[2] = {{c, 0, 0}, {c, 0, 0}};
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    trine_future *first = trine_start(s, NULL, receive_item, &m[0]);
    trine_start(s, NULL, receive_item, &m[1]);
    settle();
    trine_cancel(first, 0);
    int item = 8;
    CHECK_OK(trine_channel_send(c, &item));
    trine_join(s);
    CHECK_EQ(m[0].result, -ECANCELED);
    CHECK_EQ(m[1].result, 0);
    CHECK_EQ(m[1].item, 8);
    trine_channel_free(&c);
    return 0;
}

IN_LOOP(closing_ends_all_waits_and_leaves_what_is_in) {
    trine_channel *full = trine_channel_new(sizeof(int), 1);
    trine_channel *empty = trine_channel_new(sizeof(int), 1);
    struct mail sends[2] = {{full, 1, 0}, {full, 2, 0}},
                receives[2] = {{empty, 0, 0}, {empty, 0, 0}};
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    trine_map(s, NULL, send_item, sends, 2);
    trine_map(s, NULL, receive_item, receives, 2);
    settle();
    trine_channel_close(full);
    trine_channel_close(empty);
    trine_channel_close(empty);
    CHECK_EQ(trine_join(s), -EPIPE);
    CHECK_EQ(sends[0].result, 0);
    CHECK_EQ(sends[1].result, -EPIPE);
    CHECK_EQ(receives[0].result, -EPIPE);
    CHECK_EQ(receives[1].result, -EPIPE);
    int item;
    CHECK_OK(trine_channel_recv(full, &item));
    CHECK_EQ(item, 1);
    CHECK_EQ(trine_channel_recv(full, &item), -EPIPE);
    CHECK_EQ(trine_channel_try_send(full, &item), -EPIPE);
    trine_channel_free(&full);
    trine_channel_free(&empty);
    return 0;
}

/* --- statistics --- */

static int fails_slowly(void *arg) {
    trine_sync_stats stats;
    trine_once_stats(arg, &stats);
    CHECK_STR(stats.owner, "run_once");
    return trine_sleep(TRINE_MS(5)) < 0 ? -ECANCELED : -EIO;
}

static int run_once(trine_once *o) {
    return trine_once_run(o, fails_slowly, o);
}
TRINE_TASK(run_once, trine_once);

IN_LOOP(statistics_tell_who_waits) {
    trine_sync_stats stats;
    trine_channel *c = trine_channel_new(sizeof(int), 2);
    struct mail m[3] = {{c, 0, 0}, {c, 0, 0}, {c, 0, 0}};
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    trine_map(s, NULL, receive_item, m, 3);
    settle();
    trine_channel_stats(c, &stats);
    CHECK_EQ(stats.waiters, 3);
    CHECK_EQ(stats.held, 0);
    trine_channel_close(c);
    trine_once once = {0};
    trine_spawn(s, run_once, &once);
    trine_spawn(s, run_once, &once);
    settle();
    trine_once_stats(&once, &stats);
    CHECK_EQ(stats.waiters, 1);
    CHECK_EQ(stats.held, 0);
    trine_join(s);
    trine_once_stats(&once, &stats);
    CHECK(stats.waiters == 0 && stats.held == 0 && !stats.owner);
    trine_channel_free(&c);
    trine_broadcast *b = trine_broadcast_new(sizeof(int), 4, false);
    trine_subscriber slow, quick;
    trine_broadcast_join(b, &slow);
    trine_broadcast_join(b, &quick);
    for (int i = 0; i < 3; i++)
        CHECK_OK(trine_broadcast_send(b, &i));
    int item;
    CHECK_OK(trine_broadcast_recv(b, &quick, &item));
    trine_broadcast_stats(b, &stats);
    CHECK(stats.waiters == 0 && stats.held == 3);
    trine_broadcast_leave(b, &slow);
    trine_broadcast_stats(b, &stats);
    CHECK_EQ(stats.held, 2);
    trine_broadcast_leave(b, &quick);
    trine_broadcast_free(&b);
    return 0;
}
