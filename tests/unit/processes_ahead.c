/* processes_ahead.c - a busy worker has its next task already; nothing that is seen from outside
 * may differ for that: no task waits behind another while a worker is idle, none ends with
 * another's. */
#include "processes_help.h"

#include <trine/task.h>

#include <fcntl.h>

/* A task that runs until its file is there; says in `began` of its own file that it runs. */
struct gate {
    char path[64];
    int out;
};

static int wait_at_gate(struct gate *g) {
    char began[80];
    snprintf(began, sizeof(began), "%.63s.began", g->path);
    close(open(began, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    while (access(g->path, F_OK) < 0)
        usleep(1000);
    g->out = 1;
    return 0;
}
TRINE_TASK_IO(wait_at_gate, struct gate, out); /* the path is read while it runs */

static struct gate gate_new(void) {
    static int number;
    struct gate g = {.out = 0};
    snprintf(g.path, sizeof(g.path), "/tmp/trine-gate-%d-%d", (int)getpid(), number++);
    return g;
}

static bool gate_began(const struct gate *g) {
    char began[80];
    snprintf(began, sizeof(began), "%.63s.began", g->path);
    return access(began, F_OK) == 0;
}

static void gate_open(const struct gate *g) {
    close(open(g->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

static void gate_remove(const struct gate *g) {
    char began[80];
    snprintf(began, sizeof(began), "%.63s.began", g->path);
    unlink(g->path);
    unlink(began);
}

struct pid_task {
    pid_t pid;
};

static int note_pid(struct pid_task *t) {
    t->pid = getpid();
    return 0;
}
TRINE_TASK(note_pid, struct pid_task);

/* Lets the pool's messages come in for a moment: true once the future is done. */
static bool done(const trine_future *f) {
    if (trine_sleep(TRINE_MS(1)) < 0)
        test_fail(__FILE__, __LINE__, "the scope has ended");
    return trine_status(f) != -EINPROGRESS;
}

TEST(a_task_behind_a_long_one_goes_to_a_worker_that_becomes_idle) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 2});
    struct gate closed = gate_new(), opened = gate_new();
    struct pid_task behind[6] = {{0}};
    TRINE_SCOPE(s, .timeout = TRINE_SEC(60));
    CHECK_OK(trine_submit(s, pool, wait_at_gate, &closed));
    CHECK_OK(trine_submit(s, pool, wait_at_gate, &opened));
    CHECK(EVENTUALLY(gate_began(&closed) && gate_began(&opened), 20000));
    trine_future *f[6];
    for (int i = 0; i < 6; i++)
        f[i] = trine_start(s, pool, note_pid, &behind[i]);
    gate_open(&opened);
    for (int i = 0; i < 6; i++) { /* all on one worker, since the other one still waits */
        CHECK(EVENTUALLY(done(f[i]), 20000));
        CHECK_EQ(behind[i].pid, behind[0].pid);
    }
    CHECK(access(closed.path, F_OK) < 0);
    gate_open(&closed);
    CHECK_OK(trine_join(s));
    gate_remove(&closed);
    gate_remove(&opened);
    trine_scope_close(&s);
    trine_executor_close(&pool);
}

TEST(results_are_not_kept_behind_a_long_task) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    for (int round = 0; round < 5; round++) {
        struct gate closed = gate_new();
        struct pid_task before[20] = {{0}};
        trine_future *f[20];
        TRINE_SCOPE(s, .timeout = TRINE_SEC(60));
        for (int i = 0; i < 20; i++)
            f[i] = trine_start(s, pool, note_pid, &before[i]);
        CHECK_OK(trine_submit(s, pool, wait_at_gate, &closed));
        for (int i = 0; i < 20; i++)
            CHECK(EVENTUALLY(done(f[i]), 20000));
        gate_open(&closed);
        CHECK_OK(trine_join(s));
        gate_remove(&closed);
        trine_scope_close(&s);
    }
    trine_executor_close(&pool);
}

TEST(a_task_behind_one_that_is_cancelled_runs_elsewhere) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1, .grace = TRINE_MS(20)});
    struct gate closed = gate_new();
    struct pid_task behind[3] = {{0}};
    TRINE_SCOPE(s, .policy = TRINE_COLLECT, .timeout = TRINE_SEC(60));
    trine_future *waits = trine_start(s, pool, wait_at_gate, &closed);
    CHECK(EVENTUALLY(gate_began(&closed), 20000));
    CHECK_OK(trine_map(s, pool, note_pid, behind, 3));
    trine_cancel(waits, 0);
    CHECK_OK(trine_join(s) == -ECANCELED ? 0 : trine_join(s));
    CHECK_EQ(trine_status(waits), -ECANCELED);
    CHECK_EQ(closed.out, 0);
    for (int i = 0; i < 3; i++)
        CHECK(behind[i].pid > 0);
    gate_remove(&closed);
    trine_scope_close(&s);
    trine_executor_close(&pool);
}

