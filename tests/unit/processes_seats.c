/* processes_seats.c - tasks for one worker of a pool, and for each of them. */
#include "processes_help.h"

#include <trine/task.h>

#include <errno.h>
#include <signal.h>

enum { WORKERS = 3 };

struct tally {
    int add;
    bool dies, fails;
    int total;
    pid_t pid;
};

/* A worker's state, which lives from task to task. */
static int sum;

static int add(struct tally *t) {
    if (t->dies)
        raise(SIGKILL);
    if (t->fails)
        return -EDOM;
    sum += t->add;
    t->total = sum;
    t->pid = getpid();
    return 0;
}
TRINE_TASK(add, struct tally);

static struct tally add_in(trine_executor *pool, unsigned worker, int number) {
    struct tally t = {.add = number};
    TRINE_SCOPE(s);
    CHECK_OK(trine_submit_opts(s, pool, add, &t, .worker = worker));
    CHECK_OK(trine_join(s));
    return t;
}

TEST(tasks_for_one_worker_find_what_they_left_there) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = WORKERS});
    pid_t pids[WORKERS + 1];
    for (unsigned w = 1; w <= WORKERS; w++)
        pids[w] = add_in(pool, w, (int)w).pid;
    for (unsigned w = 1; w <= WORKERS; w++) {
        struct tally t = add_in(pool, w, 100);
        CHECK_EQ(t.pid, pids[w]);
        CHECK_EQ(t.total, 100 + (int)w);
    }
    CHECK(pids[1] != pids[2] && pids[2] != pids[3] && pids[1] != pids[3]);
    trine_executor_close(&pool);
}

TEST(each_worker_runs_a_broadcast_once) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = WORKERS});
    CHECK_EQ(trine_processes_count(pool), WORKERS);
    struct tally first[WORKERS] = {{.add = 1}, {.add = 2}, {.add = 3}}, again[WORKERS] = {0};
    CHECK_OK(trine_processes_each(pool, add, first));
    CHECK_OK(trine_processes_each(pool, add, again));
    for (int i = 0; i < WORKERS; i++) {
        CHECK_EQ(again[i].total, i + 1);
        CHECK_EQ(again[i].pid, first[i].pid);
    }
    trine_executor_close(&pool);
}

/* The others have run it all the same. */
static void check_each_fails(struct tally second, int error) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = WORKERS});
    struct tally all[WORKERS] = {{.add = 1}, second, {.add = 3}};
    CHECK_EQ(trine_processes_each(pool, add, all), error);
    CHECK_EQ(all[0].total, 1);
    CHECK_EQ(all[1].total, 0);
    CHECK_EQ(all[2].total, 3);
    trine_executor_close(&pool);
}

TEST(a_broadcast_gives_the_error_of_who_failed) {
    check_each_fails((struct tally){.fails = true}, -EDOM);
    check_each_fails((struct tally){.dies = true}, -EOWNERDEAD);
}

struct late {
    pid_t after; /* whose end it waits for; 0: it dies itself */
};

static bool has_successor(pid_t pid) {
    char state = 0;
    bool gone = parent_of(pid, &state) == 0 || state == 'Z';
    return gone && children_of(getppid(), NULL, 0) == WORKERS;
}

/* The pool replaces a worker when it has given back what became of its task. */
static int fail_after(struct late *l) {
    if (l->after == 0)
        raise(SIGKILL);
    return EVENTUALLY(has_successor(l->after), 20000) ? -EDOM : -ETIME;
}
TRINE_TASK(fail_after, struct late);

TEST(of_two_errors_of_a_broadcast_the_first_in_time_is_given) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = WORKERS});
    struct tally all[WORKERS] = {{0}};
    CHECK_OK(trine_processes_each(pool, add, all));
    struct late late[WORKERS] = {{all[1].pid}, {0}, {all[1].pid}};
    CHECK_EQ(trine_processes_each(pool, fail_after, late), -EOWNERDEAD);
    trine_executor_close(&pool);
}

TEST(a_pool_of_no_number_has_a_worker_for_each_usable_cpu) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 0});
    unsigned n = trine_processes_count(pool);
    CHECK_EQ(n, trine_usable_cpus());
    CHECK(EVENTUALLY(children_of(find_zygote(), NULL, 0) == n, 20000));
    trine_executor_close(&pool);
    CHECK_OK(trine_processes_open(&pool, NULL));
    CHECK_EQ(trine_processes_count(pool), n);
    trine_executor_close(&pool);
}

/* Its worker always has something to do, and tasks that any may do are many. */
TEST(a_task_for_a_busy_worker_is_not_kept_waiting) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 2});
    static struct tally many[3000];
    struct tally one = {.add = 1};
    TRINE_SCOPE(s);
    CHECK_OK(trine_map(s, pool, add, many, 3000));
    trine_future *f = trine_start_opts(s, pool, add, &one, .worker = 2);
    int status = -1;
    CHECK_OK(trine_await(f, &status));
    CHECK_EQ(status, 0);
    CHECK_OK(trine_join(s));
    trine_executor_close(&pool);
}

TEST(a_dead_workers_successor_takes_its_tasks) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 2});
    pid_t before = add_in(pool, 2, 5).pid;
    struct tally kill = {.dies = true}, behind = {.add = 1};
    {
        TRINE_SCOPE(s, .policy = TRINE_COLLECT);
        CHECK_OK(trine_submit_opts(s, pool, add, &kill, .worker = 2));
        CHECK_OK(trine_submit_opts(s, pool, add, &behind, .worker = 2));
        CHECK_EQ(trine_join(s), -EOWNERDEAD);
    }
    CHECK(behind.pid != before && behind.pid > 0);
    CHECK_EQ(behind.total, 1); /* and begins anew */
    CHECK_EQ(add_in(pool, 2, 1).pid, behind.pid);
    trine_executor_close(&pool);
}

TEST(a_task_that_waits_for_its_worker_can_be_cancelled) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    struct tally t = {.add = 1};
    kill(add_in(pool, 1, 1).pid, SIGSTOP);
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    trine_future *runs = trine_start_opts(s, pool, add, &t, .worker = 1);
    trine_future *waits = trine_start_opts(s, pool, add, &t, .worker = 1);
    trine_cancel(waits, 0);
    int status = 0;
    CHECK_OK(trine_await(waits, &status));
    CHECK_EQ(status, -ECANCELED);
    trine_cancel(runs, 0); /* it does not listen, and is killed */
    CHECK_OK(trine_await(runs, &status));
    CHECK_EQ(status, -ECANCELED);
    trine_executor_close(&pool);
}

TEST_ABORTS(there_is_no_such_worker, "is for worker 3 of a pool that has 2") {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 2});
    struct tally t = {.add = 1};
    TRINE_SCOPE(s);
    (void)trine_submit_opts(s, pool, add, &t, .worker = 3);
}
