/* map.c - trine_map_from: slots, each with an item and its task's future. In order the used ones
 * are a window that moves round; as completed any slot is used again. Rejected: a task a window of
 * items (the slowest of each would hold up all). */
#include <trine/parallel.h>

#include "base/fault.h"
#include "base/panic.h"
#include "core/strand.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { WINDOW_DEFAULT = 64, WINDOW_MOST = 1 << 16, ALIGNMENT = 64 };

struct window {
    trine_scope *scope;
    trine_executor *on;
    const trine_task *task;
    const trine_map_opts *opts;
    const char *site;
    size_t room, stride, count; /* slots; their size in bytes; how many are used */
    size_t first;               /* in order: the oldest */
    char *items;
    trine_future **futures; /* NULL: the slot is free */
    bool more;              /* `next` may have more */
};

static void *item(const struct window *w, size_t slot) {
    return w->items + slot * w->stride;
}

/* In order that is the next one; as completed there may be used ones before it. */
static size_t free_slot(const struct window *w) {
    size_t slot = (w->first + w->count) % w->room;
    while (w->futures[slot])
        slot = (slot + 1) % w->room;
    return slot;
}

/* Starts as many as there is room for: 0, or the error of `next`. */
static int fill(struct window *w) {
    while (w->more && w->count < w->room) {
        size_t slot = free_slot(w);
        memset(item(w, slot), 0, w->task->size);
        int r = w->opts->next(w->opts->arg, item(w, slot));
        w->more = r > 0;
        if (r <= 0)
            return r;
        w->futures[slot] = trine_start_task(w->scope, w->on, w->task, item(w, slot), w->site);
        w->count++;
    }
    return 0;
}

/* The slot of a task that is done, the oldest or any; or why there was no waiting for it. */
static int await_one(struct window *w, size_t *ret_slot) {
    *ret_slot = w->first;
    if (!w->opts->as_completed)
        return trine_await(w->futures[w->first], NULL);
    trine_future *done;
    int r = trine_next_done(w->scope, &done);
    while (r > 0 &&
           w->futures[*ret_slot] != done) /* there is one: all that were started are here */
        *ret_slot = (*ret_slot + 1) % w->room;
    return r;
}

static int hand_over(struct window *w, size_t slot) {
    trine_future *f = w->futures[slot];
    int status = trine_status(f);
    trine_future_drop(f);
    w->futures[slot] = NULL;
    w->first = (w->first + 1) % w->room;
    w->count--;
    return w->opts->done ? w->opts->done(w->opts->arg, item(w, slot), status) : status;
}

static int run(struct window *w) {
    for (;;) {
        int r = fill(w);
        if (r < 0 || !w->count)
            return r;
        size_t slot;
        r = await_one(w, &slot);
        if (r >= 0) /* it may be done because all ends */
            r = strand_reason(strand_self());
        if (r >= 0)
            r = hand_over(w, slot);
        if (r < 0)
            return r;
    }
}

int trine_map_from_task(trine_executor *on, const trine_task *t, const trine_map_opts *opts,
                        const char *site) {
    REQUIRE(opts && opts->size == sizeof(*opts), "trine_map_opts.size at %s: set it to sizeof",
            site);
    REQUIRE(opts->next && opts->in_flight <= WINDOW_MOST,
            "trine_map_from at %s wants `next`, and at most %d in flight", site, WINDOW_MOST);
    struct window w = {.on = on, .task = t, .opts = opts, .site = site, .more = true};
    w.room = opts->in_flight ? opts->in_flight : WINDOW_DEFAULT;
    w.stride = (t->size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    w.items = FAULT(aligned_alloc(ALIGNMENT, w.room * w.stride), NULL, ENOMEM);
    w.futures = FAULT(calloc(w.room, sizeof(w.futures[0])), NULL, ENOMEM);
    int r = -ENOMEM;
    if (w.items && w.futures) {
        const trine_scope_opts collect = {.size = sizeof(collect), .policy = TRINE_COLLECT};
        trine_scope memory;
        w.scope = trine_scope_open(&memory, &collect, site);
        r = run(&w);
        trine_scope_close(&w.scope); /* ends what is in flight after an error */
    }
    free(w.items);
    free(w.futures);
    return r < 0 ? r : 0;
}
