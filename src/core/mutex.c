/* mutex.c - a mutex for coroutines and threads.
 *
 * `state` says whether it is held and whether somebody may be waiting; without waiters, taking it
 * and giving it back are a compare-and-swap each. Who gives it back while others wait takes the
 * first of them out of the queue. One of the same loop, or one that has waited for half a
 * millisecond, is handed the mutex and owns it when it wakes. Any other is only told to try: a
 * thread that is awake may be quicker, since waking another CPU takes longer than most locks are
 * held. Who was told to try and fails waits again, in its old place of the queue.
 *
 * Invariants: WAITED is set under the lock alone, and is set while the queue is not empty or one is
 * on its way to try, who is older than all that wait. While it is held, nobody but the holder
 * clears HELD. Who has been told to try tries before it minds a cancellation: either it has the
 * mutex, or somebody holds it, who will wake the next one. Rejected: handing over always (every
 * contended lock would cost the wake-up of a thread). */
#include "core/mutex.h"

#include "base/panic.h"
#include "core/sync.h"

#include <errno.h>

enum { HELD = 1, WAITED = 2 };
enum { HANDED = 0, TRY = 1 };
static const int64_t PATIENCE = TRINE_US(500);

struct mutex {
    atomic_uint state;
    unsigned tickets; /* given out, under the lock */
    struct sync sync;
    struct mutex_waiter *told;            /* to try, and on its way; under the lock */
    _Atomic(const struct strand *) owner; /* compared only: it may be gone */
    _Atomic(const char *) owner_name;
};
_Static_assert(sizeof(struct mutex) <= sizeof(trine_mutex), "it must fit");

struct mutex_waiter {
    struct waiter waiter;
    int64_t since;
    unsigned ticket; /* the order of coming */
};

static struct mutex *inside(trine_mutex *m) {
    return (struct mutex *)m;
}

static void own(struct mutex *m, const struct strand *who) {
    atomic_store_explicit(&m->owner, who, memory_order_relaxed);
    atomic_store_explicit(&m->owner_name, sync_name(who), memory_order_relaxed);
}

static bool take(struct mutex *m, const struct strand *self) {
    unsigned free = 0;
    if (!atomic_compare_exchange_strong_explicit(&m->state, &free, HELD, memory_order_acquire,
                                                 memory_order_relaxed))
        return false;
    own(m, self);
    return true;
}

static struct mutex_waiter *waiter_of(struct list *node) {
    return container_of(node, struct mutex_waiter, waiter.node);
}

/* Under the lock: does a strand of the same loop wait that came earlier? It is not overtaken. */
static bool is_behind(const struct mutex *m, const struct mutex_waiter *w, const struct loop *l) {
    if (m->told && m->told->waiter.strand->loop == l)
        return true;
    LIST_EACH(node, &m->sync.waiters) {
        const struct mutex_waiter *other = waiter_of(node);
        if ((int)(other->ticket - w->ticket) < 0 && other->waiter.strand->loop == l)
            return true;
    }
    return false;
}

/* Under the lock: into the queue, in order of coming. */
static void queue_up(struct mutex *m, struct mutex_waiter *w, struct strand *self) {
    w->waiter = (struct waiter){0};
    waitq_add(&m->sync.waiters, &w->waiter, self, &m->sync.lock);
    LIST_EACH(node, &m->sync.waiters) {
        if ((int)(waiter_of(node)->ticket - w->ticket) <= 0)
            continue;
        list_remove(&w->waiter.node); /* before the first that came later */
        list_push(node, &w->waiter.node);
        break;
    }
}

/* Under the lock: takes it if it is free, or says that somebody will be waiting. */
static bool take_or_wait(struct mutex *m, bool may_take) {
    unsigned state = atomic_load_explicit(&m->state, memory_order_relaxed);
    for (;;) {
        bool takes = !(state & HELD) && may_take;
        unsigned next = state | (takes ? HELD : WAITED);
        if (atomic_compare_exchange_weak_explicit(&m->state, &state, next, memory_order_acquire,
                                                  memory_order_relaxed))
            return takes;
    }
}

