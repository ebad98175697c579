/* scope.c - scopes: an outcome is decided once, then the scope drains.
 *
 * Invariants: every task of a scope is in `tasks` (not done) or `done` (done, with a handle);
 * `running` counts those handed to an executor, `waiting` those in `pending`. reason != 0 means
 * that all tasks have been asked to end. An inner scope's reason is set as soon as an outer one's
 * is, unless it is shielded, so testing for cancellation reads one field.
 *
 * Rejected: looking up the chain of scopes at each wait (nesting would cost every wait); deadlines
 * compared at each wait (a timer a scope is cheaper, and wakes waits that are already parked). */
#include "core/scope.h"

#include <trine/task.h>

#include "base/log.h"
#include "base/panic.h"
#include "core/enter.h"
#include "core/executor.h"
#include "core/help.h"
#include "core/value.h"
#include "core/waitlist.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SCOPE_MAGIC 0x7363706fu
#define OVERDUE TRINE_SEC(5)
enum { PENDING_DEFAULT = 1024 };

_Static_assert(sizeof(struct scope) <= sizeof(trine_scope), "trine_scope is too small");

const char *scope_site(const struct scope *s) {
    return s->site;
}

static inline struct scope *checked(trine_scope *public) {
    struct scope *s = scope_of(public);
    REQUIRE(s && s->magic == SCOPE_MAGIC, "a scope was used that is not open: open it with "
                                          "TRINE_SCOPE or trine_scope_open");
    return s;
}

static inline struct scope *owned(trine_scope *public) {
    struct scope *s = checked(public);
    REQUIRE(
        s->owner->loop == loop_here(),
        "the scope opened at %s was used by another thread: open one in the thread that uses it "
        "(only trine_scope_cancel may be called from any)",
        s->site);
    return s;
}

/* --- open --- */

static void deadline_passed(struct timer *t) {
    struct scope *s = container_of(t, struct scope, deadline);
    scope_end(s, RANK_DEADLINE, -ETIMEDOUT, -ETIMEDOUT);
}

static void report_overdue(struct timer *t);

trine_scope *trine_scope_open(trine_scope *memory, const trine_scope_opts *opts, const char *site) {
    static const trine_scope_opts defaults = {.size = sizeof(defaults)};
    const trine_scope_opts *o = opts ? opts : &defaults;
    REQUIRE(o->size == sizeof(*o), "trine_scope_opts.size at %s is %u: set it to sizeof", site,
            o->size);
    REQUIRE(!o->shield || o->timeout > 0,
            "the shielded scope at %s has no timeout: give it one, or it could never be ended",
            site);
    struct strand *self = strand_self();
    REQUIRE(self, "the scope at %s was opened in a callback on the loop's own stack", site);
    struct scope *s = scope_of(memory);
    *s = (struct scope){.magic = SCOPE_MAGIC,
                        .policy = (uint8_t)o->policy,
                        .shield = o->shield,
                        .move_on = o->move_on,
                        .values = values_here(self),
                        .owner = self,
                        .outer = self->scope,
                        .limit = o->limit,
                        .waiting_max = o->pending ? o->pending : PENDING_DEFAULT,
                        .name = o->name,
                        .site = site};
    list_init(&s->tasks);
    list_init(&s->pending);
    list_init(&s->done);
    list_init(&s->handed_out);
    list_init(&s->room_waiters);
    list_init(&s->done_waiters);
    list_init(&s->idle_waiters);
    timer_init(&s->deadline, deadline_passed);
    timer_init(&s->overdue, report_overdue);
    int outer = o->shield ? 0 : strand_reason(self);
    self->scope = s;
    if (outer)
        scope_end(s, RANK_OUTER, outer, outer);
    else if (o->timeout > 0)
        loop_timer_start(self->loop, &s->deadline, o->timeout);
    return memory;
}

/* --- the end of a scope --- */

static void cancel_tasks(struct scope *s, int reason) {
    while (!list_empty(&s->pending)) {
        struct trine_future *f = container_of(list_pop(&s->pending), struct trine_future, in_queue);
        s->waiting--;
        s->running++; /* for the balance of scope_task_done */
        scope_task_done(s, f, -ECANCELED);
    }
    /* All are marked before the first is told, and the youngest first: one that runs on a thread
     * may see its mark and end, and must not let a younger one begin. So those are dropped on the
     * way. */
    int why = scope_why(s);
    for (struct list *node = s->tasks.prev; node != &s->tasks; node = node->prev)
        task_mark_or_drop(container_of(node, struct trine_future, in_scope), reason, why);
    LIST_EACH(node, &s->tasks)
    task_cancel(container_of(node, struct trine_future, in_scope), reason, why);
}