TEST(a_task_that_was_sent_ahead_is_cancelled_at_once) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    struct gate closed = gate_new(), behind = gate_new(), last = gate_new();
    TRINE_SCOPE(s, .policy = TRINE_COLLECT, .timeout = TRINE_SEC(60));
    trine_future *first = trine_start(s, pool, wait_at_gate, &closed);
    CHECK(EVENTUALLY(gate_began(&closed), 20000));
    trine_future *ahead = trine_start(s, pool, wait_at_gate, &behind);
    trine_future *queued = trine_start(s, pool, wait_at_gate, &last);
    CHECK(!done(ahead));
    trine_cancel(ahead, 0);
    CHECK(EVENTUALLY(done(ahead), 20000));
    CHECK_EQ(trine_status(ahead), -ECANCELED);
    CHECK_EQ(trine_status(first), -EINPROGRESS);
    gate_open(&closed);
    gate_open(&last);
    CHECK(EVENTUALLY(done(first) && done(queued), 20000));
    CHECK_EQ(closed.out, 1);
    CHECK_EQ(last.out, 1);
    CHECK(!gate_began(&behind));
    gate_remove(&closed);
    gate_remove(&last);
    trine_scope_close(&s);
    trine_executor_close(&pool);
}

/* Their frames stay in the stream until the worker comes to them: none may run then, however many
 * they are. The last one of each round shows that it was sent. */
TEST(tasks_that_were_sent_ahead_and_taken_back_never_run) {
    enum { ROUNDS = 12, AHEAD = 50 };
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    struct gate closed = gate_new();
    static struct pid_task behind[ROUNDS][AHEAD];
    struct pid_task good[8] = {{0}}, before = {0};
    CHECK_OK(trine_map_all(pool, note_pid, &before, 1));
    TRINE_SCOPE(s, .policy = TRINE_COLLECT, .timeout = TRINE_SEC(60));
    trine_future *first = trine_start(s, pool, wait_at_gate, &closed);
    CHECK(EVENTUALLY(gate_began(&closed), 20000));
    for (int round = 0; round < ROUNDS; round++) {
        trine_future *f[AHEAD];
        for (int i = 0; i < AHEAD; i++)
            f[i] = trine_start(s, pool, note_pid, &behind[round][i]);
        done(first);
        for (int i = AHEAD - 1; i >= 0; i--)
            trine_cancel(f[i], 0);
        for (int i = 0; i < AHEAD; i++) {
            CHECK_OK(trine_await(f[i], NULL));
            CHECK_EQ(trine_status(f[i]), -ECANCELED);
        }
    }
    gate_open(&closed);
    CHECK_OK(trine_await(first, NULL));
    CHECK_EQ(trine_status(first), 0);
    CHECK_OK(trine_map_all(pool, note_pid, good, 8));
    for (int i = 0; i < 8; i++) /* it has not died of a wrong answer */
        CHECK_EQ(good[i].pid, before.pid);
    gate_remove(&closed);
    trine_scope_close(&s);
    trine_executor_close(&pool);
}

TEST(a_task_behind_one_that_dies_is_not_lost) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    for (int round = 0; round < 10; round++) {
        struct gate closed = gate_new();
        struct pid_task before = {0}, behind[3] = {{0}};
        TRINE_SCOPE(s, .policy = TRINE_COLLECT, .timeout = TRINE_SEC(60));
        CHECK_OK(trine_map_all(pool, note_pid, &before, 1));
        trine_future *waits = trine_start(s, pool, wait_at_gate, &closed);
        CHECK(EVENTUALLY(gate_began(&closed), 20000));
        trine_future *f[3];
        for (int i = 0; i < 3; i++)
            f[i] = trine_start(s, pool, note_pid, &behind[i]);
        CHECK(!done(f[0]));
        kill(before.pid, SIGKILL);
        for (int i = 0; i < 3; i++) {
            CHECK(EVENTUALLY(done(f[i]), 20000));
            CHECK_OK(trine_status(f[i]));
            CHECK(behind[i].pid != before.pid);
        }
        CHECK_EQ(trine_status(waits), -EOWNERDEAD);
        gate_remove(&closed);
        trine_scope_close(&s);
    }
    trine_executor_close(&pool);
}

