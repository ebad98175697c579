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
#include "core/enter.h"

struct strand *strand_self(void) {
    return loop_here()->current;
}

int strand_reason(struct strand *s) {
    return strand_reason_here(s);
}

int strand_enter(struct strand **ret_self) {
    return strand_enter_here(ret_self);
}

int strand_park_thread(struct strand *self) {
    struct loop *l = self->loop;
    l->current = NULL;
    while (self->wait)
        loop_turn(l);
    l->current = self;
    return self->result;
}

int strand_park(struct strand *self, const struct wait_kind *kind, void *arg) {
    return strand_park_here(self, kind, arg);
}

void strand_unpark(struct strand *s, int status) {
    strand_unpark_here(s, status);
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

void strand_slice_over(struct strand *self) {
    struct loop *l = self->loop;
    l->operations = OPERATIONS_PER_TURN;
    if (!self->stack)
        return;
    loop_make_ready(l, self);
    strand_switch(self, &l->thread);
}

int trine_yield(void) {
    struct strand *self;
    int r = strand_enter_at_once(&self);
    if (r < 0 || !self->stack)
        return r;
    struct loop *l = self->loop;
    struct strand *next = &l->thread;
    if (l->budget) {
        l->budget--;
        next = l->ready;
        if (!next)
            return 0;
        l->ready = next->next_ready;
    }
    loop_make_ready(l, self);
    strand_switch(self, next);
    return 0;
}
