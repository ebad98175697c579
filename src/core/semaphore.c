/* semaphore.c - permits. A released permit goes straight to who waits longest, so nobody overtakes;
 * a waiter that was given one has it, cancelled or not.
 *
 * Invariants, under the lock: permits > 0 only while nobody waits. `permits` is taken from without
 * the lock too, by compare-and-swap; it is added to under the lock alone. */
#include "base/panic.h"
#include "core/sync.h"

#include <errno.h>

struct semaphore {
    struct sync sync;
    atomic_uint permits;
    unsigned most;
    atomic_size_t taken; /* for statistics */
};
_Static_assert(sizeof(struct semaphore) <= sizeof(trine_semaphore), "it must fit");

static struct semaphore *inside(trine_semaphore *s) {
    return (struct semaphore *)s;
}

void trine_semaphore_init(trine_semaphore *public, unsigned permits, unsigned most) {
    REQUIRE(!most || permits <= most, "a semaphore of at most %u permits cannot begin with %u",
            most, permits);
    struct semaphore *s = inside(public);
    *s = (struct semaphore){.most = most};
    atomic_init(&s->permits, permits);
}

static bool take(struct semaphore *s) {
    unsigned permits = atomic_load_explicit(&s->permits, memory_order_relaxed);
    while (permits)
        if (atomic_compare_exchange_weak_explicit(&s->permits, &permits, permits - 1,
                                                  memory_order_acquire, memory_order_relaxed)) {
            atomic_fetch_add_explicit(&s->taken, 1, memory_order_relaxed);
            return true;
        }
    return false;
}

int trine_semaphore_acquire(trine_semaphore *public) {
    struct semaphore *s = inside(public);
    struct strand *self;
    int r = strand_enter_here(&self);
    if (r < 0 || take(s))
        return r;
    struct waiter w = {0};
    sync_lock(&s->sync);
    if (!take(s))
        return sync_wait(&s->sync, &w, self, "semaphore");
    sync_unlock(&s->sync);
    return 0;
}

int trine_semaphore_try_acquire(trine_semaphore *public) {
    return take(inside(public)) ? 0 : -EBUSY;
}

void trine_semaphore_release(trine_semaphore *public) {
    struct semaphore *s = inside(public);
    sync_lock(&s->sync);
    struct waiter *next = waitq_pop(&s->sync.waiters);
    if (!next) {
        unsigned permits = atomic_load_explicit(&s->permits, memory_order_relaxed);
        REQUIRE(!s->most || permits < s->most,
                "a semaphore of at most %u permits was given one more: release what was acquired",
                s->most);
        atomic_fetch_add_explicit(&s->permits, 1, memory_order_release);
        if (atomic_load_explicit(&s->taken, memory_order_relaxed))
            atomic_fetch_sub_explicit(&s->taken, 1, memory_order_relaxed);
    }
    sync_unlock(&s->sync);
    if (next)
        waitq_wake(next, 0);
}

void trine_semaphore_stats(trine_semaphore *public, trine_sync_stats *ret_stats) {
    struct semaphore *s = inside(public);
    sync_lock(&s->sync);
    *ret_stats = (trine_sync_stats){.waiters = sync_count(&s->sync), .held = s->taken};
    sync_unlock(&s->sync);
}
