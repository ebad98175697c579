/* core_task.c - what a task knows of itself: its name, why it is to end, the deadline, values; and
 * the starts that copy the argument or wait until the task is ready. */
#include "loop_case.h"

#include <trine/select.h>
#include <trine/sync.h>
#include <trine/task.h>

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

/* --- names and reasons --- */

struct asked {
    const char *name;
    int result, reason, reason_before;
};

static int ask(struct asked *a) {
    a->name = trine_task_name();
    a->reason_before = trine_cancel_reason();
    a->result = trine_sleep(TRINE_SEC(600));
    a->reason = trine_cancel_reason();
    return a->result;
}
TRINE_TASK(ask, struct asked);

static int ask_deeper(struct asked *a) {
    TRINE_SCOPE(inner);
    TRINE_SCOPE(inmost);
    return ask(a);
}
TRINE_TASK(ask_deeper, struct asked);

static int ask_with_child(struct asked *a) {
    TRINE_SCOPE(inner);
    trine_spawn(inner, ask_deeper, a);
    int r = trine_join(inner);
    return r;
}
TRINE_TASK(ask_with_child, struct asked);

IN_LOOP(a_task_knows_its_name) {
    struct asked a = {0};
    TRINE_SCOPE(s);
    trine_spawn(s, ask, &a);
    CHECK(strcmp(trine_task_name(), "a_task_knows_its_name_body") == 0);
    settle();
    CHECK(strcmp(a.name, "ask") == 0);
    return 0;
}

TEST(a_plain_thread_has_no_task_name) {
    CHECK(trine_task_name() == NULL);
    CHECK_EQ(trine_cancel_reason(), 0);
}

IN_LOOP(a_reason_reaches_every_task_below) {
    struct asked near = {0}, deep = {0};
    TRINE_SCOPE(s);
    trine_spawn(s, ask, &near);
    trine_spawn(s, ask_with_child, &deep);
    settle();
    trine_scope_cancel(s, -EPIPE);
    CHECK_EQ(trine_cancel_reason(), -EPIPE); /* the owner's waits end too */
    CHECK_EQ(trine_join(s), -EPIPE);
    CHECK_EQ(near.reason_before, 0);
    CHECK_EQ(near.result, -ECANCELED);
    CHECK_EQ(near.reason, -EPIPE);
    CHECK_EQ(deep.result, -ECANCELED);
    CHECK_EQ(deep.reason, -EPIPE);
    return 0;
}

IN_LOOP(a_reason_of_one_task_reaches_it_and_its_own) {
    struct asked one = {0}, other = {0};
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    trine_future *f = trine_start(s, NULL, ask_with_child, &one);
    trine_spawn(s, ask, &other);
    settle();
    trine_cancel(f, -EIO);
    CHECK_OK(trine_await(f, NULL));
    CHECK_EQ(one.reason, -EIO);
    CHECK_EQ(other.result, 0);
    return 0;
}

IN_LOOP(a_reason_of_an_outer_scope_is_found_from_an_inner_one) {
    TRINE_SCOPE(outer);
    TRINE_SCOPE(inner);
    trine_scope_cancel(outer, -EPIPE);
    CHECK_EQ(trine_sleep(0), -ECANCELED);
    CHECK_EQ(trine_cancel_reason(), -EPIPE);
    return 0;
}

IN_LOOP(a_deadline_is_the_reason) {
    struct asked a = {0};
    TRINE_SCOPE(s, .timeout = TRINE_MS(1));
    trine_spawn(s, ask_with_child, &a);
    CHECK_EQ(trine_join(s), -ETIMEDOUT);
    CHECK_EQ(a.reason, -ETIMEDOUT);
    return 0;
}

static int read_reason_in_thread(struct asked *a) {
    while (!trine_cancelled())
        a->name = trine_task_name();
    a->reason = trine_cancel_reason();
    return -ECANCELED;
}
TRINE_TASK(read_reason_in_thread, struct asked);

