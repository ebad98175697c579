/* shared_wait.c - see shared_wait.h. What can come to a sleeping process from another one is the
 * wake-up of a futex. A plain thread that nothing can cancel sleeps on it itself. For all other
 * strands of the process one thread a mapping, the ringer, sleeps on it, and wakes those that have
 * not seen the change by messages to their loops; they look at it again. It is started at
 * the first such wait and ends when the mapping is freed.
 *
 * Invariant, under the bell's lock: while the ringer sleeps on the futex with a value, no waiter
 * has seen another one, unless the futex has changed, which ends that sleep.
 * Lock order: the bell's lock alone.
 *
 * Rejected: an eventfd for each process and memory (descriptors to pass around for each pair, and a
 * dead process's must be found out); a call in a lane (blocking.c) for each waiting coroutine (a
 * thread each, and 32 getters of an empty queue stop all other such calls); one ringer for all
 * on futex_waitv (Linux 5.16, 128 words at the most, unknown to valgrind 3.19); io_uring's
 * futex wait (Linux 6.7) will replace the ringer where that is to be had. */
#include "exec/shared_wait.h"

#include "base/fault.h"
#include "core/waitq.h"
#include "exec/shared_head.h"

#include <errno.h>
#include <signal.h>

void bell_init(struct bell *b, struct shared_head *memory) {
    *b = (struct bell){.memory = memory, .patience = INT64_MAX};
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->work, NULL);
    list_init(&b->waiters);
}

void bell_done(struct bell *b) {
    pthread_mutex_lock(&b->lock);
    b->stop = true;
    pthread_cond_signal(&b->work);
    pthread_mutex_unlock(&b->lock);
    if (b->running) {
        shared_rouse(b->memory);
        pthread_join(b->thread, NULL);
    }
    pthread_cond_destroy(&b->work);
    pthread_mutex_destroy(&b->lock);
}

/* --- the ringer --- */

/* Under the lock: takes out one who has not seen `now`. */
static struct waiter *pop_stale(struct bell *b, unsigned now) {
    LIST_EACH(node, &b->waiters) {
        struct waiter *w = container_of(node, struct waiter, node);
        if (*(unsigned *)w->item != now) {
            list_remove(node);
            return w;
        }
    }
    return NULL;
}

/* Under the lock. */
static void wake_all(struct bell *b) {
    for (struct list *node; (node = list_pop(&b->waiters));)
        waitq_wake(container_of(node, struct waiter, node), 0);
}

static void *ring(void *arg) {
    struct bell *b = arg;
    pthread_mutex_lock(&b->lock);
    while (!b->stop) {
        if (list_empty(&b->waiters)) {
            pthread_cond_wait(&b->work, &b->lock);
            continue;
        }
        unsigned now = shared_changed(b->memory);
        for (struct waiter *w; (w = pop_stale(b, now));)
            waitq_wake(w, 0);
        if (list_empty(&b->waiters))
            continue;
        int64_t patience = b->patience;
        pthread_mutex_unlock(&b->lock);
        shared_sleep(b->memory, now, patience);
        pthread_mutex_lock(&b->lock);
        if (patience != INT64_MAX)
            wake_all(b);
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

/* Under the lock. */
static int start_ringer(struct bell *b) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = FAULT(pthread_create(&b->thread, NULL, ring, b), EAGAIN, EAGAIN);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    b->running = r == 0;
    return -r;
}

/* --- the waiter --- */

/* Messages come to a strand of a scope or a task only: cancellations, and for coroutines wake-ups
 * of the others on the loop. A task in a worker process is neither: the worker runs it as it is. */
static bool can_be_called_away(const struct strand *s) {
    return s->stack || s->scope || s->task;
}

int bell_wait(struct bell *b, struct strand *self, unsigned seen, int64_t patience,
              const char *what_for) {
    if (!can_be_called_away(self)) {
        shared_sleep(b->memory, seen, patience);
        return 0;
    }
    struct waiter w = {.item = &seen};
    int r = 0;
    pthread_mutex_lock(&b->lock);
    b->patience = patience;
    if (!b->running)
        r = start_ringer(b);
    bool wait = r == 0 && shared_changed(b->memory) == seen;
    if (wait) {
        waitq_add(&b->waiters, &w, self, &b->lock);
        pthread_cond_signal(&b->work);
    }
    pthread_mutex_unlock(&b->lock);
    return wait ? waitq_park(&w, what_for) : r;
}
