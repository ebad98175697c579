/* future.c - task records: made, settled, awaited, dropped. A record belongs to its scope's thread;
 * an executor borrows it and posts it back (see future.h).
 *
 * Rejected: reference counts on futures; a handle is the user's until dropped or until its scope
 * closes, and nothing outlives a scope. */
#include "core/future.h"

#include "base/panic.h"
#include "core/enter.h"
#include "core/executor.h"
#include "core/help.h"
#include "core/notice.h"
#include "core/wait.h"
#include "core/waitlist.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Fills f->error, which lies where what is needed no more did. */
void future_settle_error(struct trine_future *f, int status) {
    const struct failure *failure = future_failure(f);
    const char *detail = strerrordesc_np(-status);
    if (failure)
        detail = failure->detail;
    else if (status == -ECANCELED)
        detail = "it was cancelled";
    else if (status == -ENOMEM && f->kind == RECORD_COROUTINE && !f->strand)
        detail = f->home->stacks ? f->home->stacks->why_none : "no memory for its stack";
    f->error = (trine_error){.code = status,
                             .signal = failure ? failure->signal : 0,
                             .task = future_name(f),
                             .site = f->site,
                             .detail = detail ? detail : "an unknown error",
                             .backtrace = failure ? failure->backtrace : NULL,
                             .address = failure ? failure->address : 0};
}

void future_wake_waiters(struct trine_future *f) {
    waitlist_wake_all(&f->waiters);
}

void future_came_back(struct message *done) {
    struct trine_future *f = container_of(done, struct trine_future, done);
    scope_task_done(f->scope, f, f->status);
}

struct message *future_done_message(struct trine_future *f, int status, struct failure *failure) {
    f->status = status;
    f->failure = failure;
    f->done.handle = future_came_back;
    return &f->done;
}

void future_done_remote(struct trine_future *f, int status, struct failure *failure) {
    loop_post(f->home, future_done_message(f, status, failure));
}

static struct strand *awaiter(const trine_future *f) {
    struct loop *l = loop_here();
    REQUIRE(f->home == l,
            "the future of %s, started at %s, was used by another thread than its "
            "scope's",
            future_name(f), f->site);
    return l->current;
}

static const struct wait_kind awaiting = {.name = "await", .abort = waitlist_abort};

int trine_await(trine_future *f, int *ret_status) {
    struct loop *l = loop_here();
    struct strand *self = l->current;
    if (__builtin_expect(f->home != l, 0))
        return notice_await(f, self, ret_status);
    while (f->state != FUTURE_DONE) {
        int r = self ? strand_reason_here(self) : -EAGAIN;
        if (r == 0 && f->scope && f->scope->help &&
            (help_with(f, self) || (f->state == FUTURE_PENDING && help_in(f->scope, self))))
            continue;
        if (r == 0) {
            struct future_waiter w = {.strand = self};
            list_push(&f->waiters, &w.node);
            r = strand_park_here(self, &awaiting, NULL);
            list_remove(&w.node);
        }
        if (r < 0 && f->state != FUTURE_DONE)
            return r;
    }
    if (ret_status)
        *ret_status = f->status;
    return 0;
}

static int first_done(trine_future *const *futures, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (futures[i]->state == FUTURE_DONE)
            return (int)i;
    return -1;
}

static bool help_with_one(trine_future *const *futures, size_t n, struct strand *self) {
    for (size_t i = 0; i < n; i++)
        if (futures[i]->scope && futures[i]->scope->help && help_with(futures[i], self))
            return true;
    return false;
}

int trine_await_any(trine_future *const *futures, size_t n) {
    enum { MOST = 64 };
    static const struct wait_kind kind = {.name = "await any", .abort = waitlist_abort};
    REQUIRE(n >= 1 && n <= MOST, "trine_await_any takes 1 to %d futures, not %zu", MOST, n);
    struct strand *self = loop_here()->current;
    for (size_t i = 0; i < n; i++)
        if (futures[i]->home != loop_here())
            return wait_for_any_elsewhere(futures, n);
    int done;
    while ((done = first_done(futures, n)) < 0) {
        int r = self ? strand_reason(self) : -EAGAIN;
        if (r < 0)
            return r;
        if (help_with_one(futures, n, self))
            continue;
        struct future_waiter waiters[MOST];
        for (size_t i = 0; i < n; i++) {
            waiters[i].strand = self;
            list_push(&futures[i]->waiters, &waiters[i].node);
        }
        r = strand_park(self, &kind, NULL);
        for (size_t i = 0; i < n; i++)
            list_remove(&waiters[i].node);
        if (r < 0 && first_done(futures, n) < 0)
            return r;
    }
    return done;
}

static bool handles_left(struct scope *s) {
    LIST_EACH(node, &s->tasks)
    if (container_of(node, struct trine_future, in_scope)->handle)
        return true;
    return false;
}

static struct trine_future *take_done(struct scope *s) {
    if (list_empty(&s->done))
        return NULL;
    struct list *node = list_pop(&s->done);
    list_push(&s->handed_out, node);
    return container_of(node, struct trine_future, in_scope);
}

int trine_next_done(trine_scope *public, trine_future **ret_future) {
    struct scope *s = scope_of(public);
    struct strand *self = strand_self();
    struct trine_future *f;
    while (!(f = take_done(s))) {
        if (!handles_left(s))
            return 0;
        int r = self ? strand_reason(self) : -EAGAIN;
        if (r == 0 && s->help && help_in(s, self))
            continue;
        if (r == 0)
            r = waitlist_park(&s->done_waiters, self, "next done");
        if (r < 0)
            return r;
    }
    *ret_future = f;
    return 1;
}

int trine_status(const trine_future *f) {
    return f->state == FUTURE_DONE ? f->status : -EINPROGRESS;
}

void trine_cancel(trine_future *f, int reason) {
    awaiter(f);
    REQUIRE(reason <= 0, "trine_cancel wants a negative errno or 0, not %d", reason);
    if (f->state != FUTURE_DONE)
        task_cancel(f, -ECANCELED, reason ? reason : -ECANCELED);
}

void trine_future_drop(trine_future *f) {
    awaiter(f);
    f->handle = false;
    if (f->state != FUTURE_DONE && f->kind != RECORD_TIME)
        return;
    if (f->state != FUTURE_DONE)
        loop_timer_stop(f->home, &f->timer);
    list_unlink(&f->in_scope);
    future_free(f);
}
