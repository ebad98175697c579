/* processes_spin.c - a loop that looks on, here for an hour, while it waits for tasks of a process
 * pool, and so works in its supervisor's place: nobody else may wait for it. */
#include "processes_help.h"

#include <trine/task.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#define AN_HOUR TRINE_SEC(3600)

struct number {
    int in, out;
};

static int add_one(struct number *n) {
    n->out = n->in + 1;
    return 0;
}
TRINE_TASK(add_one, struct number);

static int die(struct number *n) {
    (void)n;
    raise(SIGKILL);
    return 0;
}
TRINE_TASK(die, struct number);

static int run_for_ever(struct number *n) {
    (void)n;
    for (volatile unsigned i = 0;; i++)
        ;
    return 0;
}
TRINE_TASK(run_for_ever, struct number);

struct scene {
    trine_executor *pool, *other;
    int rounds;
};

static int look_on(const trine_task *task, struct scene *c) {
    const trine_run_opts opts = {.size = sizeof(opts), .spin = AN_HOUR};
    return trine_run_task(task, c, &opts);
}

static void check_one(trine_executor *pool, int i) {
    struct number n = {.in = i};
    TRINE_SCOPE(s);
    trine_future *f = trine_start(s, pool, add_one, &n);
    int status;
    CHECK_OK(trine_await(f, &status));
    CHECK_OK(status);
    CHECK_EQ(n.out, i + 1);
}

static int many_rounds(struct scene *c) {
    for (int i = 0; i < c->rounds; i++)
        check_one(c->pool, i);
    return 0;
}
TRINE_TASK(many_rounds, struct scene);

TEST(results_come_one_by_one) {
    struct scene c = {.pool = pool_open((trine_processes_opts){.workers = 2, .spin = TRINE_MS(1)}),
                      .rounds = 2000};
    CHECK_OK(look_on(&many_rounds_task, &c));
    trine_executor_close(&c.pool);
}

TEST(workers_that_never_look_on_serve_as_well) {
    struct scene c = {.pool = pool_open((trine_processes_opts){.workers = 2, .spin = -1}),
                      .rounds = 200};
    CHECK_OK(look_on(&many_rounds_task, &c));
    trine_executor_close(&c.pool);
}

static int all_at_once(struct scene *c) {
    static struct number n[3000];
    for (int i = 0; i < 3000; i++)
        n[i] = (struct number){.in = i};
    CHECK_OK(trine_map_all(c->pool, add_one, n, 3000));
    for (int i = 0; i < 3000; i++)
        CHECK_EQ(n[i].out, i + 1);
    return 0;
}
TRINE_TASK(all_at_once, struct scene);

TEST(results_come_in_crowds) {
    struct scene c = {.pool = pool_open((trine_processes_opts){.workers = 2})};
    for (int i = 0; i < 5; i++)
        CHECK_OK(look_on(&all_at_once_task, &c));
    trine_executor_close(&c.pool);
}

static int two_pools(struct scene *c) {
    struct number a = {.in = 1}, b = {.in = 2};
    for (int i = 0; i < 50; i++) {
        TRINE_SCOPE(s);
        CHECK_OK(trine_submit(s, c->pool, add_one, &a));
        CHECK_OK(trine_submit(s, c->other, add_one, &b));
        CHECK_OK(trine_join(s));
        CHECK(a.out == 2 && b.out == 3);
        check_one(c->other, i);
    }
    return 0;
}
TRINE_TASK(two_pools, struct scene);

TEST(a_loop_waits_for_two_pools) {
    struct scene c = {.pool = pool_open((trine_processes_opts){.workers = 1}),
                      .other = pool_open((trine_processes_opts){.workers = 1})};
    CHECK_OK(look_on(&two_pools_task, &c));
    trine_executor_close(&c.other);
    trine_executor_close(&c.pool);
}

/* --- what the supervisor has to do meanwhile --- */

static int one_dies(struct scene *c) {
    struct number n = {.in = 1};
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    trine_future *f = trine_start(s, c->pool, die, &n);
    CHECK_EQ(trine_join(s), -EOWNERDEAD);
    CHECK_EQ(trine_error_of(f)->signal, SIGKILL);
    check_one(c->pool, 7);
    return 0;
}
TRINE_TASK(one_dies, struct scene);

TEST(a_death_is_noticed) {
    struct scene c = {.pool = pool_open((trine_processes_opts){.workers = 1})};
    for (int i = 0; i < 10; i++)
        CHECK_OK(look_on(&one_dies_task, &c));
    trine_executor_close(&c.pool);
}

