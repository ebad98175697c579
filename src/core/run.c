/* run.c - trine_run: the thread waits for the main coroutine, and its loop turns meanwhile. That is
 * all: a loop under trine_run differs from a waiting plain thread's in that coroutines may be
 * spawned. */
#include "base/panic.h"
#include "core/loop.h"
#include "core/scope.h"
#include "core/task.h"
#include "core/watchdog.h"

#include <errno.h>

#define A_DAY TRINE_SEC(24 * 3600)

/* What ends the thread's waits ends those of its main coroutine; the thread waits on for that. */
static void cancel_main(struct strand *thread, int reason) {
    struct trine_future *f = thread->loop->main;
    int why = strand_why(thread);
    task_mark_cancelled(f, reason, why ? why : reason);
    strand_cancel(f->strand, reason);
}

static const struct wait_kind running_main = {.name = "the main coroutine", .abort = cancel_main};

void main_done(struct trine_future *f, int status) {
    future_settle(f, status);
    strand_unpark(&f->home->thread, 0);
}

int trine_run_task(const trine_task *task, void *arg, const trine_run_opts *opts) {
    REQUIRE(!opts || opts->size == sizeof(*opts), "trine_run_opts.size: set it to sizeof");
    struct loop *l = loop_self();
    REQUIRE(!l->running && l->current == &l->thread,
            "trine_run was called inside a loop: spawn a task instead");
    if (opts && opts->stack_size && !l->stacks)
        l->stack_stride = opts->stack_size;
    struct trine_future *f = future_new(l, RECORD_COROUTINE);
    if (!f)
        return -ENOMEM;
    f->scope = NULL;
    f->on = NULL;
    f->task = task;
    f->arg = arg;
    f->site = "trine_run";
    f->state = FUTURE_STARTED;
    watchdog_from_environment();
    l->spin = opts ? opts->spin : 0;
    l->spin = l->spin < A_DAY ? l->spin : A_DAY; /* so that sums with it are in range */
    l->running = true;
    l->main = f;
    int status = -ENOMEM;
    if (coroutine_new(l, f, strand_reason(&l->thread))) {
        strand_park(&l->thread, &running_main, NULL);
        status = f->status;
    }
    l->running = false;
    l->main = NULL;
    l->spin = 0;
    future_free(f);
    return status;
}
