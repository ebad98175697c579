/* notice.h - what tells another thread, or a callback, that a future is done. */
#ifndef TRINE_CORE_NOTICE_H
#define TRINE_CORE_NOTICE_H

#include <trine/task.h>

#include "core/future.h"

/* The inside of a trine_notice. `f` is touched on its own thread alone, all else on the thread that
 * asks, but for `waiter`, `queued`, and what an answer brings before it comes. */
struct notice {
    struct future_waiter waiter; /* in f->waiters; its strand is NULL */
    struct trine_future *f;
    struct loop *home, *asker;
    struct message ask, answer, withdraw, settle;
    void (*fn)(void *arg, int status);
    void *arg;
    struct strand *waits; /* until it is over; NULL: nobody does */
    int status;
    bool queued, withdrawn, over, settled;
};

/* Asks; fn may be NULL. */
void notice_ask(struct notice *n, struct trine_future *f, void (*fn)(void *, int), void *arg);

/* Withdraws it and waits until it is the asker's again: its answer has come, or never will. A
 * cancellation does not end that. */
void notice_end(struct notice *n, struct strand *self);

/* On the future's thread: it is done. */
void notice_done(struct future_waiter *w);

/* The answer, waited for on a thread that is not the future's: as trine_await. */
int notice_await(struct trine_future *f, struct strand *self, int *ret_status);

#endif
