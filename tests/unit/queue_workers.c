/* queue_workers.c - the queue between processes, used by tasks in worker processes. */
#include "processes_help.h"

#include <trine/queue.h>

#include <fcntl.h>

/* --- two workers, a queue of tasks and one of results --- */

struct power {
    int64_t value, power; /* power < 0: the end mark */
};
struct result {
    int64_t value, power, result;
    pid_t by;
};
struct desk {
    trine_queue tasks, results;
};

static int raise_to_powers(struct desk *d) {
    struct power p;
    for (;;) {
        int r = trine_queue_get(&d->tasks, &p);
        if (r < 0 || p.power < 0)
            return r;
        struct result done = {p.value, p.power, 1, getpid()};
        for (int64_t i = 0; i < p.power; i++)
            done.result *= p.value;
        r = trine_queue_put(&d->results, &done);
        if (r < 0)
            return r;
    }
}
TRINE_TASK(raise_to_powers, struct desk);

static int by_value(const void *a, const void *b) {
    const struct result *x = a, *y = b;
    return x->value < y->value ? -1 : x->value > y->value;
}

/* The parent's part; it must wait for room, since the workers have more to do than fits. */
static int hand_out_powers(struct desk *d) {
    static const int64_t powers[] = {1024, 59049, 1048576, 9765625, 60466176};
    struct result results[5];
    struct desk desks[] = {*d, *d}; /* each task's own, until it is done */
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 2});
    {
        TRINE_SCOPE(s, .timeout = TRINE_SEC(50));
        for (int i = 0; i < 2; i++)
            CHECK_EQ(trine_submit(s, pool, raise_to_powers, &desks[i]), 0);
        for (int i = 0; i < 5; i++)
            CHECK_EQ(trine_queue_put(&d->tasks, &((struct power){i + 2, 10})), 0);
        for (int i = 0; i < 2; i++)
            CHECK_EQ(trine_queue_put(&d->tasks, &((struct power){0, -1})), 0);
        for (int i = 0; i < 5; i++)
            CHECK_EQ(trine_queue_get(&d->results, &results[i]), 0);
        CHECK_EQ(trine_join(s), 0);
    }
    trine_executor_close(&pool);
    qsort(results, 5, sizeof(results[0]), by_value);
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(results[i].value, i + 2);
        CHECK_EQ(results[i].result, powers[i]);
        CHECK(results[i].by != getpid());
    }
    return 0;
}
TRINE_TASK(hand_out_powers, struct desk);

static struct desk open_desk(void) {
    struct desk d;
    CHECK_OK(trine_queue_open(sizeof(struct power), 2, &d.tasks));
    CHECK_OK(trine_queue_open(sizeof(struct result), 5, &d.results));
    return d;
}

static void free_desk(struct desk *d) {
    trine_queue_free(&d->tasks);
    trine_queue_free(&d->results);
}

TEST(two_workers_serve_a_plain_thread) {
    struct desk d = open_desk();
    CHECK_EQ(hand_out_powers(&d), 0);
    free_desk(&d);
}

TEST(two_workers_serve_a_coroutine) {
    struct desk d = open_desk();
    CHECK_EQ(trine_run(hand_out_powers, &d), 0);
    free_desk(&d);
}

/* --- in the worker --- */

struct errand {
    trine_queue queue;
    int64_t n, status;
};

static int count_maps(void) {
    char line[512];
    int n = 0;
    FILE *maps = fopen("/proc/self/maps", "re");
    CHECK(maps);
    while (fgets(line, sizeof(line), maps))
        n += strstr(line, "/memfd:trine-shared-") != NULL;
    fclose(maps);
    return n;
}

static int get_one(struct errand *e) {
    return trine_queue_get(&e->queue, &e->n);
}
TRINE_TASK(get_one, struct errand);

static int get_one_in_a_loop(struct errand *e) {
    return trine_run(get_one, e);
}
TRINE_TASK(get_one_in_a_loop, struct errand);