static void decide(struct scope *s, enum scope_rank rank, int reason, int outcome) {
    struct loop *l = s->owner->loop;
    if (s->reason) {
        if (s->decided == l->turn && rank > s->rank) {
            s->rank = (uint8_t)rank;
            s->reason = reason;
            s->outcome = outcome;
        }
        return;
    }
    s->reason = reason;
    s->outcome = outcome;
    s->rank = (uint8_t)rank;
    s->decided = l->turn;
    loop_timer_stop(l, &s->deadline);
    if (s->running)
        loop_timer_start(l, &s->overdue, OVERDUE);
    cancel_tasks(s, reason);
}

int scope_refresh(struct strand *owner, struct scope *s) {
    if (!s)
        return owner->reason;
    int outer = scope_refresh(owner, s->outer);
    if (outer && !s->shield)
        decide(s, RANK_OUTER, outer, outer);
    return s->reason;
}

void scope_end(struct scope *s, enum scope_rank rank, int reason, int outcome) {
    decide(s, rank, reason, outcome);
    int inner = scope_refresh(s->owner, s->owner->scope);
    if (inner)
        strand_abort(s->owner, inner);
}

static void cancel_arrived(struct message *m) {
    struct scope *s = container_of(m, struct scope, cancel_message);
    s->cancel_seen = true;
    scope_end(s, RANK_POLICY, -ECANCELED, atomic_load(&s->cancel_asked));
}

void trine_scope_cancel(trine_scope *public, int reason) {
    struct scope *s = checked(public);
    int outcome = reason ? reason : -ECANCELED;
    REQUIRE(outcome < 0, "trine_scope_cancel wants a negative errno or 0, not %d", reason);
    if (s->owner->loop == loop_here()) {
        scope_end(s, RANK_POLICY, -ECANCELED, outcome);
        return;
    }
    int none = 0;
    if (!atomic_compare_exchange_strong(&s->cancel_asked, &none, outcome))
        return; /* another thread was first */
    s->cancel_message.handle = cancel_arrived;
    loop_post(s->owner->loop, &s->cancel_message);
}

/* A thread task cannot be stopped: the scope waits, and says for whom. */
static void report_overdue(struct timer *t) {
    struct scope *s = container_of(t, struct scope, overdue);
    LIST_EACH(node, &s->tasks) {
        struct trine_future *f = container_of(node, struct trine_future, in_scope);
        log_line("trine: the scope opened at %s has ended, and still waits for the task %s started "
                 "at %s",
                 s->site, future_name(f), f->site);
    }
}

/* --- tasks that end --- */

static void apply_policy(struct scope *s, int status) {
    bool ended_with_scope = s->reason && (status == -ECANCELED || status == s->reason);
    if (status >= 0) {
        s->succeeded = true;
        if (s->policy == TRINE_FIRST)
            scope_end(s, RANK_POLICY, -ECANCELED, 0);
    } else if (!ended_with_scope) {
        if (!s->first_error)
            s->first_error = status;
        if (s->policy == TRINE_FAIL_FAST)
            scope_end(s, RANK_POLICY, -ECANCELED, status);
    }
}

static __attribute__((noinline)) void start_pending(struct scope *s) {
    while (!s->reason && !list_empty(&s->pending) && s->running < s->limit) {
        struct trine_future *f = container_of(list_pop(&s->pending), struct trine_future, in_queue);
        s->waiting--;
        s->running++;
        waitlist_wake_one(&s->room_waiters);
        task_launch(f);
    }
}

