/* enter.h - the start and the end of [S] calls, for those in libtrine that are counted in
 * nanoseconds: what strand_enter, strand_park and the like of strand.h do, without a call. */
#ifndef TRINE_CORE_ENTER_H
#define TRINE_CORE_ENTER_H

#include "core/future.h"
#include "core/scope.h"
#include "core/switch.h"
#include "core/waitq.h"

#include <errno.h>

/* A coroutine's own reason is set as soon as its task is marked; who runs a thread's task learns it
 * from the task. */
static inline int strand_reason_here(const struct strand *s) {
    if (s->scope)
        return s->scope->reason;
    if (s->stack || s->reason || !s->task)
        return s->reason;
    return atomic_load_explicit(&s->task->cancel, memory_order_acquire);
}

/* Without a look at the slice, so the caller goes on at once when it does not have to wait. */
static inline int strand_enter_at_once(struct strand **ret_self) {
    struct strand *self = loop_here()->current;
    if (__builtin_expect(!self, 0))
        return -EAGAIN;
    *ret_self = self;
    return strand_reason_here(self);
}

static inline int strand_enter_here(struct strand **ret_self) {
    struct loop *l = loop_here();
    struct strand *self = l->current;
    if (__builtin_expect(!self, 0))
        return -EAGAIN;
    *ret_self = self;
    if (__builtin_expect(--l->operations == 0, 0))
        strand_slice_over(self);
    return strand_reason_here(self);
}

/* The next strand to run: a ready one, or the loop's own when there is none or the turn is over. */
static inline struct strand *strand_next_here(struct loop *l) {
    struct strand *next = l->ready;
    if (__builtin_expect(l->budget == 0 || !next, 0))
        return &l->thread;
    l->budget--;
    l->ready = next->next_ready;
    __builtin_prefetch(next->next_ready); /* by the time that it runs it is there */
    return next;
}

static inline int strand_park_here(struct strand *self, const struct wait_kind *kind, void *arg) {
    self->wait_arg = arg;
    self->wait = kind;
    self->since = self->loop->now;
    if (__builtin_expect(!self->stack, 0))
        return strand_park_thread(self);
    struct strand *next = strand_next_here(self->loop);
    if (next != self) /* it may have been woken before it parked */
        strand_switch(self, next);
    return self->result;
}

static inline void strand_unpark_here(struct strand *s, int status) {
    if (!s->wait)
        return;
    s->wait = NULL;
    s->result = status;
    if (s->stack)
        loop_make_ready(s->loop, s);
}

/* What waitq_wake does on the waiter's own thread. */
static inline void waiter_end_here(struct waiter *w, int status) {
    w->status = status;
    if (__builtin_expect(w->selection != NULL, 0))
        w->selection->arrived = true;
    strand_unpark_here(w->strand, status);
}

#endif
