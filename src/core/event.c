/* event.c - a flag to wait for. Invariant: nobody waits while it is set. */
#include "core/sync.h"

struct event {
    struct sync sync;
    atomic_bool set; /* written under the lock */
};
_Static_assert(sizeof(struct event) <= sizeof(trine_event), "it must fit");

static struct event *inside(trine_event *e) {
    return (struct event *)e;
}

int trine_event_wait(trine_event *public) {
    struct event *e = inside(public);
    struct strand *self;
    int r = strand_enter_here(&self);
    if (r < 0 || atomic_load_explicit(&e->set, memory_order_acquire))
        return r;
    sync_lock(&e->sync);
    struct waiter w = {0};
    if (!atomic_load_explicit(&e->set, memory_order_relaxed))
        return sync_wait(&e->sync, &w, self, "event");
    sync_unlock(&e->sync);
    return 0;
}

void trine_event_set(trine_event *public) {
    struct event *e = inside(public);
    struct taken taken = {0};
    sync_lock(&e->sync);
    atomic_store_explicit(&e->set, true, memory_order_release);
    taken_add_all(&taken, &e->sync.waiters);
    sync_unlock(&e->sync);
    taken_wake(&taken, 0);
}

void trine_event_clear(trine_event *public) {
    struct event *e = inside(public);
    sync_lock(&e->sync);
    atomic_store_explicit(&e->set, false, memory_order_relaxed);
    sync_unlock(&e->sync);
}

bool trine_event_is_set(trine_event *public) {
    return atomic_load_explicit(&inside(public)->set, memory_order_acquire);
}

void trine_event_stats(trine_event *public, trine_sync_stats *ret_stats) {
    struct event *e = inside(public);
    sync_lock(&e->sync);
    *ret_stats = (trine_sync_stats){.waiters = sync_count(&e->sync), .held = e->set};
    sync_unlock(&e->sync);
}