IN_LOOP(a_thread_task_reads_the_reason) {
    trine_executor *pool;
    CHECK_OK(trine_threads_open(&pool, NULL));
    struct asked a = {0};
    {
        TRINE_SCOPE(s);
        trine_submit(s, pool, read_reason_in_thread, &a);
        trine_scope_cancel(s, -EPIPE);
        CHECK_EQ(trine_join(s), -EPIPE);
    }
    CHECK(a.reason == -EPIPE || a.name == NULL); /* it may not have begun */
    trine_executor_close(&pool);
    return 0;
}

TEST(codes_have_words) {
    CHECK(strstr(trine_strerror(-ECANCELED), "scope"));
    CHECK(strstr(trine_strerror(-ETIMEDOUT), "deadline"));
    CHECK(strcmp(trine_strerror(0), "success") == 0);
    CHECK(strcmp(trine_strerror(-ENOENT), "No such file or directory") == 0);
    CHECK(strcmp(trine_strerror(-99999), "an unknown error") == 0);
}

/* --- deadlines --- */

IN_LOOP(a_deadline_can_be_read_and_moved) {
    TRINE_SCOPE(s, .timeout = TRINE_SEC(600));
    int64_t now = trine_now(), until = trine_scope_deadline(s);
    CHECK(until >= now + TRINE_SEC(599) && until <= now + TRINE_SEC(601));
    trine_scope_set_deadline(s, now + TRINE_MS(1));
    CHECK_EQ(trine_sleep(TRINE_SEC(600)), -ETIMEDOUT);
    CHECK(trine_now() >= now + TRINE_MS(1));
    CHECK(trine_scope_timed_out(s));
    trine_scope_set_deadline(s, TRINE_NEVER); /* it is ending, and stays so */
    CHECK_EQ(trine_sleep(0), -ETIMEDOUT);
    return 0;
}

IN_LOOP(a_deadline_can_be_put_off_and_taken_away) {
    TRINE_SCOPE(s, .timeout = TRINE_MS(1));
    trine_scope_set_deadline(s, TRINE_NEVER);
    CHECK_EQ(trine_scope_deadline(s), TRINE_NEVER);
    CHECK_OK(trine_sleep(TRINE_MS(2)));
    CHECK(!trine_scope_timed_out(s));
    trine_scope_set_deadline(s, 1); /* long ago */
    CHECK_EQ(trine_sleep(TRINE_SEC(600)), -ETIMEDOUT);
    return 0;
}

IN_LOOP(a_deadline_beyond_an_earlier_cancel_is_none) {
    TRINE_SCOPE(s);
    trine_scope_cancel(s, -EPIPE);
    trine_scope_set_deadline(s, trine_now());
    CHECK_EQ(trine_join(s), -EPIPE);
    CHECK(!trine_scope_timed_out(s));
    return 0;
}

IN_LOOP(a_scope_that_moves_on_gives_no_error_for_its_timeout) {
    struct asked a = {0};
    {
        TRINE_SCOPE(s, .timeout = TRINE_MS(1), .move_on = true);
        trine_spawn(s, ask, &a);
        CHECK_EQ(trine_join(s), 0);
        CHECK(trine_scope_timed_out(s));
        CHECK_EQ(a.result, -ETIMEDOUT);
    }
    CHECK_OK(trine_sleep(0));
    TRINE_SCOPE(s, .timeout = TRINE_SEC(600), .move_on = true);
    trine_scope_cancel(s, -EPIPE);
    CHECK_EQ(trine_join(s), -EPIPE); /* other reasons stay */
    return 0;
}

/* --- copies --- */

struct numbered {
    int number;
    int *sum;
};

static int add_number(struct numbered *n) {
    int r = trine_yield();
    *n->sum += n->number;
    n->number = -1;
    return r;
}
TRINE_TASK(add_number, struct numbered);

