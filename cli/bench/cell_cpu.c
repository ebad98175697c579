/* cell_cpu.c - a list of computations, repeated as separate tasks: one after another on the loop,
 * by threads, by processes. The time includes the start and the end of the pool. */
#include "bench/cell.h"
#include "bench/work.h"

#include <trine.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct run {
    trine_executor *on;
    struct work *work;
    size_t count;
};

static int compute(struct work *w) {
    work_compute(w);
    return 0;
}
TRINE_TASK_IO(compute, struct work, result);

static int compute_all(struct run *r) {
    TRINE_SCOPE(scope, .name = "list");
    trine_map(scope, r->on, compute, r->work, r->count);
    return trine_join(scope);
}
TRINE_TASK(compute_all, struct run);

static int on_pool(struct run *r, const char *model, unsigned workers) {
    int error =
        strcmp(model, "threads") == 0
            ? trine_threads_open(&r->on, TRINE_OPTS(trine_threads_opts, .workers = workers))
            : trine_processes_open(&r->on, TRINE_OPTS(trine_processes_opts, .workers = workers));
    if (error < 0)
        return error;
    error = compute_all(r);
    trine_executor_close(&r->on);
    return error;
}

int cell_cpu(const struct cell *c) {
    struct work list[WORK_LIST_MOST];
    int length = work_list(c->work, list);
    struct run r = {.count = (size_t)(length * c->a)};
    r.work = calloc(r.count + 1, sizeof(*r.work));
    if (!length || !r.work)
        return cell_fail(c->work, length ? ENOMEM : EINVAL);
    for (size_t i = 0; i < r.count; i++)
        r.work[i] = list[i % (size_t)length];
    int64_t start = cell_begin();
    int error = strcmp(c->model, "loop") == 0 ? trine_run(compute_all, &r)
                                              : on_pool(&r, c->model, (unsigned)c->n);
    cell_print("wall", cell_seconds(trine_now() - start));
    bool right = true;
    for (size_t i = 0; i < r.count; i++) /* equal ones are proved once */
        right =
            right && (i < (size_t)length ? work_is_right(&r.work[i])
                                         : r.work[i].result == r.work[i % (size_t)length].result);
    free(r.work);
    if (error < 0)
        return cell_fail("computing", error);
    return right ? 0 : cell_fail("a computed result is wrong", 0);
}
