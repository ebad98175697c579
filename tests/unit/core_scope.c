/* core_scope.c - scopes: outcome, policies, deadline, cancellation, shield, limit, futures. */
#include "test.h"
#include "trine.h"

#include <pthread.h>

struct nap {
    int64_t ns;
    int result; /* what the task returns after the nap */
    int waited; /* what the nap returned */
    bool began;
};

static int nap(struct nap *n) {
    n->began = true;
    n->waited = trine_sleep(n->ns);
    return n->waited < 0 ? n->waited : n->result;
}
TRINE_TASK(nap, struct nap);

#define IN_LOOP(name)                                                                              \
    static int name##_body(struct nap *unused_);                                                   \
    TRINE_TASK(name##_body, struct nap);                                                           \
    TEST(name) {                                                                                   \
        CHECK_EQ(trine_run(name##_body, NULL), 0);                                                 \
    }                                                                                              \
    static int name##_body(struct nap *unused_ __attribute__((unused)))

#define LONG TRINE_SEC(600)

IN_LOOP(fail_fast_returns_the_first_error_and_cancels_the_siblings) {
    struct nap bad = {TRINE_MS(1), -EIO, 0, 0}, other = {LONG, 0, 0, 0};
    TRINE_SCOPE(s);
    trine_spawn(s, nap, &other);
    trine_spawn(s, nap, &bad);
    CHECK_EQ(trine_join(s), -EIO);
    CHECK_EQ(other.waited, -ECANCELED);
    trine_error e[4];
    CHECK_EQ((int)trine_errors(s, e, 4), 1); /* the cancelled sibling is no error of its own */
    CHECK_EQ(e[0].code, -EIO);
    CHECK(strcmp(e[0].task, "nap") == 0 && strstr(e[0].site, "core_scope.c"));
    CHECK_EQ(trine_sleep(1), -ECANCELED); /* level-triggered: the owner's waits fail too */
    return 0;
}

IN_LOOP(collect_waits_for_all) {
    struct nap n[3] = {{TRINE_MS(2), -EIO, 0, 0},
                       {TRINE_MS(1), -EPERM, 0, 0},
                       {TRINE_MS(3), 5, 0, 0}};
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    trine_map(s, NULL, nap, n, 3);
    CHECK_EQ(trine_join(s), -EPERM); /* the first to fail */
    CHECK_EQ(n[2].waited, 0);
    CHECK_EQ((int)trine_errors(s, NULL, 0), 2);
    CHECK_EQ(trine_sleep(0), 0);
    return 0;
}

IN_LOOP(first_success_cancels_the_rest) {
    struct nap n[3] = {{TRINE_MS(1), -EIO, 0, 0}, {TRINE_MS(3), 5, 0, 0}, {LONG, 0, 0, 0}};
    TRINE_SCOPE(s, .policy = TRINE_FIRST);
    trine_map(s, NULL, nap, n, 3);
    CHECK_EQ(trine_join(s), 0);
    CHECK_EQ(n[2].waited, -ECANCELED);
    return 0;
}

IN_LOOP(first_without_success_gives_the_first_error) {
    struct nap n[2] = {{TRINE_MS(3), -EIO, 0, 0}, {TRINE_MS(1), -EPERM, 0, 0}};
    TRINE_SCOPE(s, .policy = TRINE_FIRST);
    trine_map(s, NULL, nap, n, 2);
    CHECK_EQ(trine_join(s), -EPERM);
    return 0;
}

IN_LOOP(a_deadline_ends_tasks_and_the_owners_waits) {
    struct nap n = {LONG, 0, 0, 0};
    TRINE_SCOPE(s, .timeout = TRINE_MS(5));
    trine_spawn(s, nap, &n);
    CHECK_EQ(trine_sleep(LONG), -ETIMEDOUT);
    CHECK_EQ(trine_join(s), -ETIMEDOUT);
    CHECK_EQ(n.waited, -ETIMEDOUT);
    CHECK_EQ(trine_sleep(0), -ETIMEDOUT);
    return 0;
}

IN_LOOP(an_inner_scope_ends_with_the_outer_one) {
    TRINE_SCOPE(outer, .timeout = TRINE_MS(5));
    {
        TRINE_SCOPE(inner, .timeout = LONG);
        struct nap n = {LONG, 0, 0, 0};
        trine_spawn(inner, nap, &n);
        CHECK_EQ(trine_join(inner), -ETIMEDOUT);
        CHECK_EQ(n.waited, -ETIMEDOUT);
    }
    CHECK_EQ(trine_join(outer), -ETIMEDOUT);
    return 0;
}

IN_LOOP(the_inner_deadline_leaves_the_outer_scope_whole) {
    TRINE_SCOPE(outer, .timeout = LONG);
    {
        TRINE_SCOPE(inner, .timeout = TRINE_MS(2));
        CHECK_EQ(trine_sleep(LONG), -ETIMEDOUT);
    }
    CHECK_EQ(trine_sleep(1), 0);
    CHECK_EQ(trine_join(outer), 0);
    return 0;
}

IN_LOOP(a_shield_keeps_outer_cancellation_outside) {
    TRINE_SCOPE(outer);
    trine_scope_cancel(outer, 0);
    CHECK_EQ(trine_sleep(1), -ECANCELED);
    {
        TRINE_SCOPE(cleanup, .timeout = TRINE_SEC(5), .shield = true);
        CHECK_EQ(trine_sleep(TRINE_MS(1)), 0);
        struct nap n = {TRINE_MS(1), 3, 0, 0};
        trine_spawn(cleanup, nap, &n);
        CHECK_EQ(trine_join(cleanup), 0);
        CHECK_EQ(n.waited, 0);
    }
    CHECK_EQ(trine_sleep(1), -ECANCELED);
    return 0;
}

IN_LOOP(an_unshielded_scope_opened_after_the_cancel_is_cancelled) {
    TRINE_SCOPE(outer);
    trine_scope_cancel(outer, -EINTR);
    TRINE_SCOPE(inner);
    struct nap n = {LONG, 0, 0, 0};
    CHECK_EQ(trine_spawn(inner, nap, &n), -ECANCELED);
    CHECK(!n.began);
    CHECK_EQ(trine_join(inner), -ECANCELED);
    CHECK_EQ(trine_join(outer), -EINTR); /* the reason given */
    return 0;
}

IN_LOOP(leaving_without_join_cancels_and_waits) {
    struct nap n = {LONG, 0, 1, 0};
    {
        TRINE_SCOPE(s);
        trine_spawn(s, nap, &n);
        CHECK_EQ(trine_yield(), 0);
        CHECK(n.began);
    }
    CHECK_EQ(n.waited, -ECANCELED);
    return 0;
}

IN_LOOP(a_task_cancelled_before_it_began_never_runs) {
    struct nap n = {LONG, 0, 0, 0};
    TRINE_SCOPE(s);
    trine_future *f = trine_start(s, NULL, nap, &n);
    trine_cancel(f, 0);
    int status = 1;
    CHECK_EQ(trine_await(f, &status), 0);
    CHECK_EQ(status, -ECANCELED);
    CHECK(!n.began);
    return 0;
}

struct parallel {
    int *now, *most;
};

static int in_parallel(struct parallel *p) {
    if (++*p->now > *p->most)
        *p->most = *p->now;
    int r = trine_sleep(TRINE_US(200));
    --*p->now;
    return r;
}
TRINE_TASK(in_parallel, struct parallel);

IN_LOOP(a_limit_holds_and_all_run) {
    int now = 0, most = 0;
    struct parallel args[50];
    TRINE_SCOPE(s, .limit = 7, .pending = 5);
    for (int i = 0; i < 50; i++) {
        args[i] = (struct parallel){&now, &most};
        CHECK_EQ(trine_spawn(s, in_parallel, &args[i]), 0);
    }
    CHECK_EQ(trine_join(s), 0);
    CHECK_EQ(most, 7);
    CHECK_EQ(now, 0);
    return 0;
}

IN_LOOP(pending_tasks_are_dropped_by_a_cancel) {
    struct nap n[3] = {{LONG, 0, 0, 0}, {LONG, 0, 0, 0}, {LONG, 0, 0, 0}};
    TRINE_SCOPE(s, .limit = 1);
    trine_map(s, NULL, nap, n, 3);
    CHECK_EQ(trine_yield(), 0);
    trine_scope_cancel(s, 0);
    CHECK_EQ(trine_join(s), -ECANCELED);
    CHECK(n[0].began && !n[1].began && !n[2].began);
    return 0;
}

struct family {
    trine_scope *scope;
    struct nap *children;
    int result;
};

static int spawn_into_parent(struct family *f) {
    f->result = 0;
    for (int i = 0; i < 3 && f->result == 0; i++)
        f->result = trine_spawn(f->scope, nap, &f->children[i]);
    return 0;
}
TRINE_TASK(spawn_into_parent, struct family);

IN_LOOP(a_task_that_would_wait_for_its_own_scopes_limit_gets_edeadlk) {
    struct nap n[3] = {{0}};
    TRINE_SCOPE(s, .limit = 1, .pending = 1);
    struct family f = {s, n, 0};
    trine_spawn(s, spawn_into_parent, &f);
    CHECK_EQ(trine_join(s), -EDEADLK); /* an error of starting reaches join */
    CHECK_EQ(f.result, -EDEADLK);
    return 0;
}

IN_LOOP(next_done_hands_out_in_order_of_completion) {
    struct nap n[3] = {{TRINE_MS(6), 1, 0, 0}, {TRINE_MS(2), 2, 0, 0}, {TRINE_MS(4), 3, 0, 0}};
    TRINE_SCOPE(s);
    for (int i = 0; i < 3; i++)
        trine_start(s, NULL, nap, &n[i]);
    trine_future *f;
    static const int expected[3] = {2, 3, 1};
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(trine_next_done(s, &f), 1);
        CHECK_EQ(trine_status(f), expected[i]);
    }
    CHECK_EQ(trine_next_done(s, &f), 0);
    return 0;
}

IN_LOOP(await_any_gives_the_index_and_consumes_nothing) {
    struct nap n[3] = {{LONG, 1, 0, 0}, {TRINE_MS(2), 2, 0, 0}, {LONG, 3, 0, 0}};
    TRINE_SCOPE(s);
    trine_future *f[3];
    for (int i = 0; i < 3; i++)
        f[i] = trine_start(s, NULL, nap, &n[i]);
    CHECK_EQ(trine_await_any(f, 3), 1);
    CHECK_EQ(trine_await_any(f, 3), 1);
    CHECK_EQ(trine_status(f[0]), -EINPROGRESS);
    int status;
    CHECK_EQ(trine_await(f[1], &status), 0);
    CHECK_EQ(status, 2);
    trine_future_drop(f[1]);
    return 0;
}

IN_LOOP(a_done_future_gives_its_status_in_a_cancelled_scope) {
    struct nap quick = {0, 9, 0, 0}, slow = {LONG, 0, 0, 0};
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    trine_future *f = trine_start(s, NULL, nap, &quick), *g = trine_start(s, NULL, nap, &slow);
    CHECK_EQ(trine_await(f, NULL), 0);
    TRINE_SCOPE(inner);
    trine_scope_cancel(inner, 0);
    int status = 0;
    CHECK_EQ(trine_await(f, &status), 0);
    CHECK_EQ(status, 9);
    CHECK_EQ(trine_await(g, &status), -ECANCELED); /* the wait ended, the task did not */
    CHECK_EQ(trine_status(g), -EINPROGRESS);
    return 0;
}

IN_LOOP(an_error_has_its_detail) {
    struct nap n = {0, -ENOENT, 0, 0};
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    trine_future *f = trine_start(s, NULL, nap, &n);
    CHECK(trine_error_of(f) == NULL);
    CHECK_EQ(trine_await(f, NULL), 0);
    const trine_error *e = trine_error_of(f);
    CHECK(e && e->code == -ENOENT && strcmp(e->detail, "No such file or directory") == 0);
    return 0;
}

static void *cancel_from_thread(void *scope) {
    trine_scope_cancel(scope, -EINTR);
    return NULL;
}

IN_LOOP(another_thread_may_cancel_a_scope) {
    struct nap n = {LONG, 0, 0, 0};
    TRINE_SCOPE(s);
    trine_spawn(s, nap, &n);
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, cancel_from_thread, s), 0);
    CHECK_EQ(trine_join(s), -EINTR);
    CHECK_EQ(n.waited, -ECANCELED);
    pthread_join(thread, NULL);
    return 0;
}

TEST(a_cancel_on_its_way_does_not_find_the_scope_gone) {
    for (int i = 0; i < 300; i++) {
        TRINE_SCOPE(s);
        pthread_t thread;
        CHECK_EQ(pthread_create(&thread, NULL, cancel_from_thread, s), 0);
        if (i & 1)
            pthread_join(thread, NULL);
        else
            CHECK_EQ(trine_sleep(TRINE_SEC(60)), -ECANCELED);
        trine_scope_close(&s);
        if (!(i & 1))
            pthread_join(thread, NULL);
    }
}
