/* task.c - how a task begins, runs as a coroutine, and is asked to end.
 *
 * Invariant: a record that was launched reaches scope_task_done exactly once, on its scope's
 * thread, with no strand current: from the coroutine's own end, or through the executor's message.
 * Rejected: running a spawned coroutine at once (its parent could not tell when it will start). */
#include "core/task.h"

#include <trine/task.h>

#include "base/fault.h"
#include "base/panic.h"
#include "core/census.h"
#include "core/channel.h"
#include "core/enter.h"
#include "core/executor.h"
#include "core/help.h"
#include "core/loop_executor.h"
#include "core/overflow.h"
#include "core/value.h"
#include "core/waitlist.h"

#include <stdlib.h>
#include <string.h>

enum { STACK_STRIDE = 64 << 10 };
/* What of a stack from a slab its task cannot use, at the most: its strand, its colour. */
enum { STACK_OVERHEAD = sizeof(struct stack) + 33 * CACHE_LINE };

/* --- coroutines --- */

/* On its own stack: arrives, runs the task, and is the loop's again. */
static inline __attribute__((always_inline)) int run_task(struct strand *self) {
    strand_arrived(self);
    struct trine_future *f = self->task;
    int status = self->reason ? -ECANCELED : future_run(f);
    REQUIRE(!self->scope,
            "the task %s, started at %s, returned inside a scope opened at %s: close it",
            future_name(f), f->site, self->scope->site);
    self->loop->current = NULL;
    return status;
}

static void coroutine_main(void *arg) {
    struct strand *self = arg;
    struct loop *l = self->loop;
    int status = run_task(self);
    struct trine_future *f = self->task;
    if (f->scope)
        scope_task_done(f->scope, f, status);
    else
        main_done(f, status);
    stack_give(l->stacks, self->stack);
    strand_leave(self, strand_next_here(l));
}

/* The same when something is out of the ordinary: it came from another thread, its stack is of its
 * own size, the census looks. Apart, so that the others do not pay for it. */
static void coroutine_main_special(void *arg) {
    struct strand *self = arg;
    struct loop *l = self->loop;
    struct stack *stack = self->stack;
    int status = run_task(self);
    struct trine_future *f = self->task;
    if (census_runs())
        census_count(f, stack);
    if (f->kind == RECORD_TASK)
        loop_task_ended(f, status);
    else if (f->scope)
        scope_task_done(f->scope, f, status);
    else
        main_done(f, status);
    if (stack->mapped)
        stack_give_odd(l->stacks, stack);
    else
        stack_give(l->stacks, stack);
    strand_leave(self, strand_next_here(l));
}

static __attribute__((noinline)) bool open_stacks(struct loop *l) {
    if (!l->stack_stride)
        l->stack_stride = STACK_STRIDE * SANITIZER_STACK_FACTOR;
    l->stacks = stacks_new(l->stack_stride);
    if (l->stacks)
        overflow_watch(l);
    return l->stacks != NULL;
}

static inline __attribute__((always_inline)) struct strand *
make_on(struct stack *stack, struct loop *l, struct trine_future *f, int reason,
        void (*main)(void *)) {
    struct strand *s = &stack->strand;
    s->loop = l;
    s->stack = stack;
    s->task = f;
    s->scope = NULL;
    s->values = f->scope ? f->scope->values : NULL;
    s->reason = reason; /* `wait` is NULL: its last task did not wait when it ended */
    if (l->exceptions)
        s->exceptions = (struct cxa_globals){.caught = NULL};
#ifdef __SANITIZE_ADDRESS__
    s->asan_fake_stack = NULL;
#endif
    s->sp = arch_context_new(stack, main, s);
    f->strand = s;
    loop_make_ready(l, s);
    return s;
}

static __attribute__((noinline)) struct strand *make_special(struct loop *l, struct trine_future *f,
                                                             int reason) {
    if (!l->stacks && !open_stacks(l))
        return NULL;
    size_t size = f->options ? f->own.stack_size * SANITIZER_STACK_FACTOR : 0;
    struct stack *stack = size > l->stack_stride - l->stacks->page - STACK_OVERHEAD
                              ? stack_take_odd(l->stacks, size)
                              : stack_take(l->stacks);
    if (!stack)
        return NULL;
    if (census_runs())
        census_fill(stack);
    struct strand *made = make_on(stack, l, f, reason, coroutine_main_special);
    if (f->options)
        made->values = f->own.values;
    return made;
}