static int get_one_or_give_up(struct errand *e) {
    trine_queue copy = e->queue;
    int r;
    {
        TRINE_SCOPE(s, .timeout = TRINE_MS(5));
        r = trine_queue_get(&copy, &e->n);
    }
    trine_queue_free(&copy); /* also ends what was to wake us */
    return r;
}
TRINE_TASK(get_one_or_give_up, struct errand);

static int get_free_get(struct errand *e) {
    trine_queue copy = e->queue;
    int r = trine_queue_get(&e->queue, &e->n);
    e->status = count_maps();
    trine_queue_free(&e->queue);
    e->status = e->status * 10 + count_maps();
    return r < 0 ? r : trine_queue_get(&copy, &e->n);
}
TRINE_TASK(get_free_get, struct errand);

static int get_and_count_maps(struct errand *e) {
    int r = trine_queue_get(&e->queue, &e->n);
    e->status = count_maps();
    return r;
}
TRINE_TASK(get_and_count_maps, struct errand);

static int open_for_parent(struct errand *e) {
    int r = trine_queue_open(sizeof(e->n), 4, &e->queue);
    return r < 0 ? r : trine_queue_put(&e->queue, &e->n);
}
TRINE_TASK(open_for_parent, struct errand);

static struct errand new_errand(int64_t first, int items) {
    struct errand e = {.n = -1};
    CHECK_OK(trine_queue_open(sizeof(int64_t), 8, &e.queue));
    for (int64_t n = first; items > 0; items--, n++)
        CHECK_EQ(trine_queue_put(&e.queue, &n), 0);
    return e;
}

#define RUN_ERRAND(pool, task, e)                                                                  \
    ({                                                                                             \
        TRINE_SCOPE(errand_scope_, .timeout = TRINE_SEC(50));                                      \
        trine_submit(errand_scope_, pool, task, e);                                                \
        trine_join(errand_scope_);                                                                 \
    })

TEST(a_worker_waits_in_all_ways) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    struct errand e = new_errand(0, 0);
    trine_queue ours = e.queue; /* e is the task's until that is done */
    CHECK_EQ(RUN_ERRAND(pool, get_one_or_give_up, &e), -ETIMEDOUT);
    for (int64_t n = 1; n <= 2; n++) {
        TRINE_SCOPE(s, .timeout = TRINE_SEC(50));
        if (n == 1)
            CHECK_EQ(trine_submit(s, pool, get_one, &e), 0);
        else
            CHECK_EQ(trine_submit(s, pool, get_one_in_a_loop, &e), 0);
        CHECK_EQ(trine_queue_put(&ours, &n), 0);
        CHECK_EQ(trine_join(s), 0);
        CHECK_EQ(e.n, n);
    }
    trine_queue_free(&ours);
    trine_executor_close(&pool);
}

TEST(a_worker_may_free_its_mapping_and_come_back) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    struct errand e = new_errand(5, 2);
    trine_queue ours = e.queue;
    CHECK_EQ(RUN_ERRAND(pool, get_free_get, &e), 0);
    CHECK_EQ(e.status, 10);
    CHECK_EQ(e.n, 6);
    trine_queue_free(&ours);
    trine_executor_close(&pool);
}

TEST(a_worker_keeps_no_mapping_of_freed_queues) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    for (int i = 0; i < 20; i++) {
        struct errand e = new_errand(i, 1);
        trine_queue ours = e.queue;
        CHECK_EQ(RUN_ERRAND(pool, get_and_count_maps, &e), 0);
        CHECK_EQ(e.n, i);
        CHECK_EQ(e.status, 1);
        trine_queue_free(&ours);
    }
    trine_executor_close(&pool);
}

