/* task.c - how a task begins, runs as a coroutine, and is asked to end.
 *
 * Invariant: a record that was launched reaches scope_task_done exactly once, on its scope's
 * thread, with no strand current: from the coroutine's own end, or through the executor's message.
 * Rejected: running a spawned coroutine at once (its parent could not tell when it will start). */
#include "core/task.h"
#include "base/panic.h"
#include "core/executor.h"
#include "core/scope.h"
#include "core/switch.h"
#include "core/waitlist.h"

#include <errno.h>

enum { STACK_STRIDE = 64 << 10 };

/* --- coroutines --- */

static void coroutine_main(void *arg) {
    struct strand *self = arg;
    struct loop *l = self->loop;
    strand_arrived(self);
    struct trine_future *f = self->task;
    int status = self->reason ? -ECANCELED : future_run(f);
    REQUIRE(!self->scope,
            "the task %s, started at %s, returned inside a scope opened at %s: close it",
            future_name(f), f->site, self->scope->site);
    l->current = NULL;
    if (f->scope)
        scope_task_done(f->scope, f, status);
    else
        main_done(f, status);
    stack_give(l->stacks, self->stack);
    strand_leave(self, strand_next(l));
}

struct strand *coroutine_new(struct loop *l, struct trine_future *f, int reason) {
    if (!l->stacks) {
        if (!l->stack_stride)
            l->stack_stride = STACK_STRIDE * SANITIZER_STACK_FACTOR;
        l->stacks = stacks_new(l->stack_stride);
    }
    struct stack *stack = l->stacks ? stack_take(l->stacks) : NULL;
    if (!stack)
        return NULL;
    struct strand *s = &stack->strand;
    void *tsan_fiber = s->tsan_fiber;
    *s = (struct strand){
        .loop = l, .stack = stack, .task = f, .reason = reason, .tsan_fiber = tsan_fiber};
    s->sp = arch_context_new(stack, coroutine_main, s);
    f->strand = s;
    loop_make_ready(l, s);
    return s;
}

/* --- launch and cancel --- */

int task_launch(struct trine_future *f) {
    struct scope *s = f->scope;
    f->state = FUTURE_STARTED;
    int r;
    if (f->on)
        r = f->on->kind->submit(f->on, f);
    else
        r = coroutine_new(s->owner->loop, f, s->reason) ? 0 : -ENOMEM;
    if (r < 0)
        scope_task_done(s, f, r);
    return r;
}

void task_mark_cancelled(struct trine_future *f, int reason) {
    if (!atomic_load_explicit(&f->cancel, memory_order_relaxed))
        atomic_store(&f->cancel, reason);
}

void task_cancel(struct trine_future *f, int reason) {
    if (f->cancel_told)
        return;
    f->cancel_told = true;
    task_mark_cancelled(f, reason);
    struct scope *s = f->scope;
    if (f->state == FUTURE_PENDING) {
        list_remove(&f->in_queue);
        s->waiting--;
        s->running++;
        scope_task_done(s, f, -ECANCELED);
    } else if (f->on) {
        f->on->kind->cancel(f->on, f);
    } else {
        strand_cancel(f->strand, reason);
    }
}

/* --- start --- */

/* Waits for a pending place: 0, or why there will be none. */
static int await_place(struct scope *s) {
    while (s->limit && s->running >= s->limit && s->waiting >= s->waiting_max) {
        struct strand *self = strand_self();
        if (!self)
            return -EAGAIN;
        if (self->task && self->task->scope == s)
            return -EDEADLK;
        int r = strand_reason(self);
        if (r == 0)
            r = waitlist_park(&s->room_waiters, self, "place in a scope");
        if (r < 0)
            return r;
    }
    return s->reason;
}

static void check_start(struct scope *s, trine_executor *on, const char *name, const char *site) {
    struct loop *l = loop_self();
    REQUIRE(s->owner->loop == l,
            "the task %s was started at %s in a scope of another thread: open one in this thread",
            name, site);
    REQUIRE(on || l->running,
            "the coroutine %s was spawned at %s where no loop runs: call it inside "
            "trine_run, or submit it to a thread pool",
            name, site);
}

/* What a start call names; the record is filled from it. */
struct start {
    const char *name, *site;
    trine_executor *on;
    const trine_task *task;
    const trine_bytes_task *bytes_task;
    void *arg;
    trine_bytes in;
    trine_buf *out;
    bool handle;
};

static struct trine_future *fill_record(struct scope *s, const struct start *start) {
    struct trine_future *f = future_new(s->owner->loop);
    if (!f)
        return NULL;
    f->scope = s;
    f->on = start->on;
    f->task = start->task;
    f->bytes_task = start->bytes_task;
    f->arg = start->arg;
    f->in = start->in;
    f->out = start->out;
    f->site = start->site;
    f->handle = start->handle;
    list_push(&s->tasks, &f->in_scope);
    return f;
}

/* Starts a task; its record, with how that went in *ret. NULL: there was not even a record. */
static struct trine_future *begin(struct scope *s, const struct start *start, int *ret) {
    const char *name = start->name;
    check_start(s, start->on, name, start->site);
    int room = await_place(s);
    struct trine_future *f = fill_record(s, start);
    REQUIRE(f || !start->handle, "no memory for the task %s started at %s", name, start->site);
    if (!f) {
        scope_end(s, RANK_POLICY, -ECANCELED, *ret = -ENOMEM);
    } else if (room < 0) {
        s->running++;
        scope_task_done(s, f, *ret = room);
    } else if (s->limit && s->running >= s->limit) {
        f->state = FUTURE_PENDING;
        s->waiting++;
        list_push(&s->pending, &f->in_queue);
        *ret = 0;
    } else {
        s->running++;
        *ret = task_launch(f);
    }
    return f;
}

int trine_submit_task(trine_scope *s, trine_executor *on, const trine_task *t, void *arg,
                      const char *site) {
    int r;
    begin(scope_of(s),
          &(struct start){.name = t->name, .site = site, .on = on, .task = t, .arg = arg}, &r);
    return r;
}

int trine_map_task(trine_scope *s, trine_executor *on, const trine_task *t, void *args, size_t n,
                   const char *site) {
    for (size_t i = 0; i < n; i++) {
        int r = trine_submit_task(s, on, t, (char *)args + i * t->size, site);
        if (r < 0)
            return r;
    }
    return 0;
}

trine_future *trine_start_task(trine_scope *s, trine_executor *on, const trine_task *t, void *arg,
                               const char *site) {
    int r;
    struct start start = {
        .name = t->name, .site = site, .on = on, .task = t, .arg = arg, .handle = true};
    return begin(scope_of(s), &start, &r);
}

trine_future *trine_start_bytes_task(trine_scope *s, trine_executor *on, const trine_bytes_task *t,
                                     trine_bytes in, trine_buf *ret_out, const char *site) {
    int r;
    struct start start = {.name = t->name,
                          .site = site,
                          .on = on,
                          .bytes_task = t,
                          .in = in,
                          .out = ret_out,
                          .handle = true};
    ret_out->len = 0;
    return begin(scope_of(s), &start, &r);
}

bool trine_cancelled(void) {
    struct strand *self = strand_self();
    if (!self)
        return false;
    return strand_reason(self) ||
           (self->task && atomic_load_explicit(&self->task->cancel, memory_order_relaxed));
}
