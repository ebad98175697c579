/* waitq.c - see waitq.h. A waiter is taken out of its queue exactly once, under the object's lock:
 * by the waker or by its own cancellation. That decides who ends the wait.
 * Rejected: a lock inside each waiter (two locks a wake-up). */
#include "core/waitq.h"

#include "core/loop.h"

void waitq_add(struct list *queue, struct waiter *w, struct strand *self, pthread_mutex_t *lock) {
    w->strand = self;
    w->lock = lock;
    list_push(queue, &w->node);
}

static void leave_queue(struct strand *s, int reason) {
    struct waiter *w = s->wait_arg;
    pthread_mutex_lock(w->lock);
    bool queued = !list_empty(&w->node);
    if (queued)
        list_remove(&w->node);
    pthread_mutex_unlock(w->lock);
    if (queued)
        strand_unpark(s, reason);
}

int waitq_park(struct waiter *w, const char *what_for) {
    struct wait_kind kind = {.name = what_for, .abort = leave_queue};
    return strand_park(w->strand, &kind, w);
}

struct waiter *waitq_pop(struct list *queue) {
    struct list *node = list_pop(queue);
    return node ? container_of(node, struct waiter, node) : NULL;
}

static void wake_arrived(struct message *m) {
    struct waiter *w = container_of(m, struct waiter, wake);
    strand_unpark(w->strand, w->status);
}

void waitq_wake(struct waiter *w, int status) {
    struct loop *home = w->strand->loop;
    w->status = status;
    if (home == loop_self()) {
        strand_unpark(w->strand, status);
        return;
    }
    w->wake.handle = wake_arrived;
    loop_post(home, &w->wake);
}
