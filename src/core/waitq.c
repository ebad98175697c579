/* waitq.c - see waitq.h. A waiter is taken out of its queue exactly once, under the object's lock:
 * by the waker or by its own cancellation. That decides who ends the wait.
 * Rejected: a lock inside each waiter (two locks a wake-up). */
#include "core/waitq.h"

#include "core/enter.h"

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

bool selection_claim(struct selection *s, int index) {
    int nobody = 0;
    return atomic_compare_exchange_strong(&s->claimed, &nobody, index < 0 ? -1 : index + 1);
}

static void wake_arrived(struct message *m) {
    struct waiter *w = container_of(m, struct waiter, wake);
    waiter_end_here(w, w->status);
}

void waitq_wake(struct waiter *w, int status) {
    struct loop *home = w->strand->loop;
    if (home == loop_here()) {
        waiter_end_here(w, status);
        return;
    }
    w->status = status;
    w->wake.handle = wake_arrived;
    loop_post(home, &w->wake);
}

void taken_add_all(struct taken *t, struct list *queue) {
    for (struct waiter *w; (w = waitq_pop(queue));)
        taken_add(t, w);
}

void taken_wake(struct taken *t, int status) {
    for (struct waiter *w = t->first, *next; w; w = next) {
        next = w->next; /* *w is gone once it is awake */
        waitq_wake(w, status);
    }
}
