/* once.c - runs a function until it has succeeded once. One runs it; the others wait, and when it
 * failed the first of them tries next: it is woken with TRY and has the turn already. */
#include "core/sync.h"

struct once {
    struct sync sync;
    atomic_bool done;
    bool running;
    const char *runner; /* its task, while one runs it */
};
_Static_assert(sizeof(struct once) <= sizeof(trine_once), "it must fit");

enum { DONE, TRY };

/* Waits for the turn: TRY, DONE when it is not needed any more, or the reason of a cancellation. */
static int take_turn(struct once *o, struct strand *self) {
    sync_lock(&o->sync);
    if (!atomic_load_explicit(&o->done, memory_order_relaxed) && o->running) {
        struct waiter w = {0};
        return sync_wait(&o->sync, &w, self, "once");
    }
    int turn = atomic_load_explicit(&o->done, memory_order_relaxed) ? DONE : TRY;
    o->running = turn == TRY;
    sync_unlock(&o->sync);
    return turn;
}

static void end_turn(struct once *o, bool succeeded) {
    struct taken taken = {0};
    struct waiter *next = NULL;
    sync_lock(&o->sync);
    if (succeeded) {
        atomic_store_explicit(&o->done, true, memory_order_release);
        taken_add_all(&taken, &o->sync.waiters);
    } else {
        next = waitq_pop(&o->sync.waiters);
    }
    o->running = next != NULL;
    o->runner = NULL;
    sync_unlock(&o->sync);
    taken_wake(&taken, DONE);
    if (next)
        waitq_wake(next, TRY);
}

int trine_once_run(trine_once *public, int (*fn)(void *arg), void *arg) {
    struct once *o = (struct once *)public;
    if (atomic_load_explicit(&o->done, memory_order_acquire))
        return 0;
    struct strand *self;
    int r = strand_enter_here(&self);
    if (r < 0)
        return r;
    r = take_turn(o, self);
    if (r != TRY)
        return r;
    sync_lock(&o->sync);
    o->runner = sync_name(self);
    sync_unlock(&o->sync);
    r = fn(arg);
    end_turn(o, r >= 0);
    return r < 0 ? r : 0;
}

void trine_once_stats(trine_once *public, trine_sync_stats *ret_stats) {
    struct once *o = (struct once *)public;
    sync_lock(&o->sync);
    *ret_stats = (trine_sync_stats){.waiters = sync_count(&o->sync),
                                    .held = atomic_load(&o->done),
                                    .owner = o->runner};
    sync_unlock(&o->sync);
}