static int one_runs_for_ever(struct scene *c) {
    struct number n = {.in = 1};
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    CHECK_OK(trine_submit(s, c->pool, run_for_ever, &n));
    CHECK_EQ(trine_join(s), -ETIME);
    return 0;
}
TRINE_TASK(one_runs_for_ever, struct scene);

TEST(a_time_limit_holds) {
    struct scene c = {
        .pool = pool_open((trine_processes_opts){.workers = 1, .task_timeout = TRINE_MS(20)})};
    CHECK_OK(look_on(&one_runs_for_ever_task, &c));
    trine_executor_close(&c.pool);
}

static int one_is_cancelled(struct scene *c) {
    struct number n = {.in = 1};
    TRINE_SCOPE(s, .timeout = TRINE_MS(20));
    CHECK_OK(trine_submit(s, c->pool, run_for_ever, &n));
    CHECK_EQ(trine_join(s), -ETIMEDOUT);
    return 0;
}
TRINE_TASK(one_is_cancelled, struct scene);

TEST(a_cancellation_gets_through) {
    struct scene c = {.pool =
                          pool_open((trine_processes_opts){.workers = 1, .grace = TRINE_MS(20)})};
    CHECK_OK(look_on(&one_is_cancelled_task, &c));
    trine_executor_close(&c.pool);
}

static void *submit_beside(void *arg) {
    struct scene *c = arg;
    for (int i = 0; i < c->rounds; i++)
        check_one(c->pool, i);
    return NULL;
}

TEST(another_thread_submits_meanwhile) {
    struct scene c = {.pool = pool_open((trine_processes_opts){.workers = 2}), .rounds = 500};
    pthread_t other;
    CHECK_EQ(pthread_create(&other, NULL, submit_beside, &c), 0);
    CHECK_OK(look_on(&many_rounds_task, &c));
    CHECK_EQ(pthread_join(other, NULL), 0);
    trine_executor_close(&c.pool);
}

static void *two_loops_look_on(void *arg) {
    CHECK_OK(look_on(&many_rounds_task, arg));
    return NULL;
}

TEST(two_loops_look_on) {
    struct scene c = {.pool = pool_open((trine_processes_opts){.workers = 2}), .rounds = 500};
    pthread_t other;
    CHECK_EQ(pthread_create(&other, NULL, two_loops_look_on, &c), 0);
    CHECK_OK(look_on(&many_rounds_task, &c));
    CHECK_EQ(pthread_join(other, NULL), 0);
    trine_executor_close(&c.pool);
}

/* --- what it does in the supervisor's place --- */

static int report_and_wait(struct number *n) {
    (void)n;
    int r = trine_progress("x", 1);
    while (r == 0 && !trine_cancelled())
        usleep(1000);
    return r < 0 ? r : -ECANCELED;
}
TRINE_TASK(report_and_wait, struct number);

static int follow(struct scene *c) {
    trine_channel *pieces = trine_channel_new(sizeof(trine_buf), 4);
    struct number n = {0};
    trine_buf piece;
    CHECK(pieces);
    {
        TRINE_SCOPE(s);
        CHECK_OK(trine_submit_opts(s, c->pool, report_and_wait, &n, .progress = pieces));
        CHECK_OK(trine_channel_recv(pieces, &piece));
        trine_buf_free(&piece);
        trine_scope_cancel(s, -ECANCELED);
        CHECK_EQ(trine_join(s), -ECANCELED);
    }
    trine_channel_free(&pieces);
    return 0;
}
TRINE_TASK(follow, struct scene);

TEST(a_piece_wakes_who_follows) {
    struct scene c = {.pool = pool_open((trine_processes_opts){.workers = 1})};
    for (int i = 0; i < 5; i++)
        CHECK_OK(look_on(&follow_task, &c));
    trine_executor_close(&c.pool);
}

static atomic_int submitted;

static int take_a_while(struct number *n) {
    usleep(50000);
    n->out = 1;
    return 0;
}
TRINE_TASK(take_a_while, struct number);

static void *submit_one_for_the_worker(void *arg) {
    struct scene *c = arg;
    struct number n = {0};
    TRINE_SCOPE(s);
    CHECK_OK(trine_submit_opts(s, c->pool, take_a_while, &n, .worker = 1));
    atomic_store(&submitted, 1);
    CHECK_OK(trine_join(s));
    return NULL;
}

static int wait_behind_it(struct scene *c) {
    struct number n = {.in = 1};
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    CHECK_OK(trine_submit_opts(s, c->pool, run_for_ever, &n, .worker = 1, .timeout = TRINE_MS(20)));
    CHECK_EQ(trine_join(s), -ETIME);
    return 0;
}
TRINE_TASK(wait_behind_it, struct scene);