TEST(a_freed_queue_is_stale_in_a_worker) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    struct errand e = new_errand(5, 1);
    trine_queue ours = e.queue;
    trine_queue_free(&ours);
    CHECK_EQ(RUN_ERRAND(pool, get_one, &e), -ESTALE);
    struct errand other = new_errand(6, 1);
    e.queue.memory_.fd_ =
        other.queue.memory_.fd_; /* as if it had been given the number of the freed one's */
    CHECK_EQ(RUN_ERRAND(pool, get_one, &e), -ESTALE);
    CHECK_EQ(trine_queue_count(&other.queue), 1);
    e.queue.memory_.fd_ = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK_EQ(RUN_ERRAND(pool, get_one, &e), -ESTALE); /* not even tried: that gives -EISDIR */
    close(e.queue.memory_.fd_);
    trine_queue_free(&other.queue);
    trine_executor_close(&pool);
}

TEST(a_queue_of_a_dead_worker_is_stale) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    struct errand used = {.n = 9}, unused = {.n = 10};
    CHECK_EQ(RUN_ERRAND(pool, open_for_parent, &used), 0);
    CHECK_EQ(RUN_ERRAND(pool, open_for_parent, &unused), 0);
    CHECK_EQ(trine_queue_count(&used.queue), 1);
    trine_executor_close(&pool);
    CHECK_EQ(get_one(&used), 0); /* mapped here while its owner lived */
    CHECK_EQ(used.n, 9);
    CHECK_EQ(trine_queue_count(&unused.queue), -ESTALE);
    trine_queue_free(&used.queue);
}

/* --- death --- */

static int die_waiting(struct errand *e) {
    pid_t pid = getpid();
    e->status = trine_queue_put(&e->queue, &(int64_t){pid}); /* we are here */
    return trine_queue_get(&(trine_queue){0}, &e->n) == -ESTALE ? raise(SIGKILL) : -EINVAL;
}
TRINE_TASK(die_waiting, struct errand);

struct present {
    trine_queue here, queue;
    int64_t n;
};

static int tell_and_get(struct present *p) {
    int64_t pid = getpid();
    int r = trine_queue_put(&p->here, &pid);
    return r < 0 ? r : trine_queue_get(&p->queue, &p->n);
}
TRINE_TASK(tell_and_get, struct present);

TEST(others_are_woken_after_a_sleeper_was_killed) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 3});
    struct errand here = new_errand(0, 0), e = new_errand(0, 0);
    struct present waiting[3];
    trine_future *f[3];
    int64_t pid = 0, sum = 0;
    TRINE_SCOPE(s, .policy = TRINE_COLLECT, .timeout = TRINE_SEC(50));
    for (int i = 0; i < 3; i++) {
        waiting[i] = (struct present){.here = here.queue, .queue = e.queue};
        f[i] = trine_start(s, pool, tell_and_get, &waiting[i]);
    }
    for (int i = 0; i < 3; i++)
        CHECK_EQ(trine_queue_get(&here.queue, &pid), 0);
    CHECK_EQ(kill((pid_t)pid, SIGKILL), 0); /* asleep in get, or about to be */
    for (int64_t n = 1; n <= 2; n++) {
        trine_future *done;
        CHECK_EQ(trine_next_done(s, &done), 1);
        CHECK_EQ(trine_status(done), n == 1 ? -EOWNERDEAD : 0);
        CHECK_EQ(trine_queue_put(&e.queue, &n), 0);
    }
    trine_join(s);
    for (int i = 0; i < 3; i++)
        sum += trine_status(f[i]) == 0 ? waiting[i].n : 0;
    CHECK_EQ(sum, 3);
    trine_queue_free(&here.queue);
    trine_queue_free(&e.queue);
    trine_executor_close(&pool);
}

TEST(what_a_worker_had_put_before_it_died_stays) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    struct errand e = new_errand(0, 0);
    int64_t pid = 0;
    CHECK_EQ(RUN_ERRAND(pool, die_waiting, &e), -EOWNERDEAD);
    CHECK_EQ(trine_queue_get(&e.queue, &pid), 0);
    CHECK(pid > 0 && pid != getpid());
    CHECK_EQ(trine_queue_lost(&e.queue), 0);
    trine_queue_free(&e.queue);
    trine_executor_close(&pool);
}