IN_LOOP(a_copied_argument_may_change_at_once) {
    int sum = 0;
    {
        TRINE_SCOPE(s, .limit = 3); /* some wait for it, with their copies */
        struct numbered n = {.sum = &sum};
        for (n.number = 1; n.number <= 10; n.number++)
            CHECK_OK(trine_spawn_copy(s, add_number, &n));
        n.sum = NULL;
        CHECK_OK(trine_join(s));
    }
    CHECK_EQ(sum, 55);
    return 0;
}

IN_LOOP(a_copy_that_never_runs_is_freed) {
    int sum = 0;
    struct numbered n = {1, &sum};
    TRINE_SCOPE(s, .limit = 1);
    for (int i = 0; i < 4; i++)
        CHECK_OK(trine_spawn_copy(s, add_number, &n));
    trine_scope_cancel(s, 0);
    CHECK_EQ(trine_spawn_copy(s, add_number, &n), -ECANCELED);
    CHECK_EQ(trine_join(s), -ECANCELED);
    CHECK_EQ(sum, 0);
    return 0;
}

static int add_atomically(struct numbered *n) {
    __atomic_fetch_add(n->sum, n->number, __ATOMIC_RELAXED);
    return 0;
}
TRINE_TASK(add_atomically, struct numbered);

TEST(a_pool_runs_copies_too) {
    trine_executor *pool;
    CHECK_OK(trine_threads_open(&pool, NULL));
    int sum = 0;
    {
        TRINE_SCOPE(s);
        struct numbered n = {.sum = &sum};
        for (n.number = 1; n.number <= 100; n.number++)
            CHECK_OK(trine_submit_copy(s, pool, add_atomically, &n));
        CHECK_OK(trine_join(s));
    }
    CHECK_EQ(sum, 5050);
    trine_executor_close(&pool);
}

/* --- ready --- */

struct server {
    int steps, result;
    bool says, fails;
    trine_event go_on;
};

static int serve(struct server *s) {
    int r = trine_yield();
    s->steps = 1;
    if (s->fails)
        return -EADDRINUSE;
    if (s->says)
        trine_ready();
    trine_ready(); /* again: harmless */
    s->steps = 2;
    s->result = r < 0 ? r : trine_event_wait(&s->go_on);
    return s->result;
}
TRINE_TASK(serve, struct server);

static int end_without_a_word(struct server *s) {
    s->steps = 1;
    return trine_yield();
}
TRINE_TASK(end_without_a_word, struct server);

IN_LOOP(a_task_that_is_ready_lets_its_starter_go_on) {
    struct server server = {.says = true};
    TRINE_SCOPE(s);
    CHECK_OK(trine_spawn_ready(s, serve, &server));
    CHECK(server.steps >= 1);
    trine_event_set(&server.go_on);
    CHECK_OK(trine_join(s));
    CHECK_EQ(server.steps, 2);
    return 0;
}

IN_LOOP(a_task_that_fails_before_it_is_ready_gives_its_error) {
    struct server server = {.fails = true};
    TRINE_SCOPE(s);
    CHECK_EQ(trine_spawn_ready(s, serve, &server), -EADDRINUSE);
    CHECK_EQ(trine_join(s), -EADDRINUSE);
    return 0;
}

IN_LOOP(a_task_that_never_says_it_is_ready_is_an_error) {
    struct server server = {0};
    TRINE_SCOPE(s);
    CHECK_EQ(trine_spawn_ready(s, end_without_a_word, &server), -EPROTO);
    CHECK_OK(trine_join(s));
    return 0;
}

IN_LOOP(a_wait_for_readiness_ends_with_its_scope) {
    struct asked a = {0};
    TRINE_SCOPE(s);
    {
        TRINE_SCOPE(inner, .timeout = TRINE_MS(1));
        CHECK_EQ(trine_spawn_ready(s, ask, &a), -ETIMEDOUT);
    }
    CHECK_EQ(a.result, 0); /* it goes on */
    CHECK_OK(trine_sleep(0));
    return 0;
}

/* --- values --- */

static const char user, colour;

struct reader {
    const char *user, *colour;
};

