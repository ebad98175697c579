/* processes_closed.c - a pool of either kind, or another loop, that is closed and gone before its
 * tasks' owner, in another thread, has noticed that they are done. */
#include "processes_help.h"

#include <trine/debug.h>
#include <trine/loop.h>

#include <pthread.h>
#include <stdatomic.h>

enum { POOLS = 3, TASKS = 3 };

struct unit {
    int out;
};

static int work(struct unit *u) {
    u->out = 1;
    return 0;
}
TRINE_TASK(work, struct unit);

struct owner {
    trine_executor *pools[POOLS];
    bool cancels, has_limit;
    struct unit units[POOLS][TASKS];
    atomic_bool submitted, go_on;
    int outcome;
};

static int hold_up(struct owner *o) {
    trine_scope_opts opts = {.size = sizeof(opts), .policy = TRINE_COLLECT, .limit = o->has_limit};
    trine_scope memory, *s = trine_scope_open(&memory, &opts, TRINE_HERE_);
    for (int i = 0; i < TASKS; i++)
        for (int k = 0; k < POOLS; k++)
            if (o->pools[k])
                CHECK_OK(trine_submit(s, o->pools[k], work, &o->units[k][i]));
    atomic_store(&o->submitted, true);
    while (!atomic_load(&o->go_on)) /* nothing is noticed in this loop meanwhile */
        usleep(1000);
    FILE *sink = fopen("/dev/null", "we");
    trine_dump(fileno(sink));
    fclose(sink);
    if (o->cancels)
        trine_scope_cancel(s, 0);
    o->outcome = trine_join(s);
    trine_scope_close(&s);
    return 0;
}
TRINE_TASK(hold_up, struct owner);

static void *run_owner(void *arg) {
    CHECK_OK(trine_run(hold_up, (struct owner *)arg));
    return NULL;
}

static void open_pools(struct owner *o) {
    CHECK_OK(trine_threads_open(&o->pools[0], TRINE_OPTS(trine_threads_opts, .workers = 1)));
    CHECK_OK(trine_processes_open(&o->pools[1], TRINE_OPTS(trine_processes_opts, .workers = 1)));
}

static void close_pools(struct owner *o) {
    for (int i = 0; i < POOLS; i++) {
        trine_executor *pool = o->pools[i];
        trine_executor_close(&pool);
    }
}

static void close_before_it_is_noticed(struct owner *o) {
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, run_owner, o), 0);
    CHECK(EVENTUALLY(atomic_load(&o->submitted), 20000));
    close_pools(o);
    atomic_store(&o->go_on, true);
    CHECK_EQ(pthread_join(thread, NULL), 0);
}

TEST(tasks_that_are_done_are_noticed_when_the_pools_are_gone) {
    static struct owner o;
    open_pools(&o);
    close_before_it_is_noticed(&o);
    CHECK_EQ(o.outcome, 0);
    for (int i = 0; i < TASKS; i++)
        CHECK_EQ(o.units[0][i].out + o.units[1][i].out, 2);
}

TEST(tasks_that_are_done_are_cancelled_when_the_pools_are_gone) {
    static struct owner o = {.cancels = true};
    open_pools(&o);
    close_before_it_is_noticed(&o);
    CHECK_EQ(o.outcome, -ECANCELED);
}

/* The scope lets one go at a time: the others wait in it. */
TEST(tasks_that_a_scope_lets_go_when_the_pools_are_gone_are_refused) {
    static struct owner o = {.has_limit = true};
    open_pools(&o);
    close_before_it_is_noticed(&o);
    CHECK_EQ(o.outcome, -ESHUTDOWN);
    int done = 0;
    for (int i = 0; i < TASKS; i++)
        done += o.units[0][i].out + o.units[1][i].out;
    CHECK_EQ(done, 1);
}

static int be_the_other_loop(struct owner *o) {
    CHECK_OK(trine_loop_open(&o->pools[2]));
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, run_owner, o), 0);
    while (!atomic_load(&o->submitted))
        CHECK_OK(trine_sleep(TRINE_MS(1)));
    close_pools(o);
    atomic_store(&o->go_on, true);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    return 0;
}
TRINE_TASK(be_the_other_loop, struct owner);

TEST(tasks_of_a_loop_are_cancelled_when_it_is_gone) {
    static struct owner o = {.cancels = true};
    CHECK_OK(trine_run(be_the_other_loop, &o));
    CHECK_EQ(o.outcome, -ECANCELED);
}

TEST(tasks_that_a_scope_lets_go_when_the_loop_is_gone_are_refused) {
    static struct owner o = {.has_limit = true};
    CHECK_OK(trine_run(be_the_other_loop, &o));
    CHECK_EQ(o.outcome, -ESHUTDOWN);
}
