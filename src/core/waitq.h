/* waitq.h - strands of any thread that wait for one thing, first in, first out. The thing's own
 * lock guards the queue: take it, test your condition, waitq_add, release it, waitq_park. The
 * waker, under the same lock, takes one out with waitq_pop and ends its wait by waitq_wake after
 * (or before) releasing it. Cancellation: who is still in the queue leaves it with the reason; who
 * was taken out already has completed, its wake-up is under way and wins. */
#ifndef TRINE_CORE_WAITQ_H
#define TRINE_CORE_WAITQ_H

#include "core/strand.h"

#include <pthread.h>
#include <stdatomic.h>

/* A strand that waits in several queues at once (select.c): who claims it first ends its wait. */
struct selection {
    atomic_int claimed; /* 0: nobody yet; else 1 + the index of the waiter that was taken */
    bool arrived;       /* the wake-up of who claimed it has come; the strand's own thread's */
};

/* On the waiter's stack for the time of the wait. */
struct waiter {
    struct list node; /* in the queue; detached once taken out */
    struct strand *strand;
    pthread_mutex_t *lock; /* that guards the queue */
    struct message wake;   /* for a wake-up from another thread */
    int status;
    int index;                   /* among those of its selection */
    struct waiter *next;         /* of a struct taken */
    struct selection *selection; /* NULL: it waits here alone */
    void *item;                  /* for the object's own use: where a value goes to or comes from */
};

/* Under the lock. */
static inline void waitq_add(struct list *queue, struct waiter *w, struct strand *self,
                             pthread_mutex_t *lock) {
    w->strand = self;
    w->lock = lock;
    list_push(queue, &w->node);
}

/* Without the lock: sleeps until waitq_wake, gives its status; or the reason of a cancellation. */
int waitq_park(struct waiter *w, const char *what_for);

/* Claims a selection for one of its waiters, or for its own strand (index -1): true for the first.
 */
bool selection_claim(struct selection *s, int index);

/* Under the lock: the first waiter that nobody else has claimed, NULL if there is none. waitq_wake
 * must follow. */
static inline struct waiter *waitq_pop(struct list *queue) {
    for (struct list *node; (node = list_pop(queue));) {
        struct waiter *w = container_of(node, struct waiter, node);
        if (__builtin_expect(!w->selection, 1) || selection_claim(w->selection, w->index))
            return w;
    }
    return NULL;
}

/* Any thread: ends the wait with `status`. *w is gone after this call. */
void waitq_wake(struct waiter *w, int status);

/* Waiters that were taken out together under the lock, to be woken after it. Not a list of their
 * nodes: a node that is in any list tells a cancellation that nobody has taken the waiter yet. */
struct taken {
    struct waiter *first, *last;
};

static inline void taken_add(struct taken *t, struct waiter *w) {
    w->next = NULL;
    if (t->first)
        t->last->next = w;
    else
        t->first = w;
    t->last = w;
}

/* Under the lock: all of a queue. */
void taken_add_all(struct taken *t, struct list *queue);

/* Ends their waits, in the order in which they were added. */
void taken_wake(struct taken *t, int status);

#endif