static int read_values(struct reader *r) {
    r->user = trine_value_get(&user);
    r->colour = trine_value_get(&colour);
    return 0;
}
TRINE_TASK(read_values, struct reader);

static int read_deeper(struct reader *r) {
    TRINE_LET(&colour, (char *)"blue");
    TRINE_SCOPE(s);
    trine_spawn(s, read_values, r);
    return trine_join(s);
}
TRINE_TASK(read_deeper, struct reader);

IN_LOOP(a_task_inherits_the_values_of_its_scope) {
    struct reader own = {0}, child = {0}, deep = {0};
    TRINE_LET(&user, (char *)"ann");
    TRINE_LET(&colour, (char *)"red");
    read_values(&own);
    {
        TRINE_SCOPE(s);
        trine_spawn(s, read_values, &child);
        trine_spawn(s, read_deeper, &deep);
        CHECK_OK(trine_join(s));
    }
    CHECK(strcmp(own.user, "ann") == 0 && strcmp(own.colour, "red") == 0);
    CHECK(strcmp(child.user, "ann") == 0 && strcmp(child.colour, "red") == 0);
    CHECK(strcmp(deep.user, "ann") == 0 && strcmp(deep.colour, "blue") == 0);
    CHECK(strcmp(trine_value_get(&colour), "red") == 0);
    return 0;
}

static int read_values_below(struct reader *r) {
    TRINE_SCOPE(s);
    trine_spawn(s, read_values, r);
    return trine_join(s);
}
TRINE_TASK(read_values_below, struct reader);

IN_LOOP(a_task_may_have_values_of_its_own) {
    struct reader r[3] = {0};
    TRINE_LET(&user, (char *)"ann");
    TRINE_LET(&colour, (char *)"red");
    trine_value mine[2] = {{&colour, (char *)"blue", NULL}, {&colour, (char *)"grey", NULL}};
    trine_value others = {&user, (char *)"bob", NULL};
    TRINE_SCOPE(s);
    trine_executor *pool;
    CHECK_OK(trine_threads_open(&pool, TRINE_OPTS(trine_threads_opts, .workers = 1)));
    trine_spawn_opts(s, read_values_below, &r[0], .values = mine, .value_count = 2);
    trine_submit_opts(s, pool, read_values, &r[1], .values = &others, .value_count = 1);
    trine_spawn_opts(s, read_values, &r[2], .name = "none of its own");
    CHECK_OK(trine_join(s));
    CHECK_STR(r[0].user, "ann");
    CHECK_STR(r[0].colour, "blue");
    CHECK_STR(r[1].user, "bob");
    CHECK_STR(r[1].colour, "red");
    CHECK_STR(r[2].user, "ann");
    CHECK_STR(r[2].colour, "red");
    CHECK(strcmp(trine_value_get(&user), "ann") == 0);
    trine_executor_close(&pool);
    return 0;
}

IN_LOOP(a_value_set_after_the_scope_does_not_reach_its_tasks) {
    struct reader r = {0};
    TRINE_SCOPE(s);
    {
        TRINE_LET(&user, (char *)"bob");
        trine_spawn(s, read_values, &r);
        CHECK(strcmp(trine_value_get(&user), "bob") == 0);
    }
    CHECK(trine_value_get(&user) == NULL);
    CHECK_OK(trine_join(s)); /* the value's block is gone */
    CHECK(r.user == NULL);
    return 0;
}

TEST(a_thread_task_inherits_values) {
    trine_executor *pool;
    CHECK_OK(trine_threads_open(&pool, NULL));
    struct reader r = {0}, bare = {0};
    {
        TRINE_LET(&user, (char *)"eve");
        CHECK_OK(trine_map_all(pool, read_values, &r, 1));
    }
    CHECK_OK(trine_map_all(pool, read_values, &bare, 1));
    CHECK(strcmp(r.user, "eve") == 0);
    CHECK(bare.user == NULL);
    trine_executor_close(&pool);
}
