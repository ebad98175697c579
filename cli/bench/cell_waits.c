/* cell_waits.c - two questions about calls that block: how many threads a crew of them needs, and
 * what such a call does to a loop, made directly or handed to trine_blocking. */
#include "bench/cell.h"

#include <trine.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct call {
    int64_t ns;
    int64_t took;
};

struct run {
    struct call *calls;
    size_t n;
    trine_executor *on;
    bool handed_over;
};

/* A call that blocks its thread. */
static int block(struct call *c) {
    int64_t start = trine_now();
    struct timespec t = {c->ns / 1000000000, c->ns % 1000000000};
    nanosleep(&t, NULL);
    c->took = trine_now() - start;
    return 0;
}
TRINE_TASK(block, struct call);

static int block_elsewhere(struct call *c) {
    return trine_blocking(block, c);
}
TRINE_TASK(block_elsewhere, struct call);

static int make_calls(struct run *r) {
    TRINE_SCOPE(scope, .name = "calls");
    if (r->handed_over)
        trine_map(scope, NULL, block_elsewhere, r->calls, r->n);
    else
        trine_map(scope, r->on, block, r->calls, r->n);
    return trine_join(scope);
}
TRINE_TASK(make_calls, struct run);

static int prepare(struct run *r, int64_t calls, int64_t us) {
    r->n = (size_t)calls;
    r->calls = calloc(r->n, sizeof(*r->calls));
    for (size_t i = 0; r->calls && i < r->n; i++)
        r->calls[i].ns = us * 1000;
    return r->calls ? 0 : -ENOMEM;
}

static int finish(struct run *r, int64_t start, int error) {
    cell_print("wall", cell_seconds(trine_now() - start));
    bool right = true;
    for (size_t i = 0; i < r->n; i++)
        right = right && r->calls[i].took >= r->calls[i].ns;
    free(r->calls);
    if (error < 0)
        return cell_fail("calls that block", error);
    return right ? 0 : cell_fail("a call did not block as long as it should", 0);
}

int cell_crew(const struct cell *c) {
    struct run r = {0};
    int error = prepare(&r, c->a, c->b);
    if (error < 0)
        return cell_fail("calls", error);
    int64_t start = cell_begin();
    error = trine_threads_open(&r.on, TRINE_OPTS(trine_threads_opts, .workers = (unsigned)c->n));
    if (error < 0)
        return cell_fail("threads", error);
    error = make_calls(&r);
    trine_executor_close(&r.on);
    return finish(&r, start, error);
}

int cell_blocking(const struct cell *c) {
    struct run r = {.handed_over = strcmp(c->work, "handed") == 0};
    int error = prepare(&r, c->n, c->a);
    if (error < 0)
        return cell_fail("calls", error);
    int64_t start = cell_begin();
    error = trine_run(make_calls, &r);
    return finish(&r, start, error);
}
