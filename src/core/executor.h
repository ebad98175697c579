/* executor.h - the seam between the core and the places where tasks run. An executor is handed
 * futures (task records) and gives each back once, by future_done_remote() from any thread.
 * Layers above the executors reach blocking threads through blocking_call(). */
#ifndef TRINE_CORE_EXECUTOR_H
#define TRINE_CORE_EXECUTOR_H

#include <trine.h>

#include "core/future.h"
#include "core/strand.h"

#include <stdatomic.h>

struct executor_kind {
    const char *name;
    bool
        other_memory; /* its tasks see copies of their arguments, and nothing that these point to */
    /* Takes the future to run it: 0; or a negative errno, it is then not taken. Called on the
     * scope's thread. In a strand it waits [S] while the queue is full; on the loop's own stack
     * (strand_self() is NULL: a scope's limit lets the next task go) it takes the future over its
     * bound, which the limit keeps small. */
    int (*submit)(struct trine_executor *, struct trine_future *);
    /* The future's owner wants it to end (f->cancel is set): drop it if it has not begun, else tell
     * the one who runs it. Never waits; the future comes back by future_done_remote as always. On
     * the owner's thread; the future has not come back there yet. */
    void (*cancel)(struct trine_executor *, struct trine_future *);
    /* The same, on the way to many: only drops it if it has not begun, before `cancel` is said of
     * any older one: true. NULL: it never does. */
    bool (*drop)(struct trine_executor *, struct trine_future *);
    /* Takes a task that nobody has begun and runs it on the caller's strand, a thread that waits
     * for it and is the task's owner: true, and what it returned. NULL with no `family`. */
    bool (*run_here)(struct trine_executor *, struct trine_future *, struct strand *self,
                     int *ret_status);
    /* [S] trine_map_all_task in its own way; NULL: a task an item. */
    int (*map_all)(struct trine_executor *, const trine_task *t, void *args, size_t n,
                   const char *site);
    /* [S] Drains; its caller lets the executor go then. */
    void (*close)(struct trine_executor *);
    /* Frees its memory: closed, and nobody keeps it any more. From any thread. */
    void (*free)(struct trine_executor *);
};

/* Every executor begins with this. */
struct trine_executor {
    const struct executor_kind *kind;
    struct trine_executor
        *family; /* whose threads run its tasks when they wait; NULL: nobody does */
    bool help;   /* every thread that waits does */
    /* Who keeps its memory: itself until it is closed, and each scope that has started a task in
     * it: what is done there may be noticed only after that. Of a family: its head's. */
    atomic_uint refs;
};

static inline atomic_uint *executor_refs(struct trine_executor *e) {
    return e->family ? &e->family->refs : &e->refs;
}

static inline void executor_keep(struct trine_executor *e) {
    atomic_fetch_add_explicit(executor_refs(e), 1, memory_order_relaxed);
}

static inline void executor_let_go(struct trine_executor *e) {
    if (atomic_fetch_sub(executor_refs(e), 1) == 1)
        e->kind->free(e);
}

/* Lanes keep kinds of blocking work apart: hung look-ups cannot stop file work. */
enum lane { LANE_DNS, LANE_FILES, LANE_USER, LANE_COUNT };

/* trine_blocking_task on a given lane. [S] */
int blocking_call(enum lane lane, const trine_task *task, void *arg);

#endif
