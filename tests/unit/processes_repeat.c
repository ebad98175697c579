/* processes_repeat.c - tasks that may be repeated: each time in a worker that is none of the old
 * ones, up to the third that dies of it. */
#include "processes_help.h"

#include <trine/task.h>

#include <fcntl.h>

struct again {
    char path[64]; /* the pid of each worker that ran it */
    int deaths;    /* so often it kills its worker */
    pid_t pid;
};

static int dies_some_times(struct again *a) {
    int fd = open(a->path, O_RDWR | O_APPEND | O_CLOEXEC);
    a->pid = getpid();
    if (fd < 0 || write(fd, &a->pid, sizeof(a->pid)) != sizeof(a->pid))
        return -EIO;
    off_t runs = lseek(fd, 0, SEEK_END) / (off_t)sizeof(a->pid);
    close(fd);
    if (runs <= a->deaths)
        raise(SIGKILL);
    return 0;
}
TRINE_TASK(dies_some_times, struct again);

static struct again again_new(int deaths) {
    struct again a = {.path = "/tmp/trine-again-XXXXXX", .deaths = deaths};
    int fd = mkostemp(a.path, O_CLOEXEC);
    CHECK(fd >= 0);
    close(fd);
    return a;
}

enum { RUNS_MOST = 8 };

/* How often it ran; in whom, if that is asked for. */
static long runs_of(const struct again *a, pid_t *ret_pids) {
    pid_t pids[RUNS_MOST];
    int fd = open(a->path, O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, pids, sizeof(pids));
    close(fd);
    unlink(a->path);
    CHECK(n >= 0);
    if (ret_pids)
        memcpy(ret_pids, pids, (size_t)n);
    return (long)((size_t)n / sizeof(pids[0]));
}

static int note_pid(struct again *a) {
    a->pid = getpid();
    return 0;
}
TRINE_TASK(note_pid, struct again);

/* --- where it runs --- */

enum { WORKERS = 2 };

/* All workers that there are. */
static void know_workers(trine_executor *pool, struct again before[WORKERS]) {
    memset(before, 0, WORKERS * sizeof(before[0]));
    CHECK_OK(trine_processes_each(pool, note_pid, before));
    for (int i = 0; i < WORKERS; i++)
        CHECK(before[i].pid > 0);
}

/* The first run had one of the workers that were known, each other one a worker of its own. */
static void check_workers(const pid_t *pids, int runs, const struct again before[WORKERS]) {
    for (int i = 0; i < runs; i++) {
        int known = 0;
        for (int k = 0; k < WORKERS; k++)
            known += before[k].pid == pids[i];
        CHECK_EQ(known, i == 0);
        for (int k = 0; k < i; k++)
            CHECK(pids[k] != pids[i]);
    }
}

static void check_repeated(int deaths, unsigned worker) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = WORKERS});
    struct again a = again_new(deaths), before[WORKERS];
    pid_t pids[RUNS_MOST];
    know_workers(pool, before);
    TRINE_SCOPE(s, .timeout = TRINE_SEC(60));
    CHECK_OK(trine_submit_opts(s, pool, dies_some_times, &a, .repeat = true, .worker = worker));
    CHECK_OK(trine_join(s));
    CHECK_EQ(runs_of(&a, pids), deaths + 1);
    check_workers(pids, deaths + 1, before);
    CHECK_EQ(a.pid, pids[deaths]);
    trine_scope_close(&s);
    trine_executor_close(&pool);
}

TEST(a_task_that_may_be_repeated_goes_to_a_new_worker) {
    check_repeated(1, 0);
    check_repeated(2, 0);
}

TEST(one_for_a_single_worker_goes_to_its_successors) {
    check_repeated(1, 2);
    check_repeated(2, 2);
}

TEST(a_task_that_has_killed_three_workers_is_given_up) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = WORKERS});
    struct again a = again_new(100), others[20] = {{{0}, 0, 0}}, before[WORKERS];
    pid_t pids[RUNS_MOST];
    know_workers(pool, before);
    TRINE_SCOPE(s, .policy = TRINE_COLLECT, .timeout = TRINE_SEC(60));
    trine_future *f = trine_start_opts(s, pool, dies_some_times, &a, .repeat = true);
    CHECK_OK(trine_map(s, pool, note_pid, others, 20));
    CHECK_EQ(trine_join(s), -EOWNERDEAD);
    CHECK_EQ(trine_status(f), -EOWNERDEAD);
    CHECK(strstr(trine_error_of(f)->detail, "the third that died of it"));
    CHECK_EQ(runs_of(&a, pids), 3);
    check_workers(pids, 3, before);
    for (int i = 0; i < 20; i++)
        CHECK(others[i].pid > 0);
    trine_scope_close(&s);
    trine_executor_close(&pool);
}

