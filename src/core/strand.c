/* strand.c - parking and waking, for coroutines and plain threads alike; see strand.h.
 *
 * Invariant: strand->wait is set exactly while the strand is parked and nobody has decided its
 * wait. A coroutine gives the CPU to the next ready one directly; the loop itself comes in when
 * none is ready or the turn's budget is used up, so that timers and I/O are never held up for
 * longer.
 *
 * Rejected: going through the loop's stack at each switch (twice the cost). */
#include "core/strand.h"

#include "base/panic.h"
#include "core/future.h"
#include "core/scope.h"
#include "core/switch.h"
#include "core/task.h"

#include <errno.h>

struct strand *strand_self(void) {
    return loop_self()->current;
}

int strand_reason(struct strand *s) {
    if (s->scope)
        return s->scope->reason;
    if (!s->reason && s->task)
        return atomic_load_explicit(&s->task->cancel, memory_order_relaxed);
    return s->reason;
}

int strand_enter(struct strand **ret_self) {
    struct strand *self = loop_self()->current;
    if (!self)
        return -EAGAIN;
    *ret_self = self;
    return strand_reason(self);
}

struct strand *strand_next(struct loop *l) {
    if (l->budget == 0 || list_empty(&l->ready))
        return &l->thread;
    l->budget--;
    return container_of(list_pop(&l->ready), struct strand, run);
}

static void suspend(struct strand *self) {
    struct strand *next = strand_next(self->loop);
    if (next != self)
        strand_switch(self, next);
}

int strand_park(struct strand *self, const struct wait_kind *kind, void *arg) {
    struct loop *l = self->loop;
    self->wait_arg = arg;
    self->wait = kind;
    if (self->stack) {
        suspend(self);
        return self->result;
    }
    l->current = NULL;
    while (self->wait)
        loop_turn(l);
    l->current = self;
    return self->result;
}

void strand_unpark(struct strand *s, int status) {
    if (!s->wait)
        return;
    s->wait = NULL;
    s->result = status;
    if (s->stack)
        loop_make_ready(s->loop, s);
}

void strand_abort(struct strand *s, int reason) {
    if (s->wait && s->wait->abort)
        s->wait->abort(s, reason);
}

void strand_cancel(struct strand *s, int reason) {
    if (!s->reason)
        s->reason = reason;
    int now = scope_refresh(s, s->scope);
    if (now)
        strand_abort(s, now);
}

int trine_yield(void) {
    struct strand *self;
    int r = strand_enter(&self);
    if (r < 0)
        return r;
    if (self->stack) {
        loop_make_ready(self->loop, self);
        suspend(self);
    }
    return 0;
}
