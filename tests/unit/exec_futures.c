/* exec_futures.c - what CPython's tests of concurrent.futures check for threads, and no other file
 * here does; tests/README.md has the whole list. The cases are ours. */
#include "test.h"

#include <trine.h>
#include <trine/parallel.h>

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

static trine_executor *open_pool(unsigned workers, unsigned queue) {
    trine_executor *pool = NULL;
    CHECK_OK(trine_threads_open(&pool, TRINE_OPTS(trine_threads_opts, .workers = workers,
                                                  .queue = queue)));
    return pool;
}

static unsigned threads_now(void) {
    unsigned n = 0;
    DIR *tasks = opendir("/proc/self/task");
    CHECK(tasks);
    for (struct dirent *entry; (entry = readdir(tasks));)
        n += entry->d_name[0] != '.';
    closedir(tasks);
    return n;
}

/* The kernel lists a thread for a moment after it was joined. */
static bool soon_so_many_threads(unsigned n) {
    int64_t end = test_now_ms() + 20000;
    while (threads_now() != n && test_now_ms() < end)
        usleep(500);
    return threads_now() == n;
}

static atomic_bool gate;
static atomic_int begun, ended;

struct unit {
    pthread_t thread;
    pid_t tid;
    int result;
};

static int pass_gate(struct unit *u) {
    u->thread = pthread_self();
    atomic_fetch_add(&begun, 1);
    while (!atomic_load(&gate) && !trine_cancelled())
        sched_yield();
    atomic_fetch_add(&ended, 1);
    return u->result;
}
TRINE_TASK(pass_gate, struct unit);

static int finish(struct unit *u) {
    u->thread = pthread_self();
    u->tid = gettid();
    atomic_fetch_add(&ended, 1);
    return u->result;
}
TRINE_TASK(finish, struct unit);

static void reset(bool open) {
    atomic_store(&gate, open);
    atomic_store(&begun, 0);
    atomic_store(&ended, 0);
}

/* --- the end of a pool --- */

struct closer {
    trine_executor *pool;
    atomic_bool done;
};

static void *close_pool(void *arg) {
    struct closer *c = arg;
    trine_executor_close(&c->pool);
    atomic_store(&c->done, true);
    return NULL;
}

TEST(a_pool_that_closes_does_what_is_queued_and_takes_nothing_new) {
    reset(false);
    struct closer c = {.pool = open_pool(1, 4)};
    trine_executor *pool = c.pool;
    struct unit u[6] = {{.result = 0}};
    pthread_t thread;
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    for (int i = 0; i < 4; i++)
        CHECK_OK(trine_submit(s, pool, pass_gate, &u[i]));
    while (atomic_load(&begun) == 0)
        sched_yield();
    CHECK_EQ(pthread_create(&thread, NULL, close_pool, &c), 0);
    int r;
    while ((r = trine_submit(s, pool, finish, &u[5])) == 0) { /* until it has noticed, or is full */
        struct timespec pause = {.tv_nsec = 1000000};
        nanosleep(&pause, NULL);
    }
    CHECK_EQ(r, -ESHUTDOWN); /* also when it waited for room */
    CHECK(!atomic_load(&c.done));
    atomic_store(&gate, true);
    CHECK_EQ(trine_join(s), -ESHUTDOWN);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_EQ(atomic_load(&begun), 4);
}

/* Sanitizers have a thread of their own from the first one of ours on, which is gone from the list
 * when this is done. */
static void start_a_thread(void) {
    trine_executor *pool = open_pool(1, 0);
    struct unit u = {.result = 0};
    char path[64];
    CHECK_OK(trine_map_all(pool, finish, &u, 1));
    trine_executor_close(&pool);
    snprintf(path, sizeof(path), "/proc/self/task/%d", (int)u.tid);
    for (int64_t end = test_now_ms() + 20000; access(path, F_OK) == 0; usleep(500))
        CHECK(test_now_ms() < end);
}

TEST(no_thread_is_left_of_pools_that_were_closed) {
    start_a_thread();
    unsigned before = threads_now();
    for (int i = 0; i < 20; i++) {
        trine_executor *pool = open_pool(4, 0);
        struct unit u[16] = {{.result = 0}};
        CHECK_OK(trine_map_all(pool, finish, u, 16));
        trine_executor_close(&pool);
        CHECK(!pool);
        trine_executor_close(&pool); /* nothing more */
    }
    CHECK(soon_so_many_threads(before));
}

TEST(a_program_that_ends_with_work_queued_ends) {
    reset(false);
    static struct unit u[10];
    trine_executor *pool = open_pool(2, 0);
    trine_scope memory;
    trine_scope *s = trine_scope_open(&memory, NULL, "here");
    CHECK_OK(trine_map(s, pool, pass_gate, u, 10));
    while (atomic_load(&begun) < 2)
        sched_yield();
    exit(0); /* a failure would be that it hangs or crashes */
}

/* --- threads --- */

