/* processes_hooks.c - what each worker process runs before its first task and when it is let go,
 * and where it runs. */
#include "processes_help.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>

struct hook {
    char path[64];
    int started; /* in the worker's copy */
    bool fails;
};

static void note(const char *path, const char *what) {
    char line[64];
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int n = snprintf(line, sizeof(line), "%s %d\n", what, (int)getpid());
    CHECK(write(fd, line, (size_t)n) == n);
    close(fd);
}

static int prepared;

static int prepare(struct hook *h) {
    h->started++;
    prepared = h->started;
    note(h->path, "start");
    return h->fails ? -ENOTCONN : 7;
}
TRINE_TASK(prepare, struct hook);

static int clean_up(struct hook *h) {
    note(h->path, h->started == 1 ? "stop" : "a stop of another's copy");
    return -EIO; /* nobody minds */
}
TRINE_TASK(clean_up, struct hook);

enum { HOOK_ARG_MOST = 256 }; /* as it is documented */

struct full {
    unsigned char bytes[HOOK_ARG_MOST];
};

/* Both hooks get one copy, which is the worker's. */
static struct full seen_by_start;

static int keep_all(struct full *f) {
    seen_by_start = *f;
    memset(f, 0, sizeof(*f));
    return 0;
}
TRINE_TASK(keep_all, struct full);

static int tell_all(struct full *f) {
    *f = seen_by_start;
    return 0;
}
TRINE_TASK(tell_all, struct full);

struct more {
    unsigned char bytes[HOOK_ARG_MOST + 1];
};

static int take_more(struct more *m) {
    (void)m;
    return 0;
}
TRINE_TASK(take_more, struct more);

static int never_stop(struct full *f) {
    (void)f;
    for (;;)
        pause();
    return 0;
}
TRINE_TASK(never_stop, struct full);

struct look {
    int prepared, cpus, cpu;
    pid_t pid;
    bool dies;
};

static int look(struct look *l) {
    cpu_set_t cpus;
    if (l->dies)
        raise(SIGKILL);
    CHECK_EQ(sched_getaffinity(0, sizeof(cpus), &cpus), 0);
    *l = (struct look){prepared, CPU_COUNT(&cpus), sched_getcpu(), getpid(), false};
    return 0;
}
TRINE_TASK(look, struct look);

static struct hook hook_new(void) {
    static int number;
    struct hook h = {.started = 0};
    snprintf(h.path, sizeof(h.path), "/tmp/trine-hook-%d-%d", (int)getpid(), number++);
    return h;
}

static int lines_of(const char *path, const char *word) {
    char line[128];
    int n = 0;
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file))
        n += strncmp(line, word, strlen(word)) == 0 && line[strlen(word)] == ' ';
    if (file)
        fclose(file);
    return n;
}

/* A worker that is not gone two seconds after it was let go is killed, and does not clean up then,
 * as may happen on a busy machine: so often it is tried before that counts. */
enum { TRIES = 5 };

/* Whether all cleaned up. */
static bool prepare_and_clean_up(void) {
    struct hook h = hook_new();
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 2,
                                                            .max_tasks = 3,
                                                            .on_start = &prepare_task,
                                                            .on_stop = &clean_up_task,
                                                            .hook_arg = &h});
    h.path[0] = 0; /* it was copied */
    struct look l[12] = {{0}};
    CHECK_OK(trine_map_all(pool, look, l, 12));
    for (int i = 0; i < 12; i++)
        CHECK_EQ(l[i].prepared, 1);
    trine_executor_close(&pool);
    h.path[0] = '/';
    int starts = lines_of(h.path, "start");
    CHECK(starts >= 4); /* of three tasks each, and those that had none yet */
    int stops = lines_of(h.path, "stop");
    CHECK(stops <= starts && lines_of(h.path, "a") == 0);
    unlink(h.path);
    return stops == starts;
}

TEST(each_worker_is_prepared_before_its_first_task_and_cleans_up) {
    int tries = TRIES;
    while (!prepare_and_clean_up())
        CHECK(--tries > 0);
}