void scope_task_done(struct scope *s, struct trine_future *f, int status) {
    s->running--;
    if (__builtin_expect(f->copied, 0))
        free(f->arg);
    future_settle(f, status);
    list_unlink(&f->in_scope);
    if (status < 0 && !(s->reason && (status == -ECANCELED || status == s->reason)))
        scope_note_error(s, f);
    bool kept = f->handle;
    if (kept)
        list_push(&s->done, &f->in_scope);
    else
        future_free(f);
    apply_policy(s, status);
    if (!list_empty(&s->pending))
        start_pending(s);
    bool idle = !s->running && !s->waiting;
    if ((kept || idle) && !list_empty(&s->done_waiters))
        waitlist_wake_all(&s->done_waiters);
    if (idle && !list_empty(&s->idle_waiters))
        waitlist_wake_all(&s->idle_waiters);
}

/* --- join and close --- */

static const struct wait_kind joining = {.name = "join"};

/* A thread without coroutines that only waits for all of them need not be woken for each. */
static inline bool all_alike(const struct scope *s, const struct strand *self) {
    return !self->stack && !s->waiting && s->policy != TRINE_FIRST;
}

/* Waits, cancelled or not: the kind has no abort. */
static inline void drain(struct scope *s, struct strand *self) {
    while (s->running || s->waiting) {
        if (s->help && help_in(s, self))
            continue;
        struct future_waiter w = {.strand = self};
        list_push(&s->idle_waiters, &w.node);
        self->loop->awaited = all_alike(s, self) ? &s->running : NULL;
        strand_park_here(self, &joining, NULL);
        self->loop->awaited = NULL;
        list_remove(&w.node);
    }
}

int trine_join(trine_scope *public) {
    struct scope *s = owned(public);
    struct strand *self = s->owner->loop->current;
    if (!self)
        return -EAGAIN;
    REQUIRE(!self->task || self->task->scope != s,
            "a task of the scope opened at %s joins that scope: it would wait for itself", s->site);
    drain(s, self);
    if (s->reason)
        return s->rank == RANK_DEADLINE && s->move_on ? 0 : s->outcome;
    if (s->policy == TRINE_FIRST && s->succeeded)
        return 0;
    return s->first_error;
}

/* --- the deadline --- */

int64_t scope_deadline(const struct scope *s) {
    return timer_due(&s->deadline, loop_read_clock(s->owner->loop));
}

int64_t trine_scope_deadline(trine_scope *public) {
    return scope_deadline(owned(public));
}

void trine_scope_set_deadline(trine_scope *public, int64_t deadline) {
    struct scope *s = owned(public);
    REQUIRE(!s->shield || deadline != TRINE_NEVER,
            "the shielded scope at %s must keep a deadline, or it could never be ended", s->site);
    struct loop *l = s->owner->loop;
    if (s->reason)
        return;
    loop_timer_stop(l, &s->deadline);
    if (deadline == TRINE_NEVER)
        return;
    int64_t from_now = deadline - loop_read_clock(l);
    loop_timer_start(l, &s->deadline, from_now > 0 ? from_now : 1);
}

bool trine_scope_timed_out(trine_scope *public) {
    const struct scope *s = owned(public);
    return s->reason && s->rank == RANK_DEADLINE;
}

/* A cancel from another thread may be on its way to us: it must not find the scope gone. */
static void await_cancel_message(struct scope *s) {
    while (atomic_load(&s->cancel_asked) && !s->cancel_seen) {
        loop_drain_inbox(s->owner->loop);
        if (!s->cancel_seen)
            sched_yield();
    }
}

void trine_scope_close(trine_scope **public) {
    if (!*public)
        return;
    struct scope *s = owned(*public);
    struct strand *self = s->owner;
    REQUIRE(self->loop->current == self,
            "the scope opened at %s was closed by another task: its opener must close it", s->site);
    REQUIRE(self->scope == s,
            "the scope opened at %s was closed before the one inside it, opened at "
            "%s: close scopes in the reverse order of opening",
            s->site, self->scope ? self->scope->site : "nowhere");
    if (s->running || s->waiting)
        scope_end(s, RANK_POLICY, -ECANCELED, -ECANCELED);
    drain(s, self);
    await_cancel_message(s);
    loop_timer_stop(self->loop, &s->deadline);
    loop_timer_stop(self->loop, &s->overdue);
    list_append(&s->done, &s->handed_out);
    for (struct list *node; (node = list_pop(&s->done));)
        future_free(container_of(node, struct trine_future, in_scope));
    after_stop_all(s);
    scope_errors_free(s);
    scope_end_uses(s);
    self->scope = s->outer;
    s->magic = 0;
    *public = NULL;
}
