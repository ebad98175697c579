/* batch.c - see batch.h. A batch is as long as what was seen of its map's tasks says that it lasts
 * BATCH_TIME: long enough that waking somebody for it costs nothing, short enough that all workers
 * end together. Where the next tasks are longer than those before, the worker stops, and gives back
 * what it has not begun. A few are under way for each worker, so that it has the next one at once.
 *
 * A map goes without where it is short; where workers are replaced after a number of tasks; and in
 * a sandbox, where a task that has taken its worker over must not reach those before it.
 *
 * Rejected: batches of what is submitted one by one (each has a future, which may be cancelled,
 * followed, awaited); cutting a batch that is under way (an atomic operation more for each item,
 * against some milliseconds of work behind an item that is much longer than those before it). */
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
    char *next;          /* the first item that was never sent */
    size_t unsent, left; /* so many were never; and so many are not sent now */
    struct list rests;   /* of futures: what their batches had left */
    size_t length, most; /* of the next batch; of any */
    int64_t time, items; /* that the last few took, and how many they had */
    size_t under_way, room;
};

/* Up to `n` of the rest that is oldest, or of what was never sent; how many. */
static size_t take_items(struct map *m, size_t n, char **ret_items) {
    size_t size = m->task->size;
    if (list_empty(&m->rests)) {
        *ret_items = m->next;
        n = n < m->unsent ? n : m->unsent;
        m->next += n * size;
        m->unsent -= n;
        return n;
    }
    trine_future *f = container_of(m->rests.next, struct trine_future, in_queue);
    size_t done = future_batch_done(f), rest = f->in.len / size - done;
    *ret_items = (char *)f->in.ptr + done * size;
    future_note_batch_done(f, done + (n < rest ? n : rest));
    if (n < rest)
        return n;
    list_remove(&f->in_queue);
    trine_future_drop(f);
    return rest;
}

/* False: there is no memory, and so no scope any more. */
static bool send_next(struct map *m) {
    size_t share = m->left / (LEFT_A_WORKER * m->pool->workers_wanted);
    size_t n = m->length < share ? m->length : share ? share : 1;
    char *items;
    n = take_items(m, n, &items);
    m->left -= n;
    m->under_way++;
    return task_start_batch(m->scope, &m->pool->base, m->task, items, n, m->site) != NULL;
}

static void adapt(struct map *m, size_t sent, size_t done, int64_t took) {
    m->time = m->time / 2 + took;
    m->items = m->items / 2 + (int64_t)done;
    size_t length = m->time > 0 ? (size_t)(m->items * BATCH_TIME / m->time) : m->most;
    if (length > GROWTH * sent)
        length = GROWTH * sent;
    m->length = length < 1 ? 1 : length < m->most ? length : m->most;
}

static void take_back(struct map *m, trine_future *f) {
    size_t n = f->in.len / m->task->size, done = future_batch_done(f);
    m->under_way--;
    adapt(m, n, done, f->status);
    m->left += n - done;
    if (done < n)
        list_push(&m->rests, &f->in_queue);
    else
        trine_future_drop(f);
}

/* Until all are done, or the scope ends. */
static void run(struct map *m) {
    while (m->left > 0 || m->under_way > 0) {
        trine_future *f;
        while (m->left > 0 && m->under_way < m->room)
            if (!send_next(m))
                return;
        if (trine_next_done(m->scope, &f) <= 0 || f->status < 0)
            return;
        take_back(m, f);
    }
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
                    .unsent = n,
                    .left = n,
                    .length = 1,
                    .room = (size_t)AREAS * p->workers_wanted};
    if (suits(p, t, n)) {
        list_init(&m.rests);
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