static inline struct strand *make_coroutine(struct loop *l, struct trine_future *f, int reason) {
    if (__builtin_expect(f->options || census_runs(), 0))
        return make_special(l, f, reason);
    if (__builtin_expect(!l->stacks, 0) && !open_stacks(l))
        return NULL;
    struct stack *stack = stack_take(l->stacks);
    return __builtin_expect(stack != NULL, 1) ? make_on(stack, l, f, reason, coroutine_main) : NULL;
}

struct strand *coroutine_new(struct loop *l, struct trine_future *f, int reason) {
    return f->kind == RECORD_TASK ? make_special(l, f, reason) : make_coroutine(l, f, reason);
}

/* --- launch and cancel --- */

static inline int launch(struct trine_future *f, struct scope *s, struct loop *l,
                         trine_executor *on) {
    f->state = FUTURE_STARTED;
    int r;
    if (on) {
        s->help |= helps_here(on, l);
        r = on->kind->submit(on, f);
    } else
        r = make_coroutine(l, f, s->reason) ? 0 : -ENOMEM;
    if (__builtin_expect(r < 0, 0))
        scope_task_done(s, f, r);
    return r;
}

int task_launch(struct trine_future *f) {
    return launch(f, f->scope, f->home, f->on);
}

void task_mark_cancelled(struct trine_future *f, int reason, int why) {
    if (!atomic_load_explicit(&f->cancel, memory_order_relaxed)) {
        atomic_store_explicit(&f->why, (int16_t)why, memory_order_relaxed);
        atomic_store(&f->cancel, reason);
    }
    if (f->kind == RECORD_COROUTINE && f->strand && !f->strand->reason)
        f->strand->reason = reason;
}

void task_mark_or_drop(struct trine_future *f, int reason, int why) {
    task_mark_cancelled(f, reason, why);
    if (f->kind == RECORD_TASK && f->state == FUTURE_STARTED && f->on->kind->drop &&
        !f->cancel_told)
        f->cancel_told = f->on->kind->drop(f->on, f);
}

