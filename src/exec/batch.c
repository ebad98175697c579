/* batch.c - see batch.h. A batch is as long as what was seen of its map's tasks says that it lasts
 * BATCH_TIME: long enough that waking somebody for it costs nothing, short enough that all workers
 * end together. Where the next tasks are longer than those before, the worker stops, and gives back
 * what it has not begun. A few are under way for each worker, so that it has the next one at once.
 *
 * A map goes without where it is short; where workers are replaced after a number of tasks; and in
 * a sandbox, where a task that has taken its worker over must not reach the results of those before
 * it. Rejected:
 * batches of what is submitted one by one (each has a future, which may be cancelled, followed,
 * awaited). */
#include "exec/batch.h"

#include "core/task.h"
#include "exec/pool.h"

#include <string.h>

enum { BATCH_BYTES = 256 << 10, ITEM_MOST = 16 << 10, ITEMS_LEAST = 1024 };
#define BATCH_TIME TRINE_MS(2)

/* So many times longer is a batch than the last one at the most: short ones are seen badly. */
enum { GROWTH = 16 };

/* So many batches are left for each worker at least, so that all end together. */
enum { LEFT_A_WORKER = 4 };

struct map {
    trine_scope *scope;
    struct pool *pool;
    const trine_task *task;
    const char *site;
    char *next;          /* the first item that was not sent */
    size_t left;         /* so many were not */
    size_t length, most; /* of the next batch; of any */
    int64_t time, items; /* that the last few took, and how many they were */
    size_t under_way, room;
};

static void start(struct map *m, char *items, size_t n) {
    task_start_batch(m->scope, &m->pool->base, m->task, items, n, m->site);
    m->under_way++;
}

static void send_next(struct map *m) {
    size_t share = m->left / (LEFT_A_WORKER * m->pool->workers_wanted);
    size_t n = m->length < share ? m->length : share ? share : 1;
    char *items = m->next;
    m->next += n * m->task->size;
    m->left -= n;
    start(m, items, n);
}

static void adapt(struct map *m, size_t n, int64_t took) {
    m->time = m->time / 2 + took;
    m->items = m->items / 2 + (int64_t)n;
    size_t length = m->time > 0 ? (size_t)(m->items * BATCH_TIME / m->time) : m->most;
    if (length > GROWTH * n)
        length = GROWTH * n;
    m->length = length < 1 ? 1 : length < m->most ? length : m->most;
}

/* A batch is back; what is left of it is sent again, in pieces as long as it should have had. */
static void take_back(struct map *m, const trine_future *f) {
    size_t size = m->task->size, n = f->in.len / size, done = future_batch_done(f);
    char *items = (char *)f->in.ptr + done * size;
    adapt(m, done, f->status);
    for (size_t left = n - done, piece; left > 0; left -= piece, items += piece * size) {
        piece = left < m->length ? left : m->length;
        start(m, items, piece);
    }
}

/* Until all are done, or the scope ends. */
static void run(struct map *m) {
    trine_future *f;
    do {
        while (m->left > 0 && m->under_way < m->room)
            send_next(m);
        if (trine_next_done(m->scope, &f) <= 0)
            return;
        if (f->status >= 0)
            take_back(m, f);
        trine_future_drop(f);
        m->under_way--;
    } while (m->under_way > 0 || m->left > 0);
}

static bool suits(const struct pool *p, const trine_task *t, size_t n) {
    return n >= ITEMS_LEAST && t->size > 0 && t->size <= ITEM_MOST && !p->max_tasks &&
           !p->request.sandbox;
}

int batch_map_all(struct pool *p, const trine_task *t, void *args, size_t n, const char *site) {
    trine_scope memory;
    struct map m = {.scope = trine_scope_open(&memory, NULL, site),
                    .pool = p,
                    .task = t,
                    .site = site,
                    .next = args,
                    .left = n,
                    .length = 1,
                    .room = (size_t)AREAS * p->workers_wanted};
    if (suits(p, t, n)) {
        m.most = BATCH_BYTES / t->size;
        run(&m);
    } else {
        trine_map_task(m.scope, &p->base, t, args, n, site);
    }
    int status = trine_join(m.scope); /* what failed reaches it */
    trine_scope_close(&m.scope);
    return status;
}

/* --- the supervisor's side --- */

size_t worker_take_batch(struct worker *w) {
    const struct assignment *batch = worker_sent(w, 0);
    const trine_task *t = batch->future->task;
    size_t n = batch->frame.body / t->size, size = t->size - t->first_out;
    uint64_t done =
        atomic_load_explicit(&w->memory.done[batch->frame.area - 1], memory_order_acquire);
    const uint8_t *from = area_at(w->memory.areas, batch->frame.area);
    char *to = batch->future->arg;
    if (done < n) /* a worker can lie */
        n = (size_t)done;
    if (!t->first_out)
        memcpy(to, from, n * t->size);
    else
        for (size_t i = 0, at = t->first_out; i < n; i++, at += t->size)
            memcpy(to + at, from + at, size);
    return n;
}
