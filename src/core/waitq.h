/* waitq.h - strands of any thread that wait for one thing, first in, first out. The thing's own
 * lock guards the queue: take it, test your condition, waitq_add, release it, waitq_park. The
 * waker, under the same lock, takes one out with waitq_pop and ends its wait by waitq_wake after
 * (or before) releasing it. Cancellation: who is still in the queue leaves it with the reason; who
 * was taken out already has completed, its wake-up is under way and wins. */
#ifndef TRINE_CORE_WAITQ_H
#define TRINE_CORE_WAITQ_H

#include "core/strand.h"

#include <pthread.h>

/* On the waiter's stack for the time of the wait. */
struct waiter {
    struct list node; /* in the queue; detached once taken out */
    struct strand *strand;
    pthread_mutex_t *lock; /* that guards the queue */
    struct message wake;   /* for a wake-up from another thread */
    int status;
    void *item; /* for the object's own use: where a value goes to or comes from */
};

/* Under the lock. */
void waitq_add(struct list *queue, struct waiter *w, struct strand *self, pthread_mutex_t *lock);

/* Without the lock: sleeps until waitq_wake, gives its status; or the reason of a cancellation. */
int waitq_park(struct waiter *w, const char *what_for);

/* Under the lock: the first waiter, NULL if there is none. waitq_wake must follow. */
struct waiter *waitq_pop(struct list *queue);

/* Any thread: ends the wait with `status`. *w is gone after this call. */
void waitq_wake(struct waiter *w, int status);

#endif