TEST(a_task_that_does_not_say_so_is_not_repeated) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 2});
    struct again a = again_new(1);
    CHECK_EQ(trine_map_all(pool, dies_some_times, &a, 1), -EOWNERDEAD);
    CHECK_EQ(runs_of(&a, NULL), 1);
    trine_executor_close(&pool);
}

TEST(a_repeated_task_is_cancelled_between_two_workers) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    for (int i = 0; i < 20; i++) {
        struct again a = again_new(100);
        TRINE_SCOPE(s, .policy = TRINE_COLLECT);
        trine_future *f = trine_start_opts(s, pool, dies_some_times, &a, .repeat = true);
        CHECK_OK(trine_sleep(TRINE_US(200 * i)));
        trine_cancel(f, 0);
        int status;
        CHECK_OK(trine_await(f, &status));
        CHECK(status == -ECANCELED || status == -EOWNERDEAD);
        CHECK(runs_of(&a, NULL) <= 3);
        trine_scope_close(&s);
    }
    trine_executor_close(&pool);
}

/* --- what it reports --- */

static int report_and_die(struct again *a) {
    pid_t pid = getpid();
    int r = trine_progress(&pid, sizeof(pid));
    return r < 0 ? r : dies_some_times(a);
}
TRINE_TASK(report_and_die, struct again);

TEST(a_task_that_is_repeated_reports_again) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = WORKERS});
    trine_channel *c = trine_channel_new(sizeof(trine_buf), RUNS_MOST);
    struct again a = again_new(2);
    pid_t pids[RUNS_MOST], told;
    CHECK(c);
    TRINE_SCOPE(s);
    CHECK_OK(trine_submit_opts(s, pool, report_and_die, &a, .repeat = true, .progress = c));
    CHECK_OK(trine_join(s));
    CHECK_EQ(runs_of(&a, pids), 3);
    CHECK_EQ(trine_channel_count(c), 3);
    for (int i = 0; i < 3; i++) {
        trine_buf piece;
        CHECK_OK(trine_channel_try_recv(c, &piece));
        CHECK_EQ(piece.len, sizeof(told));
        memcpy(&told, piece.ptr, sizeof(told));
        CHECK_EQ(told, pids[i]);
        trine_buf_free(&piece);
    }
    trine_scope_close(&s);
    trine_channel_free(&c);
    trine_executor_close(&pool);
}

/* --- when new workers do not start --- */

struct start {
    char path[64]; /* once it is there workers die at their start */
};

static int die_if_marked(struct start *s) {
    if (access(s->path, F_OK) == 0)
        _exit(3);
    return 0;
}
TRINE_TASK(die_if_marked, struct start);

static int mark_and_die(struct start *s) {
    int fd = open(s->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return 0; /* the second time */
    close(fd);
    raise(SIGKILL);
    return -EIO;
}
TRINE_TASK(mark_and_die, struct start);

/* An old one will do then. */
TEST(a_repeated_task_does_not_wait_for_workers_that_do_not_start) {
    struct start start = {"/tmp/trine-start-XXXXXX"};
    int fd = mkostemp(start.path, O_CLOEXEC);
    CHECK(fd >= 0);
    close(fd);
    unlink(start.path);
    trine_executor *pool = pool_open((trine_processes_opts){.workers = WORKERS,
                                                            .on_start = &die_if_marked_task,
                                                            .hook_arg = &start});
    struct again all[WORKERS] = {{.deaths = 0}};
    CHECK_OK(trine_processes_each(pool, note_pid, all)); /* they have started */
    TRINE_SCOPE(s);
    CHECK_OK(trine_submit_opts(s, pool, mark_and_die, &start, .repeat = true));
    CHECK_OK(trine_join(s));
    trine_scope_close(&s);
    unlink(start.path);
    trine_executor_close(&pool);
}
