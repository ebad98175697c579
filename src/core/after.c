/* after.c - futures of time: a timer and a record, no stack and no task. They are the scope's,
 * which ends them, but join does not wait for them and no limit counts them.
 *
 * Invariant: such a future is in scope->tasks with its timer running, or done. Rejected: a
 * coroutine that sleeps (its stack is 4 KB, this is 112 bytes). */
#include "base/panic.h"
#include "core/scope.h"
#include "core/waitlist.h"

static void after_settle(struct trine_future *f, int status) {
    struct scope *s = f->scope;
    future_settle(f, status);
    list_unlink(&f->in_scope);
    list_push(&s->done, &f->in_scope);
    waitlist_wake_all(&s->done_waiters);
}

static void time_is_up(struct timer *t) {
    after_settle(container_of(t, struct trine_future, timer), 0);
}

void after_cancel(struct trine_future *f, int reason) {
    loop_timer_stop(f->home, &f->timer);
    after_settle(f, reason);
}

void after_stop_all(struct scope *s) {
    for (struct list *node; (node = list_pop(&s->tasks));) {
        struct trine_future *f = container_of(node, struct trine_future, in_scope);
        loop_timer_stop(f->home, &f->timer);
        future_free(f);
    }
}

trine_future *trine_start_after(trine_scope *public, int64_t ns, const char *site) {
    struct scope *s = scope_of(public);
    struct loop *l = loop_here();
    REQUIRE(s->owner->loop == l,
            "trine_after was called at %s with a scope of another thread: open one in this thread",
            site);
    struct trine_future *f = future_new(l, RECORD_TIME);
    REQUIRE(f, "no memory for the future of trine_after at %s", site);
    f->scope = s;
    f->site = site;
    f->handle = true;
    f->state = FUTURE_STARTED;
    list_push(&s->tasks, &f->in_scope);
    timer_init(&f->timer, time_is_up);
    if (s->reason)
        after_settle(f, s->reason);
    else
        loop_timer_start(l, &f->timer, ns);
    return f;
}