void task_cancel(struct trine_future *f, int reason, int why) {
    if (f->kind == RECORD_TIME) {
        after_cancel(f, reason);
        return;
    }
    if (f->cancel_told)
        return;
    f->cancel_told = true;
    task_mark_cancelled(f, reason, why);
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
static __attribute__((noinline)) int await_place(struct scope *s) {
    while (s->running >= s->limit && s->waiting >= s->waiting_max) {
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

static inline void check_start(struct scope *s, struct loop *l, trine_executor *on,
                               const char *name, const char *site) {
    REQUIRE(s->owner->loop == l,
            "the task %s was started at %s in a scope of another thread: open one in this thread",
            name, site);
    REQUIRE(on || l->running,
            "the coroutine %s was spawned at %s where no loop runs: call it inside "
            "trine_run, or submit it to a thread pool",
            name, site);
}

/* What a start call names; the record is filled from it. Never in memory: `begin` is a part of each
 * start call. */
struct start {
    trine_executor *on;
    const trine_task *task;
    const trine_bytes_task *bytes_task;
    void *arg;
    trine_bytes in;
    trine_buf *out;
    const char *site;
    const trine_task_opts *opts;
    bool handle, copied;
    bool may_be_none; /* with handle: NULL when memory is short */
};

static inline __attribute__((always_inline)) void fill_record(struct trine_future *f,
                                                              struct scope *s, struct start start) {
    f->scope = s;
    f->on = start.on;
    f->task = start.task;
    f->arg = start.arg;
    if (start.on || start.bytes_task) { /* a coroutine of an ordinary task never looks at them */
        f->bytes_task = start.bytes_task;
        f->in = start.in;
        f->out = start.out;
    }
    f->site = start.site;
    f->handle = start.handle;
    f->copied = start.copied;
    if (start.opts) {
        f->options = true;
        f->own.name = start.opts->name;
        if (start.on && start.on->kind->other_memory)
            f->own.worker = start.opts->worker;
        else
            f->own.stack_size = start.opts->stack_size;
        f->own.timeout = start.opts->timeout;
        f->own.progress = start.opts->progress;
        f->own.values = value_link(start.opts->values, start.opts->value_count, s->values);
        f->repeat = start.opts->repeat;
    }
    f->strand = NULL;
    if (start.on) {
        list_init(&f->in_queue);
        f->failure = NULL;
        f->executor_data = NULL;
        atomic_init(&f->phase, 0);
    }
    list_push(&s->tasks, &f->in_scope);
}

/* Starts a task; its record, with how that went in *ret. NULL: there was not even a record. */
static inline __attribute__((always_inline)) struct trine_future *
begin(struct scope *s, struct start start, int *ret) {
    const char *name = start.bytes_task ? start.bytes_task->name : start.task->name;
    struct loop *l = loop_here();
    check_start(s, l, start.on, name, start.site);
    bool kept = !start.on || start.on == s->uses || scope_use(s, start.on) == 0;
    int room = !kept ? -ENOMEM : s->limit ? await_place(s) : s->reason;
    struct trine_future *f = future_new(l, start.on ? RECORD_TASK : RECORD_COROUTINE);
    REQUIRE(f || !start.handle || start.may_be_none, "no memory for the task %s started at %s",
            name, start.site);
    if (!f) {
        scope_end(s, RANK_POLICY, -ECANCELED, *ret = -ENOMEM);
        return NULL;
    }
    fill_record(f, s, start);
    if (room < 0) {
        s->running++;
        scope_task_done(s, f, *ret = room);
    } else if (s->limit && s->running >= s->limit) {
        f->state = FUTURE_PENDING;
        s->waiting++;
        list_push(&s->pending, &f->in_queue);
        *ret = 0;
    } else {
        s->running++;
        *ret = launch(f, s, l, start.on);
    }
    return f;
}

static __attribute__((noinline)) int submit_on(struct scope *s, trine_executor *on,
                                               const trine_task *t, void *arg, const char *site) {
    int r;
    begin(s, (struct start){.site = site, .on = on, .task = t, .arg = arg}, &r);
    return r;
}

int trine_submit_task(trine_scope *s, trine_executor *on, const trine_task *t, void *arg,
                      const char *site) {
    if (on) /* apart, so that all of that is out of a coroutine's way */
        return submit_on(scope_of(s), on, t, arg, site);
    int r;
    begin(scope_of(s), (struct start){.site = site, .task = t, .arg = arg}, &r);
    return r;
}

int trine_submit_copy_task(trine_scope *public, trine_executor *on, const trine_task *t,
                           const void *arg, const char *site) {
    struct scope *s = scope_of(public);
    void *copy = FAULT(malloc(t->size ? t->size : 1), NULL, ENOMEM);
    if (!copy) {
        scope_end(s, RANK_POLICY, -ECANCELED, -ENOMEM);
        return -ENOMEM;
    }
    if (t->size)
        memcpy(copy, arg, t->size);
    int r;
    begin(s, (struct start){.site = site, .on = on, .task = t, .arg = copy, .copied = true}, &r);
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

int trine_map_all_task(trine_executor *on, const trine_task *t, void *args, size_t n,
                       const char *site) {
    if (on && on->kind->map_all)
        return on->kind->map_all(on, t, args, n, site);
    trine_scope memory, *s = trine_scope_open(&memory, NULL, site);
    trine_map_task(s, on, t, args, n, site); /* what fails here reaches join */
    int status = trine_join(s);
    trine_scope_close(&s);
    return status;
}

trine_future *trine_start_task(trine_scope *s, trine_executor *on, const trine_task *t, void *arg,
                               const char *site) {
    int r;
    struct start start = {.site = site, .on = on, .task = t, .arg = arg, .handle = true};
    return begin(scope_of(s), start, &r);
}

trine_future *task_start_batch(trine_scope *s, trine_executor *on, const trine_task *t, void *args,
                               size_t n, const char *site) {
    int r;
    struct start start = {.site = site,
                          .on = on,
                          .task = t,
                          .arg = args,
                          .in = {args, n * t->size},
                          .handle = true,
                          .may_be_none = true};
    return begin(scope_of(s), start, &r);
}

/* --- with options --- */

static trine_future *begin_with(trine_scope *s, struct start start, int *ret) {
    REQUIRE(start.opts && start.opts->size == sizeof(*start.opts),
            "trine_task_opts.size at %s: set it to sizeof", start.site);
    REQUIRE(start.opts->timeout >= 0, "trine_task_opts.timeout at %s is negative", start.site);
    REQUIRE(!start.opts->progress || start.opts->progress->item_size == sizeof(trine_buf),
            "trine_task_opts.progress at %s: the channel's items are trine_buf, not of %zu bytes",
            start.site, start.opts->progress->item_size);
    return begin(scope_of(s), start, ret);
}

int trine_submit_opts_task(trine_scope *s, trine_executor *on, const trine_task *t, void *arg,
                           const trine_task_opts *opts, const char *site) {
    int r;
    begin_with(s, (struct start){.site = site, .on = on, .task = t, .arg = arg, .opts = opts}, &r);
    return r;
}

trine_future *trine_start_opts_task(trine_scope *s, trine_executor *on, const trine_task *t,
                                    void *arg, const trine_task_opts *opts, const char *site) {
    int r;
    struct start start = {
        .site = site, .on = on, .task = t, .arg = arg, .opts = opts, .handle = true};
    return begin_with(s, start, &r);
}

trine_future *trine_start_bytes_task(trine_scope *s, trine_executor *on, const trine_bytes_task *t,
                                     trine_bytes in, trine_buf *ret_out, const char *site) {
    int r;
    struct start start = {
        .site = site, .on = on, .bytes_task = t, .in = in, .out = ret_out, .handle = true};
    REQUIRE(t, "trine_start_bytes at %s has no task", site);
    ret_out->len = 0;
    return begin(scope_of(s), start, &r);
}

trine_future *trine_start_bytes_opts_task(trine_scope *s, trine_executor *on,
                                          const trine_bytes_task *t, trine_bytes in,
                                          trine_buf *ret_out, const trine_task_opts *opts,
                                          const char *site) {
    int r;
    struct start start = {.site = site,
                          .on = on,
                          .bytes_task = t,
                          .in = in,
                          .out = ret_out,
                          .opts = opts,
                          .handle = true};
    REQUIRE(t, "trine_start_bytes_opts at %s has no task", site);
    ret_out->len = 0;
    return begin_with(s, start, &r);
}

/* --- the handshake of a start --- */

int trine_spawn_ready_task(trine_scope *public, const trine_task *t, void *arg, const char *site) {
    struct strand *self = strand_self();
    if (!self)
        return -EAGAIN;
    trine_future *f = trine_start_task(public, NULL, t, arg, site);
    int r = 0;
    while (r == 0 && f->state < FUTURE_READY) {
        r = strand_reason_here(self);
        if (r == 0)
            r = waitlist_park(&f->waiters, self, "a task to be ready");
    }
    if (f->state == FUTURE_READY)
        r = 0;
    else if (f->state == FUTURE_DONE)
        r = f->status < 0 ? f->status : -EPROTO;
    trine_future_drop(f);
    return r;
}

void trine_ready(void) {
    struct strand *self = strand_self();
    REQUIRE(self && self->stack && !self->task->on,
            "trine_ready was called elsewhere than in a coroutine");
    if (self->task->state != FUTURE_STARTED)
        return;
    self->task->state = FUTURE_READY;
    future_wake_waiters(self->task);
}

/* Of this process, when it is a worker; set between tasks. */
static const _Atomic uint64_t *worker_flag;
static uint64_t worker_sequence;
_Thread_local bool task_flag_is_watched;
static bool flag_was_seen;

void task_watch_flag(const _Atomic uint64_t flag[2], uint64_t sequence) {
    worker_flag = flag;
    worker_sequence = sequence;
    task_flag_is_watched = true;
    flag_was_seen = false;
    if (loop_of_thread)
        loop_of_thread->thread.reason = 0; /* of the task before */
}

static bool is_flagged(void) {
    return worker_flag &&
           atomic_load_explicit(worker_flag, memory_order_acquire) == worker_sequence;
}

int task_flag_why(void) {
    return is_flagged() ? (int)(int64_t)atomic_load_explicit(&worker_flag[1], memory_order_relaxed)
                        : 0;
}

void task_look_at_flag(struct loop *l) {
    if (flag_was_seen || !is_flagged())
        return;
    flag_was_seen = true;
    strand_cancel(&l->thread, -ECANCELED);
}

bool trine_cancelled(void) {
    if (is_flagged())
        return true;
    struct strand *self = strand_self();
    if (!self)
        return false;
    return strand_reason(self) ||
           (self->task && atomic_load_explicit(&self->task->cancel, memory_order_acquire));
}