static bool die_and_be_succeeded(void) {
    struct hook h = hook_new();
    trine_executor *pool = pool_open((trine_processes_opts){
        .workers = 1, .on_start = &prepare_task, .on_stop = &clean_up_task, .hook_arg = &h});
    struct look dies = {.dies = true}, lives = {0};
    CHECK_EQ(trine_map_all(pool, look, &dies, 1), -EOWNERDEAD);
    CHECK_OK(trine_map_all(pool, look, &lives, 1));
    CHECK_EQ(lives.prepared, 1);
    trine_executor_close(&pool);
    CHECK_EQ(lines_of(h.path, "start"), 2);
    int stops = lines_of(h.path, "stop");
    CHECK(stops <= 1);
    unlink(h.path);
    return stops == 1;
}

TEST(a_worker_that_dies_does_not_clean_up_and_its_successor_is_prepared) {
    int tries = TRIES;
    while (!die_and_be_succeeded())
        CHECK(--tries > 0);
}

TEST(workers_that_cannot_be_prepared_fail_the_tasks_with_the_reason) {
    struct hook h = hook_new();
    h.fails = true;
    trine_executor *pool =
        pool_open((trine_processes_opts){.workers = 1, .on_start = &prepare_task, .hook_arg = &h});
    struct look l = {0};
    TRINE_SCOPE(s);
    trine_future *f = trine_start(s, pool, look, &l);
    CHECK_OK(trine_await(f, NULL));
    CHECK_EQ(trine_error_of(f)->code, -EAGAIN);
    const char *words[] = {"no worker process could be started",
                           "(on_start, sandbox, cgroup) failed", strerror(ENOTCONN)};
    for (int i = 0; i < 3; i++)
        if (!strstr(trine_error_of(f)->detail, words[i]))
            test_fail(__FILE__, __LINE__, "no \"%s\" in: %s", words[i], trine_error_of(f)->detail);
    trine_scope_close(&s);
    trine_executor_close(&pool);
    unlink(h.path);
}

/* Starts that are followed by `pauses` pauses, each twice as long as the one before: timers never
 * fire early, so a slow machine only makes it longer. */
static void check_pauses(const trine_task *on_start, const struct hook *h, int pauses) {
    int64_t began = test_now_ms(), least = 0;
    trine_executor *pool = pool_open(
        (trine_processes_opts){.workers = 1, .on_start = on_start, .hook_arg = (void *)h});
    CHECK(EVENTUALLY(lines_of(h->path, "start") > pauses, 20000));
    for (int i = 0; i < pauses; i++)
        least += 10 << i;
    if (test_now_ms() - began < least - 1)
        test_fail(__FILE__, __LINE__, "%d starts in %d ms", pauses + 1,
                  (int)(test_now_ms() - began));
    trine_executor_close(&pool);
    unlink(h->path);
}

TEST(workers_that_cannot_be_prepared_are_started_less_and_less_often) {
    struct hook h = hook_new();
    h.fails = true;
    check_pauses(&prepare_task, &h, 5);
}

struct crash {
    bool crashes;
};

static int crash_if_asked(struct crash *c) {
    if (c->crashes)
        raise(SIGSEGV);
    return 0;
}
TRINE_TASK(crash_if_asked, struct crash);

static int prepare_in_the_end(struct hook *h) {
    note(h->path, "start");
    return lines_of(h->path, "start") > 5 ? 0 : -EIO;
}
TRINE_TASK(prepare_in_the_end, struct hook);

TEST(workers_that_could_not_be_prepared_for_a_while_are_forgiven) {
    struct hook h = hook_new();
    trine_executor *pool = pool_open(
        (trine_processes_opts){.workers = 1, .on_start = &prepare_in_the_end_task, .hook_arg = &h});
    struct crash crashes = {true}, returns = {false};
    CHECK(EVENTUALLY(lines_of(h.path, "start") == 6, 20000));
    CHECK_EQ(trine_map_all(pool, crash_if_asked, &crashes, 1), -EOWNERDEAD);
    CHECK_OK(trine_map_all(pool, crash_if_asked, &returns, 1));
    trine_executor_close(&pool);
    unlink(h.path);
}