/* It is given to its worker by who looks on, and its time counts from then. */
TEST(a_limit_holds_for_a_task_that_was_given_out_meanwhile) {
    struct scene c = {.pool = pool_open((trine_processes_opts){.workers = 1})};
    pthread_t other;
    check_one(c.pool, 1);
    atomic_store(&submitted, 0);
    CHECK_EQ(pthread_create(&other, NULL, submit_one_for_the_worker, &c), 0);
    while (!atomic_load(&submitted))
        usleep(10);
    CHECK_OK(look_on(&wait_behind_it_task, &c));
    CHECK_EQ(pthread_join(other, NULL), 0);
    trine_executor_close(&c.pool);
}

static int new_workers(struct scene *c) {
    for (int i = 0; i < 20; i++)
        check_one(c->pool, i);
    return 0;
}
TRINE_TASK(new_workers, struct scene);

TEST(workers_are_replaced_meanwhile) {
    struct scene c = {.pool = pool_open((trine_processes_opts){.workers = 1, .max_tasks = 1})};
    CHECK_OK(look_on(&new_workers_task, &c));
    trine_executor_close(&c.pool);
}

static int tell_pid(struct number *n) {
    n->out = (int)getpid();
    return 0;
}
TRINE_TASK(tell_pid, struct number);

static int pid_of_worker(trine_executor *pool) {
    struct number n = {0};
    CHECK_OK(trine_map_all(pool, tell_pid, &n, 1));
    return n.out;
}

/* The supervisor has nothing to do all the while. */
static int until_it_is_replaced(struct scene *c) {
    int first = pid_of_worker(c->pool);
    while (pid_of_worker(c->pool) == first)
        ;
    return 0;
}
TRINE_TASK(until_it_is_replaced, struct scene);

TEST(workers_grow_old_meanwhile) {
    struct scene c = {
        .pool = pool_open(
            (trine_processes_opts){.workers = 1, .spin = TRINE_MS(1), .max_age = TRINE_MS(20)})};
    for (int i = 0; i < 3; i++)
        CHECK_OK(look_on(&until_it_is_replaced_task, &c));
    trine_executor_close(&c.pool);
}

/* --- the end --- */

struct mark {
    char path[64];
};

static int leave_mark(struct mark *m) {
    FILE *file = fopen(m->path, "we");
    return file ? fclose(file) : -errno;
}
TRINE_TASK(leave_mark, struct mark);

static void let_one_go(struct mark *mark) {
    trine_executor *pool = pool_open((trine_processes_opts){
        .workers = 1, .spin = AN_HOUR, .on_stop = &leave_mark_task, .hook_arg = mark});
    check_one(pool, 1);
    usleep(10000); /* so that it looks on by now */
    trine_executor_close(&pool);
}

/* One that does not see it is killed after two seconds, each time; a slow one at times. */
TEST(workers_that_look_on_for_an_hour_are_let_go) {
    struct mark mark;
    snprintf(mark.path, sizeof(mark.path), "/tmp/trine-spin-%d", (int)getpid());
    int tries = 5;
    do {
        CHECK(tries-- > 0);
        let_one_go(&mark);
    } while (unlink(mark.path) < 0); /* no mark: it was killed */
}

static int wait_for_the_last(struct scene *c) {
    struct number n = {.in = 1};
    TRINE_SCOPE(s);
    CHECK_OK(trine_submit(s, c->pool, add_one, &n));
    atomic_store(&submitted, 1);
    CHECK_OK(trine_join(s));
    CHECK_EQ(n.out, 2);
    return 0;
}
TRINE_TASK(wait_for_the_last, struct scene);

static void *look_on_for_the_last(void *arg) {
    CHECK_OK(look_on(&wait_for_the_last_task, arg));
    return NULL;
}

/* Who closes it does not wait until the result was noticed. */
TEST(the_pool_is_closed_while_a_loop_looks_on) {
    for (int i = 0; i < 50; i++) {
        struct scene c = {.pool = pool_open((trine_processes_opts){.workers = 1})};
        pthread_t other;
        atomic_store(&submitted, 0);
        CHECK_EQ(pthread_create(&other, NULL, look_on_for_the_last, &c), 0);
        while (!atomic_load(&submitted))
            usleep(10);
        trine_executor *pool = c.pool;
        trine_executor_close(&pool);
        CHECK_EQ(pthread_join(other, NULL), 0);
    }
}
