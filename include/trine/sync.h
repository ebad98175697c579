/* trine/sync.h - mutex, condition, semaphore, event, barrier, readers-writer lock, once, capacity
 * limiter. One type each for coroutines and plain threads: who has to wait suspends a coroutine or
 * blocks a thread. See trine.h for [S] and errors.
 *
 * All zero is ready to use where a type has no init call: static, or `= {0}`. The objects must not
 * move while they are used, and own nothing that has to be freed. Waiters are served in the order
 * of their coming; between threads the mutex may be taken by who comes just then, but never for
 * longer than half a millisecond past somebody who waits. A waiter that is cancelled loses no
 * wake-up: it goes to the next one, or the wait had succeeded already. Nothing here allocates.
 * Processes share trine/shared.h and trine/queue.h, not these. */
#ifndef TRINE_SYNC_H
#define TRINE_SYNC_H

#include <trine.h>
#ifdef __cplusplus
extern "C" {
#endif

/* What dumps show of an object; a hint, since others go on. */
typedef struct trine_sync_stats {
    size_t waiters;    /* who waits for it */
    size_t held;       /* locks held, permits or tokens taken, parties that have come */
    const char *owner; /* task that holds a mutex or writes; "thread" for a plain thread's; NULL */
} trine_sync_stats;

/* --- mutex ---------------------------------------------------------------------------------- */

typedef struct trine_mutex {
    uint64_t priv_[12];
} trine_mutex;

/* Takes the mutex. Taking one that the caller holds aborts. [S] any thread. */
TRINE_MUST_USE_ int trine_mutex_lock(trine_mutex *m);

/* Takes it if that needs no wait: 0; else -EBUSY. Any thread; not in callbacks. */
TRINE_MUST_USE_ int trine_mutex_try_lock(trine_mutex *m);

/* Gives it back; aborts when the caller does not hold it. Never waits. */
TRINE_PUBLIC_ void trine_mutex_unlock(trine_mutex *m);
TRINE_PUBLIC_ void trine_mutex_stats(trine_mutex *m, trine_sync_stats *ret_stats);

/* --- condition ------------------------------------------------------------------------------ */

typedef struct trine_condition {
    uint64_t priv_[8];
} trine_condition;

/* Gives the mutex back, waits for a signal, and takes the mutex again, also when it returns an
 * error: it always holds it. Test what you wait for in a loop. [S] any thread. */
TRINE_MUST_USE_ int trine_condition_wait(trine_condition *c, trine_mutex *m);

/* End the wait of one, or of all; nothing when nobody waits. Never wait; the mutex need not be
 * held. */
TRINE_PUBLIC_ void trine_condition_signal(trine_condition *c);
TRINE_PUBLIC_ void trine_condition_broadcast(trine_condition *c);
TRINE_PUBLIC_ void trine_condition_stats(trine_condition *c, trine_sync_stats *ret_stats);

/* --- semaphore ------------------------------------------------------------------------------ */

typedef struct trine_semaphore {
    uint64_t priv_[10];
} trine_semaphore;

/* `permits` to begin with; `most` at any time, 0: no bound. */
TRINE_PUBLIC_ void trine_semaphore_init(trine_semaphore *s, unsigned permits, unsigned most);

/* Takes a permit. [S] any thread. */
TRINE_MUST_USE_ int trine_semaphore_acquire(trine_semaphore *s);

/* Takes one if that needs no wait: 0; else -EBUSY. */
TRINE_MUST_USE_ int trine_semaphore_try_acquire(trine_semaphore *s);

/* Gives a permit, to who waits longest; more than `most` aborts. Never waits; any thread. */
TRINE_PUBLIC_ void trine_semaphore_release(trine_semaphore *s);
TRINE_PUBLIC_ void trine_semaphore_stats(trine_semaphore *s, trine_sync_stats *ret_stats);

/* --- capacity limiter ----------------------------------------------------------------------- */

typedef struct trine_limiter {
    uint64_t priv_[10];
} trine_limiter;

/* `tokens` >= 1 may be taken at a time. set changes that while it is used: more lets waiters in,
 * fewer takes effect as tokens come back. Never wait; any thread. */
TRINE_PUBLIC_ void trine_limiter_init(trine_limiter *l, unsigned tokens);
TRINE_PUBLIC_ void trine_limiter_set(trine_limiter *l, unsigned tokens);

/* Takes a token; [S] any thread. release gives one back, and aborts when none is out. */
TRINE_MUST_USE_ int trine_limiter_acquire(trine_limiter *l);
TRINE_PUBLIC_ void trine_limiter_release(trine_limiter *l);
TRINE_PUBLIC_ void trine_limiter_stats(trine_limiter *l, trine_sync_stats *ret_stats);

/* --- event ---------------------------------------------------------------------------------- */

typedef struct trine_event {
    uint64_t priv_[9];
} trine_event;

/* Waits until it is set. [S] any thread. */
TRINE_MUST_USE_ int trine_event_wait(trine_event *e);

/* Set it, which wakes all who wait; clear it. Never wait; any thread, callbacks too. */
TRINE_PUBLIC_ void trine_event_set(trine_event *e);
TRINE_PUBLIC_ void trine_event_clear(trine_event *e);
TRINE_PUBLIC_ bool trine_event_is_set(trine_event *e);
TRINE_PUBLIC_ void trine_event_stats(trine_event *e, trine_sync_stats *ret_stats);

/* --- barrier -------------------------------------------------------------------------------- */

typedef struct trine_barrier {
    uint64_t priv_[10];
} trine_barrier;

TRINE_PUBLIC_ void trine_barrier_init(trine_barrier *b, unsigned parties);

/* Waits until `parties` have come, and lets them all go: 1 for the last to come, 0 for the others;
 * then it begins again. Who is cancelled while it waits has not come. -ECONNABORTED: it was broken.
 * [S] any thread. */
TRINE_MUST_USE_ int trine_barrier_wait(trine_barrier *b);

/* Ends all waits, now and later, with -ECONNABORTED, until it is initialised again. Never waits. */
TRINE_PUBLIC_ void trine_barrier_break(trine_barrier *b);
TRINE_PUBLIC_ void trine_barrier_stats(trine_barrier *b, trine_sync_stats *ret_stats);

/* --- readers-writer lock -------------------------------------------------------------------- */

typedef struct trine_rwlock {
    uint64_t priv_[10];
} trine_rwlock;

/* Take it with other readers, or alone. In order of coming: readers wait behind a writer that
 * waits, so neither starves. [S] any thread. */
TRINE_MUST_USE_ int trine_rwlock_read(trine_rwlock *l);
TRINE_MUST_USE_ int trine_rwlock_write(trine_rwlock *l);

/* Gives it back, whichever way it was taken; aborts when it is not held. Never waits. */
TRINE_PUBLIC_ void trine_rwlock_unlock(trine_rwlock *l);
TRINE_PUBLIC_ void trine_rwlock_stats(trine_rwlock *l, trine_sync_stats *ret_stats);

/* --- once ----------------------------------------------------------------------------------- */

typedef struct trine_once {
    uint64_t priv_[10];
} trine_once;

/* Runs fn(arg) if that has not succeeded yet, and waits while another one runs it. When fn gives an
 * error or its caller is cancelled in it, that caller gets it, and the next one tries. 0 when it
 * has succeeded, now or before. [S] any thread. */
TRINE_MUST_USE_ int trine_once_run(trine_once *o, int (*fn)(void *arg), void *arg);

/* `held` is 1 when it has succeeded, `owner` who runs it now. */
TRINE_PUBLIC_ void trine_once_stats(trine_once *o, trine_sync_stats *ret_stats);

/* --- channels (of trine.h) ------------------------------------------------------------------ */

/* Who waits in a channel, to send or to receive, and, in `held`, the items in it. */
TRINE_PUBLIC_ void trine_channel_stats(trine_channel *c, trine_sync_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