static void *exit_soon(void *unused) {
    (void)unused;
    usleep(1000);
    _exit(3);
}

static int prepare_to_exit(struct hook *h) {
    pthread_t thread;
    note(h->path, "start");
    return -pthread_create(&thread, NULL, exit_soon, NULL);
}
TRINE_TASK(prepare_to_exit, struct hook);

TEST(workers_that_die_of_no_task_are_started_less_and_less_often) {
    struct hook h = hook_new();
    check_pauses(&prepare_to_exit_task, &h, 5);
}

TEST(workers_are_spread_over_the_cpus_when_asked_for) {
    cpu_set_t cpus;
    CHECK_EQ(sched_getaffinity(0, sizeof(cpus), &cpus), 0);
    unsigned n = (unsigned)CPU_COUNT(&cpus);
    trine_executor *pool = pool_open((trine_processes_opts){.workers = n, .pin = true});
    struct look l[64] = {{0}};
    CHECK_OK(trine_map_all(pool, look, l, 64));
    for (int i = 0; i < 64; i++) {
        CHECK_EQ(l[i].cpus, 1);
        for (int k = 0; k < i; k++)
            CHECK((l[k].cpu == l[i].cpu) == (l[k].pid == l[i].pid));
    }
    trine_executor_close(&pool);
    pool = pool_open((trine_processes_opts){.workers = 1});
    CHECK_OK(trine_map_all(pool, look, l, 1));
    CHECK_EQ(l[0].cpus, (int)n);
    trine_executor_close(&pool);
}

static void check_hook_arg(const struct full *arg, const struct full *expected) {
    trine_executor *pool = pool_open(
        (trine_processes_opts){.workers = 2, .on_start = &keep_all_task, .hook_arg = arg});
    struct full got[2];
    memset(got, 1, sizeof(got));
    CHECK_OK(trine_processes_each(pool, tell_all, got));
    for (int i = 0; i < 2; i++)
        CHECK(memcmp(&got[i], expected, sizeof(got[i])) == 0);
    trine_executor_close(&pool);
}

TEST(hooks_get_256_bytes_at_the_most_and_all_zero_for_none) {
    struct full arg, none = {{0}};
    for (size_t i = 0; i < sizeof(arg.bytes); i++)
        arg.bytes[i] = (unsigned char)(i * 7 + 1);
    check_hook_arg(&arg, &arg);
    check_hook_arg(NULL, &none);
}

TEST_ABORTS(a_hook_arg_of_257_bytes_is_a_mistake, "hook_arg: at most 256 bytes, not 257") {
    static const struct more arg = {{0}};
    pool_open((trine_processes_opts){.workers = 1, .on_start = &take_more_task, .hook_arg = &arg});
}

TEST_ABORTS(so_it_is_for_the_last_hook, "hook_arg: at most 256 bytes, not 257") {
    static const struct more arg = {{0}};
    pool_open((trine_processes_opts){
        .workers = 1, .on_start = &keep_all_task, .on_stop = &take_more_task, .hook_arg = &arg});
}

/* The other pool keeps the zygote: its end would end all workers. */
TEST(a_worker_that_cleans_up_for_ever_is_killed) {
    trine_executor *other = pool_open((trine_processes_opts){.workers = 1});
    trine_executor *pool =
        pool_open((trine_processes_opts){.workers = 1, .on_stop = &never_stop_task});
    struct look l = {0};
    char state = 0;
    CHECK_OK(trine_map_all(pool, look, &l, 1));
    CHECK(l.pid > 0);
    trine_executor_close(&pool);
    CHECK(EVENTUALLY(parent_of(l.pid, &state) == 0 || state == 'Z', 20000));
    CHECK_OK(trine_map_all(other, look, &l, 1));
    trine_executor_close(&other);
}
