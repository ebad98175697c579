/* cell_faults.c - what goes wrong in each model, counted. Updates of one number that are lost when
 * the lock is left out (atomic loads and stores, so that the count is all that is wrong), and tasks
 * that are lost when one of them kills its process. */
#include "bench/cell.h"

#include <trine.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* --- a race --- */

static atomic_long number;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void pause_us(long us) {
    struct timespec t = {0, us * 1000};
    nanosleep(&t, NULL);
}

static void add_slowly(void) {
    long seen = atomic_load_explicit(&number, memory_order_relaxed);
    pause_us(100);
    atomic_store_explicit(&number, seen + 1, memory_order_relaxed);
}

static int add_bare(int *unused) {
    (void)unused;
    add_slowly();
    return 0;
}
TRINE_TASK(add_bare, int);

static int add_locked(int *unused) {
    (void)unused;
    pthread_mutex_lock(&lock);
    add_slowly();
    pthread_mutex_unlock(&lock);
    return 0;
}
TRINE_TASK(add_locked, int);

struct race {
    trine_executor *on;
    int64_t n;
    bool locked;
};

static int run_race(struct race *r) {
    TRINE_SCOPE(scope, .name = "race");
    for (int64_t i = 0; i < r->n; i++)
        if (r->locked)
            trine_submit(scope, r->on, add_locked, NULL);
        else
            trine_submit(scope, r->on, add_bare, NULL);
    return trine_join(scope);
}
TRINE_TASK(run_race, struct race);

int cell_race(const struct cell *c) {
    struct race r = {.n = c->n, .locked = strcmp(c->work, "locked") == 0};
    int error;
    cell_begin();
    if (strcmp(c->model, "loop") == 0) {
        error = trine_run(run_race, &r);
    } else {
        error =
            trine_threads_open(&r.on, TRINE_OPTS(trine_threads_opts, .workers = (unsigned)c->n));
        if (error == 0)
            error = run_race(&r);
        if (r.on)
            trine_executor_close(&r.on);
    }
    if (error < 0)
        return cell_fail("a race", error);
    cell_print("lost", (double)(c->n - atomic_load(&number)));
    return 0;
}

/* --- a crash --- */

struct victim {
    int crashes;
    int done;
};

static int work_or_crash(struct victim *v) {
    if (v->crashes)
        kill(getpid(), SIGKILL); /* as any fault would end it, without a core file */
    pause_us(30000);
    v->done = 1;
    return 0;
}
TRINE_TASK_IO(work_or_crash, struct victim, done);

struct crash {
    trine_executor *on;
    struct victim *victims;
    size_t n;
};

static int run_crash(struct crash *r) {
    TRINE_SCOPE(scope, .name = "crash", .policy = TRINE_COLLECT);
    trine_map(scope, r->on, work_or_crash, r->victims, r->n);
    trine_join(scope);
    return 0;
}
TRINE_TASK(run_crash, struct crash);

/* With coroutines and threads the process is gone, and says nothing: the bench sees that. */
int cell_crash(const struct cell *c) {
    struct crash r = {.victims = calloc((size_t)c->n, sizeof(*r.victims)), .n = (size_t)c->n};
    if (!r.victims)
        return cell_fail("a crash", ENOMEM);
    r.victims[0].crashes = 1;
    cell_begin();
    int error = 0;
    if (strcmp(c->model, "threads") == 0)
        error = trine_threads_open(&r.on, TRINE_OPTS(trine_threads_opts, .workers = 4));
    else if (strcmp(c->model, "processes") == 0)
        error = trine_processes_open(&r.on, TRINE_OPTS(trine_processes_opts, .workers = 4));
    if (error < 0)
        return cell_fail("a crash", error);
    error = r.on ? run_crash(&r) : trine_run(run_crash, &r);
    if (r.on)
        trine_executor_close(&r.on);
    int64_t lost = 0;
    for (size_t i = 0; i < r.n; i++)
        lost += !r.victims[i].done;
    free(r.victims);
    if (error < 0)
        return cell_fail("a crash", error);
    cell_print("lost", (double)lost);
    return 0;
}
