/* home_lock.h - a lock that costs the thread which uses a thing first, its home, two plain stores
 * and a load, until another thread comes; from then on it is a mutex for both. Most channels never
 * leave their loop.
 *
 * The home marks itself busy and then looks at `shared`; a stranger sets `shared`, has the kernel
 * run a barrier on all threads (membarrier), and then looks at `busy`. So one of them sees the
 * other. The home's own barrier is the kernel's: it pays nothing.
 *
 * Rejected: an atomic exchange a lock (5 ns each, four an item); a channel that its maker declares
 * to be of one loop (it would be used from two some day). */
#ifndef TRINE_CORE_HOME_LOCK_H
#define TRINE_CORE_HOME_LOCK_H

#include "core/loop.h"

#include <pthread.h>

struct home_lock {
    _Atomic(struct loop *) home; /* who used it first */
    atomic_bool busy;            /* the home is inside, without the mutex */
    atomic_bool shared;          /* the mutex counts */
    pthread_mutex_t mutex;
};

void home_lock_init(struct home_lock *l);

/* Another mutex of the same kind, for beside it. */
void home_lock_mutex_init(pthread_mutex_t *mutex);

void home_lock_done(struct home_lock *l);

/* The rest of home_lock_take: for strangers, and for the first of all. */
bool home_lock_take_slowly(struct home_lock *l, struct loop *me);

/* Takes the lock if `me`, the caller's loop, is its home and no other thread has come yet. */
static inline bool home_lock_take_at_home(struct home_lock *l, const struct loop *me) {
    if (__builtin_expect(atomic_load_explicit(&l->home, memory_order_relaxed) != me, 0))
        return false;
    atomic_store_explicit(&l->busy, true, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    if (__builtin_expect(!atomic_load_explicit(&l->shared, memory_order_relaxed), 1))
        return true;
    atomic_store_explicit(&l->busy, false, memory_order_release);
    return false;
}

/* Takes the lock; what it gives back is for home_lock_drop. */
static inline bool home_lock_take(struct home_lock *l) {
    struct loop *me = loop_here();
    return home_lock_take_at_home(l, me) || home_lock_take_slowly(l, me);
}

static inline void home_lock_drop(struct home_lock *l, bool quick) {
    if (__builtin_expect(quick, 1))
        atomic_store_explicit(&l->busy, false, memory_order_release);
    else
        pthread_mutex_unlock(&l->mutex);
}

#endif
