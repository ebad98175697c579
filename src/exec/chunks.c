/* chunks.c - trine_map_all on threads. One task a worker takes the items, some at a time from a
 * shared counter: one at first, and so many that they last some tens of microseconds when that is
 * known, so that neither the queue nor the counter costs more than a hundredth of what they do.
 *
 * What is seen is a task an item: its name, the first error, which keeps what has not begun from
 * beginning, trine_cancelled. Rejected: a fixed number of items (a hundred of a second each would
 * be done by one worker). */
#include "exec/chunks.h"

#include "base/clock.h"

#include <trine/task.h>

#include <errno.h>
#include <stdatomic.h>

/* So many chunks are left for each part at least, so that all end together. */
enum { LEFT_A_PART = 4 };
#define CHUNK_SHORT TRINE_US(20)
#define CHUNK_LONG TRINE_US(80)

struct items {
    _Alignas(64) _Atomic size_t next;
    _Alignas(64) size_t n, parts;
    const trine_task *task;
    char *args;
};

struct part {
    struct items *items;
};

static int run_chunk(const struct items *all, size_t from, size_t to) {
    for (size_t i = from; i < to; i++) {
        if (trine_cancelled()) /* also when another part has failed */
            return -ECANCELED;
        int r = all->task->run(all->args + i * all->task->size);
        if (r < 0)
            return r;
    }
    return 0;
}

static int run_items(struct part *p) {
    struct items *all = p->items;
    size_t want = 1;
    for (int64_t began = clock_monotonic();;) {
        size_t seen = atomic_load_explicit(&all->next, memory_order_relaxed);
        size_t share = seen < all->n ? (all->n - seen) / (LEFT_A_PART * all->parts) : 0;
        size_t count = want < share ? want : share ? share : 1;
        size_t from = atomic_fetch_add_explicit(&all->next, count, memory_order_relaxed);
        if (from >= all->n)
            return 0;
        int r = run_chunk(all, from, all->n - from < count ? all->n : from + count);
        if (r < 0)
            return r;
        int64_t now = clock_monotonic(), took = now - began;
        want = took < CHUNK_SHORT ? 2 * count : took > CHUNK_LONG && want > 1 ? want / 2 : want;
        began = now;
    }
}
TRINE_TASK(run_items, struct part);

int chunks_map_all(trine_executor *on, unsigned workers, const trine_task *t, void *args, size_t n,
                   const char *site) {
    struct items all = {.n = n, .parts = n < workers ? n : workers, .task = t, .args = args};
    struct part part = {&all};
    const trine_task_opts opts = {.size = sizeof(opts), .name = t->name};
    trine_scope memory, *s = trine_scope_open(&memory, NULL, site);
    for (size_t i = 0; i < all.parts; i++)
        if (trine_submit_opts_task(s, on, &run_items_task, &part, &opts, site) < 0)
            break; /* it reaches join */
    int status = trine_join(s);
    trine_scope_close(&s);
    return status;
}
