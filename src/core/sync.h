/* sync.h - what the objects of trine/sync.h share: a lock, and the queue of who waits. All zero is
 * an unused one; the queue is made at its first use. */
#ifndef TRINE_CORE_SYNC_H
#define TRINE_CORE_SYNC_H

#include <trine/sync.h>

#include "core/enter.h"
#include "core/waitq.h"

struct sync {
    pthread_mutex_t lock; /* all zero is PTHREAD_MUTEX_INITIALIZER in glibc and musl */
    struct list waiters;
};

static inline void sync_lock(struct sync *s) {
    pthread_mutex_lock(&s->lock);
    if (!s->waiters.next)
        list_init(&s->waiters);
}

static inline void sync_unlock(struct sync *s) {
    pthread_mutex_unlock(&s->lock);
}

/* Under the lock, which it drops: waits as the last of the queue. */
static inline int sync_wait(struct sync *s, struct waiter *w, struct strand *self,
                            const char *what_for) {
    waitq_add(&s->waiters, w, self, &s->lock);
    sync_unlock(s);
    return waitq_park(w, what_for);
}

/* Under the lock: how many wait. */
static inline size_t sync_count(const struct sync *s) {
    size_t n = 0;
    LIST_EACH(node, &s->waiters)
    n++;
    return n;
}

/* Who a strand is, for statistics. */
static inline const char *sync_name(const struct strand *s) {
    return !s ? NULL : s->task ? future_name(s->task) : "thread";
}

#endif
