/* job.c - one task on a thread of the pool, from the moment it was taken until it is given back,
 * and the request to end it. The task's record is not looked at before it runs: it lies in its
 * owner's cache, and one that was cancelled is not in the ring any more.
 *
 * A worker says in `task` what it runs, on a cache line of its own, so that the task's record is
 * not touched. The owner who wants the task to end finds the worker that way and marks `task`; the
 * worker finds the mark when it is done and then waits for the request's message, which lives in
 * the record; the owner, when the task comes back, waits until the message is through. So it never
 * meets another task, nor a record that is in use again.
 *
 * Rejected: a phase in the record (two more cache lines pass between the threads at each task). */
#include "base/panic.h"
#include "core/scope.h"
#include "core/value.h"
#include "exec/crew.h"

#include <errno.h>
#include <sched.h>

#define REQUEST_MARK ((uintptr_t)1)

static int run_on(struct strand *self, struct trine_future *f, int (*run)(void *), void *arg) {
    struct trine_future *outer_task = self->task;
    struct scope *outer_scope = self->scope;
    const struct trine_value *outer_values = self->values;
    self->task = f;
    self->values = &values_of_task;
    int status = run ? run(arg) : f->bytes_task->run(f->in, f->out);
    REQUIRE(self->scope == outer_scope,
            "the task %s, started at %s, returned inside a scope: close it", future_name(f),
            f->site);
    self->task = outer_task;
    self->values = outer_values;
    return status;
}

void job_run(struct crew_worker *w, const struct job *job) {
    struct trine_future *f = job->task;
    int status = run_on(w->strand, f, job->run, job->arg);
    bool told = outbox_add(&w->outbox, job->home, f, status);
    if (atomic_exchange(&w->task, 0) & REQUEST_MARK) {
        while (!w->cancel_seen) {
            loop_drain_inbox(w->strand->loop);
            sched_yield();
        }
        w->cancel_seen = false;
        w->strand->reason = 0;
    }
    if (told)
        outbox_tell(&w->outbox);
    else
        future_done_remote(f, status, NULL);
}

int job_run_at(struct trine_future *f, struct strand *self) {
    return run_on(self, f, f->task ? f->task->run : NULL, f->arg);
}

void job_run_here(struct trine_future *f, struct strand *self) {
    future_done_remote(f, job_run_at(f, self), NULL);
}

/* On the worker's thread. */
static void request_arrived(struct message *m) {
    struct trine_future *f = container_of(m, struct trine_future, control);
    struct crew_worker *w = f->executor_data;
    strand_cancel(w->strand, atomic_load_explicit(&f->cancel, memory_order_relaxed));
    w->cancel_seen = true;
    atomic_store_explicit(&f->phase, JOB_REQUEST_SEEN, memory_order_release);
}

void job_cancel(struct crew *c, struct trine_future *f) {
    for (unsigned i = 0; i < c->workers_most; i++) {
        struct crew_worker *w = &c->all[i];
        uintptr_t running = (uintptr_t)f;
        if (atomic_load(&w->task) != running)
            continue;
        f->executor_data = w;
        f->control.handle = request_arrived;
        atomic_store_explicit(&f->phase, JOB_REQUESTED, memory_order_relaxed);
        if (atomic_compare_exchange_strong(&w->task, &running, running | REQUEST_MARK))
            loop_post(w->strand->loop, &f->control);
        else { /* it has just ended */
            f->executor_data = NULL;
            atomic_store_explicit(&f->phase, JOB_HERE, memory_order_relaxed);
        }
        return;
    }
}

void crew_await_cancel(struct trine_future *f) {
    while (atomic_load_explicit(&f->phase, memory_order_acquire) == JOB_REQUESTED)
        sched_yield();
}