static int lock_slowly(struct mutex *m, struct strand *self, bool drain) {
    static const struct wait_kind draining = {.name = "mutex, after a condition"};
    REQUIRE(atomic_load_explicit(&m->owner, memory_order_relaxed) != self,
            "%s locks a mutex that it holds already", sync_name(self));
    struct mutex_waiter w = {.since = loop_read_clock(self->loop)};
    for (bool told = false;; told = true) {
        sync_lock(&m->sync);
        if (told)
            m->told = NULL;
        else
            w.ticket = ++m->tickets;
        if (take_or_wait(m, !is_behind(m, &w, self->loop))) {
            own(m, self);
            sync_unlock(&m->sync);
            return 0;
        }
        int reason = told && !drain ? strand_reason_here(self) : 0;
        if (!reason)
            queue_up(m, &w, self);
        sync_unlock(&m->sync);
        if (reason)
            return reason; /* somebody holds it, and will see to the next */
        int r = drain ? strand_park(self, &draining, &w.waiter) : waitq_park(&w.waiter, "mutex");
        if (r != TRY)
            return r;
    }
}

int trine_mutex_lock(trine_mutex *public) {
    struct mutex *m = inside(public);
    struct strand *self;
    int r = strand_enter_here(&self);
    if (r < 0 || take(m, self))
        return r;
    return lock_slowly(m, self, false);
}

int trine_mutex_try_lock(trine_mutex *public) {
    struct strand *self = loop_here()->current;
    REQUIRE(self, "a mutex was taken in a callback on the loop's own stack");
    return take(inside(public), self) ? 0 : -EBUSY;
}

void mutex_lock_drain(trine_mutex *public, struct strand *self) {
    if (!take(inside(public), self))
        (void)lock_slowly(inside(public), self, true);
}

bool mutex_is_held(trine_mutex *public, const struct strand *self) {
    return atomic_load_explicit(&inside(public)->owner, memory_order_relaxed) == self;
}

/* Under the lock: how the next one gets the mutex. */
static int way_of(const struct mutex_waiter *next, const struct strand *self) {
    bool neighbour = next->waiter.strand->loop == self->loop;
    return neighbour || loop_read_clock(self->loop) - next->since >= PATIENCE ? HANDED : TRY;
}

/* Somebody may be waiting. While one is on its way to try, nobody else is woken. */
static void unlock_slowly(struct mutex *m, struct strand *self) {
    sync_lock(&m->sync);
    struct waiter *next = m->told ? NULL : waitq_pop(&m->sync.waiters);
    struct mutex_waiter *w = next ? container_of(next, struct mutex_waiter, waiter) : NULL;
    int way = w ? way_of(w, self) : TRY;
    if (w && way == TRY)
        m->told = w;
    unsigned state = m->told || !list_empty(&m->sync.waiters) ? WAITED : 0;
    if (w && way == HANDED) {
        own(m, next->strand);
        state |= HELD;
    }
    atomic_store_explicit(&m->state, state, memory_order_release);
    sync_unlock(&m->sync);
    if (next)
        waitq_wake(next, way);
}

void trine_mutex_unlock(trine_mutex *public) {
    struct mutex *m = inside(public);
    struct strand *self = loop_here()->current;
    REQUIRE(self && atomic_load_explicit(&m->owner, memory_order_relaxed) == self,
            "a mutex was unlocked by %s, which does not hold it",
            self ? sync_name(self) : "a callback");
    own(m, NULL);
    unsigned held = HELD;
    if (!atomic_compare_exchange_strong_explicit(&m->state, &held, 0, memory_order_release,
                                                 memory_order_relaxed))
        unlock_slowly(m, self);
}

void trine_mutex_stats(trine_mutex *public, trine_sync_stats *ret_stats) {
    struct mutex *m = inside(public);
    sync_lock(&m->sync);
    *ret_stats = (trine_sync_stats){.waiters = sync_count(&m->sync),
                                    .held = (atomic_load(&m->state) & HELD) != 0,
                                    .owner = atomic_load(&m->owner_name)};
    sync_unlock(&m->sync);
}
