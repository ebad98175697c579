/* cell_mixed.c - tasks that first wait, as for an answer, and then compute: on the loop alone, on
 * threads, on processes, and waiting on the loop while a pool computes. */
#include "bench/cell.h"
#include "bench/work.h"

#include <trine.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { THREADS_MOST = 32 };

struct item {
    int64_t wait;
    uint64_t rounds;
    trine_executor *compute_on; /* for the loop; means nothing in a process */
    uint64_t result;
};

struct run {
    trine_executor *on, *compute_on;
    struct item *items;
    size_t count;
};

static int compute(struct item *i) {
    i->result = work_spin(i->rounds);
    return 0;
}
TRINE_TASK_IO(compute, struct item, result);

/* Waits as a blocking call does. */
static int wait_and_compute(struct item *i) {
    struct timespec t = {i->wait / 1000000000, i->wait % 1000000000};
    nanosleep(&t, NULL);
    return compute(i);
}
TRINE_TASK_IO(wait_and_compute, struct item, result);

static int on_loop(struct item *i) {
    int error = trine_sleep(i->wait);
    if (error < 0)
        return error;
    if (!i->compute_on)
        return compute(i);
    TRINE_SCOPE(scope, .name = "compute");
    trine_submit(scope, i->compute_on, compute, i);
    return trine_join(scope);
}
TRINE_TASK(on_loop, struct item);

static int all_on_loop(struct run *r) {
    TRINE_SCOPE(scope, .name = "mixed");
    trine_map(scope, NULL, on_loop, r->items, r->count);
    return trine_join(scope);
}
TRINE_TASK(all_on_loop, struct run);

static int all_on_pool(struct run *r) {
    TRINE_SCOPE(scope, .name = "mixed");
    trine_map(scope, r->on, wait_and_compute, r->items, r->count);
    return trine_join(scope);
}

static int open_pool(const char *kind, unsigned threads, unsigned processes, trine_executor **ret) {
    if (strstr(kind, "threads"))
        return trine_threads_open(ret, TRINE_OPTS(trine_threads_opts, .workers = threads));
    return trine_processes_open(ret, TRINE_OPTS(trine_processes_opts, .workers = processes));
}

static int run_model(struct run *r, const char *model) {
    unsigned cpus = trine_usable_cpus();
    if (strcmp(model, "loop") == 0)
        return trine_run(all_on_loop, r);
    bool with_loop = strncmp(model, "loop+", 5) == 0;
    trine_executor *pool;
    unsigned threads = (unsigned)r->count < THREADS_MOST ? (unsigned)r->count : THREADS_MOST;
    int error = open_pool(model, with_loop ? cpus : threads, with_loop ? cpus : 2 * cpus, &pool);
    if (error < 0)
        return error;
    for (size_t i = 0; i < r->count; i++)
        r->items[i].compute_on = with_loop ? pool : NULL;
    r->on = pool;
    error = with_loop ? trine_run(all_on_loop, r) : all_on_pool(r);
    trine_executor_close(&pool);
    return error;
}

int cell_mixed(const struct cell *c) {
    struct run r = {.items = calloc((size_t)c->n, sizeof(*r.items)), .count = (size_t)c->n};
    if (!r.items)
        return cell_fail("mixed", ENOMEM);
    for (size_t i = 0; i < r.count; i++)
        r.items[i] = (struct item){.wait = c->a * 1000, .rounds = (uint64_t)c->b};
    int64_t start = cell_begin();
    int error = run_model(&r, c->model);
    cell_print("wall", cell_seconds(trine_now() - start));
    bool right = true;
    for (size_t i = 0; i < r.count; i++)
        right = right && r.items[i].result == work_spin_expected((uint64_t)c->b);
    free(r.items);
    if (error < 0)
        return cell_fail("computing", error);
    return right ? 0 : cell_fail("a computed result is wrong", 0);
}
