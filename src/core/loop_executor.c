/* loop_executor.c - see loop_executor.h. The owner of a task is another thread than the one that
 * runs it; they meet in the record's control message and its phase:
 *
 *     owner:     NONE -> SENT                submit() posts control
 *                SENT -> SENT_CANCEL         cancel(); nothing is posted, the arrival looks
 *                HERE -> CANCELLING          cancel() posts control
 *     the loop:  SENT -> HERE                it has arrived, and is a coroutine
 *                CANCELLING -> CANCELLED     the request has arrived
 *                HERE, CANCELLED -> ENDED    given back
 *                CANCELLING -> ENDED         given back when the request arrives
 *
 * Lock order: `lock` is taken by itself. Rejected: handing the owner's scope over (a scope belongs
 * to one thread). */
#include "core/loop_executor.h"

#include <trine/loop.h>

#include "base/fault.h"
#include "base/panic.h"
#include "core/executor.h"
#include "core/task.h"
#include "core/waitq.h"

#include <pthread.h>
#include <stdlib.h>

enum { LIVE_MOST = 65536 };

enum phase {
    PHASE_NONE,
    PHASE_SENT,
    PHASE_SENT_CANCEL,
    PHASE_HERE,
    PHASE_CANCELLING,
    PHASE_CANCELLED,
    PHASE_ENDED
};

struct loop_executor {
    struct trine_executor base;
    struct loop *loop;
    pthread_mutex_t lock; /* the rest */
    unsigned live;        /* accepted, not given back */
    bool closed;
    struct list submitters, closers; /* struct waiter */
};

static struct loop_executor *of(struct trine_executor *e) {
    return container_of(e, struct loop_executor, base);
}

/* --- on the loop --- */

static void give_back(struct trine_future *f, int status) {
    struct loop_executor *e = of(f->on);
    future_done_remote(f, status, NULL);
    pthread_mutex_lock(&e->lock);
    e->live--;
    struct waiter *next = waitq_pop(&e->submitters);
    struct waiter *closer = e->closed && !e->live ? waitq_pop(&e->closers) : NULL;
    pthread_mutex_unlock(&e->lock);
    if (next)
        waitq_wake(next, 0);
    if (closer)
        waitq_wake(closer, 0);
}

void loop_task_ended(struct trine_future *f, int status) {
    int phase = PHASE_HERE;
    if (atomic_compare_exchange_strong(&f->phase, &phase, PHASE_ENDED) ||
        phase == PHASE_CANCELLED) {
        give_back(f, status);
        return;
    }
    f->status = status; /* the request is on its way, in the record */
    atomic_store(&f->phase, PHASE_ENDED);
}

static void request_arrived(struct message *m) {
    struct trine_future *f = container_of(m, struct trine_future, control);
    int phase = PHASE_CANCELLING;
    if (atomic_compare_exchange_strong(&f->phase, &phase, PHASE_CANCELLED))
        strand_cancel(f->strand, atomic_load(&f->cancel));
    else
        give_back(f, f->status);
}

static void arrived(struct message *m) {
    struct trine_future *f = container_of(m, struct trine_future, control);
    int phase = PHASE_SENT;
    if (!atomic_compare_exchange_strong(&f->phase, &phase, PHASE_HERE))
        give_back(f, -ECANCELED);
    else if (!coroutine_new(of(f->on)->loop, f, 0))
        loop_task_ended(f, -ENOMEM);
}

/* --- on the owner's thread --- */

/* Takes a place: 0, or why there is none. A callback cannot wait, and goes over the bound. */
static int enter(struct loop_executor *e) {
    struct strand *self = strand_self();
    for (;;) { /* room first: who was let in and cancelled at once must not let it lie */
        pthread_mutex_lock(&e->lock);
        bool closed = e->closed, enters = !closed && (e->live < LIVE_MOST || !self);
        e->live += enters;
        struct waiter w = {0};
        int r = closed || enters ? 0 : strand_reason(self);
        if (!closed && !enters && r == 0)
            waitq_add(&e->submitters, &w, self, &e->lock);
        pthread_mutex_unlock(&e->lock);
        if (closed || enters)
            return closed ? -ESHUTDOWN : 0;
        if (r == 0)
            r = waitq_park(&w, "room on another loop");
        if (r < 0)
            return r;
    }
}

static int submit(struct trine_executor *base, struct trine_future *f) {
    struct loop_executor *e = of(base);
    int r = enter(e);
    if (r < 0)
        return r;
    f->control.handle = arrived;
    atomic_store(&f->phase, atomic_load(&f->cancel) ? PHASE_SENT_CANCEL : PHASE_SENT);
    loop_post(e->loop, &f->control);
    return 0;
}

static void cancel(struct trine_executor *base, struct trine_future *f) {
    int phase = PHASE_SENT;
    if (atomic_compare_exchange_strong(&f->phase, &phase, PHASE_SENT_CANCEL))
        return;
    phase = PHASE_HERE;
    if (!atomic_compare_exchange_strong(&f->phase, &phase, PHASE_CANCELLING))
        return;
    f->control.handle = request_arrived;
    loop_post(of(base)->loop, &f->control);
}

/* --- open, close --- */

static void close_loop(struct trine_executor *base) {
    static const struct wait_kind closing = {.name = "close of a loop"};
    struct loop_executor *e = of(base);
    struct strand *self = strand_self();
    REQUIRE(self && e->loop == self->loop,
            "a loop was closed by another thread: close it where it was opened");
    struct taken refused = {0};
    pthread_mutex_lock(&e->lock);
    e->closed = true;
    taken_add_all(&refused, &e->submitters);
    while (e->live) {
        struct waiter w = {0};
        waitq_add(&e->closers, &w, self, &e->lock);
        pthread_mutex_unlock(&e->lock);
        taken_wake(&refused, -ESHUTDOWN);
        refused = (struct taken){0};
        strand_park(self, &closing, &w);
        pthread_mutex_lock(&e->lock);
    }
    pthread_mutex_unlock(&e->lock);
    taken_wake(&refused, -ESHUTDOWN);
}

static void free_loop(struct trine_executor *base) {
    struct loop_executor *e = of(base);
    pthread_mutex_destroy(&e->lock);
    free(e);
}

static const struct executor_kind loop_kind = {.name = "another loop",
                                               .submit = submit,
                                               .cancel = cancel,
                                               .close = close_loop,
                                               .free = free_loop};

int trine_loop_open(trine_executor **ret_loop) {
    struct loop *l = loop_here();
    REQUIRE(l->running, "trine_loop_open was called where no loop runs: call it inside trine_run");
    struct loop_executor *e = FAULT(calloc(1, sizeof(*e)), NULL, ENOMEM);
    if (!e)
        return -ENOMEM;
    e->base.kind = &loop_kind;
    e->base.refs = 1;
    e->loop = l;
    pthread_mutex_init(&e->lock, NULL);
    list_init(&e->submitters);
    list_init(&e->closers);
    *ret_loop = &e->base;
    return 0;
}