/* Two pools, in each a task and one that was sent ahead behind it. In the first pool the limit of
 * the second, if it counted from its sending, is over when it begins; in the other one the limit of
 * the first is over while the second runs. All have seconds to spare. */
TEST(the_time_of_a_task_counts_from_its_own_start) {
    const int64_t limit = TRINE_MS(4200), limits[2][2] = {{0, limit}, {limit, 0}};
    trine_executor *pools[2];
    struct gate gates[2][2];
    TRINE_SCOPE(s, .timeout = TRINE_SEC(60));
    for (int i = 0; i < 2; i++) {
        pools[i] = pool_open((trine_processes_opts){.workers = 1});
        for (int k = 0; k < 2; k++) {
            gates[i][k] = gate_new();
            CHECK_OK(trine_submit_opts(s, pools[i], wait_at_gate, &gates[i][k],
                                       .timeout = limits[i][k]));
        }
        CHECK(EVENTUALLY(gate_began(&gates[i][0]), 20000));
    }
    gate_open(&gates[1][0]);
    CHECK_OK(trine_sleep(limit));
    gate_open(&gates[0][0]);
    for (int i = 0; i < 2; i++)
        CHECK(EVENTUALLY(gate_began(&gates[i][1]), 20000));
    CHECK_OK(trine_sleep(TRINE_MS(200))); /* a limit that has passed strikes now */
    for (int i = 0; i < 2; i++)
        gate_open(&gates[i][1]);
    CHECK_OK(trine_join(s));
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(gates[i / 2][i % 2].out, 1);
        gate_remove(&gates[i / 2][i % 2]);
    }
    trine_scope_close(&s);
    for (int i = 0; i < 2; i++)
        trine_executor_close(&pools[i]);
}

struct lap {
    char path[48];
    int number;
};

static int run_lap(struct lap *l) {
    int fd = open(l->path, O_WRONLY | O_APPEND | O_CLOEXEC);
    bool noted = write(fd, &l->number, sizeof(l->number)) == sizeof(l->number);
    close(fd);
    usleep(1000);
    return noted ? 0 : -EIO;
}
TRINE_TASK(run_lap, struct lap);

/* Each takes as long as it may: some are killed while they end, and the next one begins. */
TEST(no_task_is_run_twice_because_the_one_before_it_was_late) {
    enum { LAPS = 1000 };
    char path[48];
    static struct lap laps[LAPS];
    int runs[LAPS] = {0}, number;
    snprintf(path, sizeof(path), "/tmp/trine-laps-%d", (int)getpid());
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    trine_executor *pool =
        pool_open((trine_processes_opts){.workers = 2, .task_timeout = TRINE_US(1300)});
    for (int i = 0; i < LAPS; i++) {
        laps[i] = (struct lap){.number = i};
        snprintf(laps[i].path, sizeof(laps[i].path), "%s", path);
    }
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    CHECK_OK(trine_map(s, pool, run_lap, laps, LAPS));
    int r = trine_join(s);
    CHECK(r == 0 || r == -ETIME);
    while (read(fd, &number, sizeof(number)) == sizeof(number))
        runs[number]++;
    for (int i = 0; i < LAPS; i++)
        if (runs[i] > 1)
            test_fail(__FILE__, __LINE__, "task %d ran %d times", i, runs[i]);
    trine_scope_close(&s);
    trine_executor_close(&pool);
    close(fd);
    unlink(path);
}

TEST(a_worker_is_replaced_after_its_number_of_tasks) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1, .max_tasks = 3});
    struct pid_task t[30] = {{0}};
    TRINE_SCOPE(s, .timeout = TRINE_SEC(60));
    CHECK_OK(trine_map(s, pool, note_pid, t, 30));
    CHECK_OK(trine_join(s));
    for (int i = 0; i < 30; i++)
        CHECK_EQ(t[i].pid == t[i / 3 * 3].pid && (i < 3 || t[i].pid != t[i - 3].pid), 1);
    trine_scope_close(&s);
    trine_executor_close(&pool);
}