TEST(as_many_threads_work_as_were_asked_for_and_no_more) {
    start_a_thread();
    reset(false);
    trine_executor *pool = open_pool(3, 0);
    struct unit u[30] = {{.result = 0}};
    unsigned before = threads_now();
    TRINE_SCOPE(s);
    CHECK_OK(trine_map(s, pool, pass_gate, u, 30));
    while (atomic_load(&begun) < 3)
        sched_yield();
    for (int i = 0; i < 100; i++)
        sched_yield();
    CHECK_EQ(atomic_load(&begun), 3);
    CHECK_EQ(threads_now(), before + 3);
    atomic_store(&gate, true);
    CHECK_OK(trine_join(s));
    CHECK_EQ(atomic_load(&ended), 30);
    trine_scope_close(&s);
    trine_executor_close(&pool);
}

TEST(threads_that_are_idle_get_the_next_tasks) {
    reset(true);
    trine_executor *pool = open_pool(64, 0);
    unsigned before = threads_now();
    for (int i = 0; i < 200; i++) {
        struct unit u = {.result = 0};
        CHECK_OK(trine_map_all(pool, finish, &u, 1));
    }
    CHECK(threads_now() < before + 32); /* one that has just finished may not be idle yet */
    trine_executor_close(&pool);
}

/* --- futures --- */

TEST(a_task_is_cancelled_in_each_of_its_states) {
    reset(false);
    trine_executor *pool = open_pool(1, 0);
    struct unit done = {.result = 3}, running = {.result = 4}, queued = {.result = 5},
                waiting = {.result = 6};
    {
        TRINE_SCOPE(s);
        trine_future *f = trine_start(s, pool, finish, &done);
        CHECK_OK(trine_await(f, NULL));
        trine_cancel(f, 0);
        CHECK_EQ(trine_status(f), 3); /* too late */
        CHECK_OK(trine_join(s));
    }
    TRINE_SCOPE(s, .policy = TRINE_COLLECT, .limit = 2);
    trine_future *f[3] = {trine_start(s, pool, pass_gate, &running),
                          trine_start(s, pool, finish, &queued),
                          trine_start(s, pool, finish, &waiting)};
    while (atomic_load(&begun) == 0)
        sched_yield();
    atomic_store(&ended, 0);
    trine_cancel(f[2], 0); /* waits for its scope's limit */
    CHECK_EQ(trine_status(f[2]), -ECANCELED);
    trine_cancel(f[1], -EPERM); /* is in the queue */
    CHECK_OK(trine_await(f[1], NULL));
    CHECK_EQ(trine_status(f[1]), -ECANCELED);
    CHECK_EQ(trine_status(f[0]), -EINPROGRESS);
    trine_cancel(f[0], 0); /* runs, and asks trine_cancelled */
    int status;
    CHECK_OK(trine_await(f[0], &status));
    CHECK_EQ(status, 4);
    CHECK_EQ(atomic_load(&ended), 1);
    CHECK_EQ(trine_join(s), -ECANCELED);
    trine_scope_close(&s);
    trine_executor_close(&pool);
}

TEST(what_nobody_looks_at_is_done_all_the_same) {
    reset(false);
    trine_executor *pool = open_pool(1, 0);
    struct unit u[5] = {{.result = 0}};
    TRINE_SCOPE(s);
    trine_future_drop(trine_start(s, pool, pass_gate, &u[0]));
    for (int i = 1; i < 5; i++)
        trine_future_drop(trine_start(s, pool, finish, &u[i]));
    atomic_store(&gate, true);
    while (atomic_load(&ended) < 5) /* nobody joins */
        sched_yield();
    CHECK_OK(trine_join(s));
    trine_scope_close(&s);
    trine_executor_close(&pool);
}

TEST(waits_of_one_kind_and_another_may_follow_each_other) {
    reset(false);
    trine_executor *pool = open_pool(2, 0);
    struct unit u[3] = {{.result = 0}, {.result = -EIO}, {.result = 2}};
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    trine_future *f[4] = {trine_start(s, pool, pass_gate, &u[0]),
                          trine_start(s, pool, finish, &u[1]), trine_start(s, pool, finish, &u[2])};
    f[3] = f[1]; /* twice */
    CHECK_OK(trine_wait(f, 4, TRINE_UNTIL_ERROR, -1));
    CHECK_OK(trine_wait(f, 4, TRINE_UNTIL_FIRST, 0)); /* some are done */
    CHECK_EQ(trine_wait(f, 4, TRINE_UNTIL_ALL, 0), -ETIME);
    CHECK_EQ(trine_wait(f, 1, TRINE_UNTIL_FIRST, TRINE_MS(1)), -ETIME);
    CHECK_OK(trine_wait(&f[1], 1, TRINE_UNTIL_ERROR, 0)); /* had failed already */
    atomic_store(&gate, true);
    CHECK_OK(trine_wait(f, 4, TRINE_UNTIL_ALL, -1));
    CHECK_EQ(trine_join(s), -EIO);
    trine_scope_close(&s);
    trine_executor_close(&pool);
}
