/* cell_handover.c - what it costs to have a task done where the workers are there already: one at a
 * time, there and back, and all of them in one go. The loop starts a coroutine for each. */
#include "bench/cell.h"

#include <trine.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct number {
    uint32_t of, result;
};

struct run {
    trine_executor *on;
    struct number *numbers;
    size_t n;
    double trip, batch; /* seconds a task */
};

static int add_one(struct number *n) {
    n->result = n->of + 1;
    return 0;
}
TRINE_TASK_IO(add_one, struct number, result);

static int one_at_a_time(struct run *r) {
    for (size_t i = 0; i < r->n; i++) {
        TRINE_SCOPE(scope, .name = "trip");
        int status,
            error = trine_await(trine_start(scope, r->on, add_one, &r->numbers[i]), &status);
        if (error < 0 || status < 0)
            return error < 0 ? error : status;
    }
    return 0;
}

static int all_in_one_go(struct run *r) {
    TRINE_SCOPE(scope, .name = "batch");
    trine_map(scope, r->on, add_one, r->numbers, r->n);
    return trine_join(scope);
}

static void reset(struct run *r) {
    for (uint32_t i = 0; i < r->n; i++)
        r->numbers[i] = (struct number){.of = i};
}

static bool all_right(const struct run *r) {
    for (uint32_t i = 0; i < r->n; i++)
        if (r->numbers[i].result != i + 1)
            return false;
    return true;
}

static int measure(struct run *r) {
    int (*const parts[])(struct run *) = {one_at_a_time, all_in_one_go};
    double *const results[] = {&r->trip, &r->batch};
    for (int part = 0; part < 2; part++) {
        reset(r);
        int error = parts[part](r); /* once to warm up */
        reset(r);
        int64_t start = trine_now();
        if (error == 0)
            error = parts[part](r);
        *results[part] = cell_seconds(trine_now() - start) / (double)r->n;
        if (error < 0 || !all_right(r))
            return error < 0 ? error : -EPROTO;
    }
    return 0;
}
TRINE_TASK(measure, struct run);

static int on_pool(struct run *r, const char *model) {
    int error = strcmp(model, "threads") == 0
                    ? trine_threads_open(&r->on, TRINE_OPTS(trine_threads_opts, .workers = 2))
                    : trine_processes_open(&r->on, TRINE_OPTS(trine_processes_opts, .workers = 2));
    if (error < 0)
        return error;
    error = measure(r);
    trine_executor_close(&r->on);
    return error;
}

int cell_handover(const struct cell *c) {
    struct run r = {.numbers = calloc((size_t)c->n, sizeof(*r.numbers)), .n = (size_t)c->n};
    if (!r.numbers)
        return cell_fail("handing over", ENOMEM);
    cell_begin();
    int error = strcmp(c->model, "loop") == 0 ? trine_run(measure, &r) : on_pool(&r, c->model);
    free(r.numbers);
    if (error < 0)
        return cell_fail("handing over", error);
    cell_print("trip", r.trip);
    cell_print("batch", r.batch);
    return 0;
}
