/* condition.c - waits with a mutex given back. Who was signalled has its wake-up, whatever comes
 * with it; who is cancelled before leaves the queue, and the signal finds the next one. Taking the
 * mutex again is a drain: the caller holds it however the wait ended.
 * Lock order: the condition's lock, then the mutex's own. */
#include "base/panic.h"
#include "core/mutex.h"
#include "core/sync.h"

struct condition {
    struct sync sync;
};
_Static_assert(sizeof(struct condition) <= sizeof(trine_condition), "it must fit");

static struct condition *inside(trine_condition *c) {
    return (struct condition *)c;
}

int trine_condition_wait(trine_condition *public, trine_mutex *m) {
    struct condition *c = inside(public);
    struct strand *self;
    int r = strand_enter_at_once(&self);
    if (r < 0)
        return r;
    REQUIRE(mutex_is_held(m, self), "trine_condition_wait without its mutex: lock it before");
    struct waiter w = {0};
    sync_lock(&c->sync);
    waitq_add(&c->sync.waiters, &w, self, &c->sync.lock);
    sync_unlock(&c->sync);
    trine_mutex_unlock(m); /* a signal may come before we park: then it is kept */
    r = waitq_park(&w, "condition");
    mutex_lock_drain(m, self);
    return r;
}

void trine_condition_signal(trine_condition *public) {
    struct condition *c = inside(public);
    sync_lock(&c->sync);
    struct waiter *w = waitq_pop(&c->sync.waiters);
    sync_unlock(&c->sync);
    if (w)
        waitq_wake(w, 0);
}

void trine_condition_broadcast(trine_condition *public) {
    struct condition *c = inside(public);
    struct taken taken = {0};
    sync_lock(&c->sync);
    taken_add_all(&taken, &c->sync.waiters);
    sync_unlock(&c->sync);
    taken_wake(&taken, 0);
}

void trine_condition_stats(trine_condition *public, trine_sync_stats *ret_stats) {
    struct condition *c = inside(public);
    sync_lock(&c->sync);
    *ret_stats = (trine_sync_stats){.waiters = sync_count(&c->sync)};
    sync_unlock(&c->sync);
}
