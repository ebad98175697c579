/* threads.c - the thread pool: one bounded queue under a mutex, workers started when tasks come.
 *
 * Invariants: a future is in the queue (phase QUEUED), with a worker (RUNNING, CANCELLING), or has
 * been posted back. Only its owner's thread calls cancel, and only while it has not come back; a
 * worker that finds CANCELLING at the end waits for that message, so it never finds the record
 * gone. Lock order: the pool's lock alone; waiters are woken after it is released.
 *
 * Rejected for now: a queue per worker with stealing; one queue is simpler, and its cost (under
 * 200 ns a task) vanishes beside tasks worth a thread. */
#include "base/fault.h"
#include "base/panic.h"
#include "core/executor.h"
#include "core/loop.h"
#include "core/waitq.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum phase { QUEUED, RUNNING, CANCELLING, CANCEL_SEEN, FINISHED };
enum { QUEUE_DEFAULT = 4096, WORKERS_DEFAULT_MOST = 32, WORKERS_BEYOND_CPUS = 4 };

struct pool {
    struct trine_executor base;
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct list queue;        /* of futures, by in_queue */
    struct list room_waiters; /* of struct waiter */
    struct list idle_waiters; /* close waits here until nothing is left */
    unsigned queued, running, queue_most;
    unsigned workers, idle, workers_most;
    bool closing;
    char name[16];
    pthread_t threads[];
};

static struct pool *of(struct trine_executor *e) {
    return (struct pool *)e;
}

/* --- a worker --- */

static void cancel_arrived(struct message *m) {
    struct trine_future *f = container_of(m, struct trine_future, control);
    strand_cancel(f->strand, atomic_load(&f->cancel));
    atomic_store(&f->phase, CANCEL_SEEN);
}

static void run(struct trine_future *f, struct strand *self) {
    self->task = f;
    self->reason = 0;
    int status = atomic_load(&f->cancel) ? -ECANCELED : future_run(f);
    REQUIRE(!self->scope, "the task %s, started at %s, returned inside a scope: close it",
            future_name(f), f->site);
    self->task = NULL;
    int running = RUNNING;
    if (!atomic_compare_exchange_strong(&f->phase, &running, FINISHED))
        while (atomic_load(&f->phase) != CANCEL_SEEN) { /* its message is on the way */
            loop_drain_inbox(self->loop);
            sched_yield();
        }
    self->reason = 0;
    future_done_remote(f, status, NULL);
}

/* Under the lock: the next task, or NULL when the pool closes. */
static struct trine_future *next_task(struct pool *p) {
    while (list_empty(&p->queue)) {
        if (p->closing)
            return NULL;
        p->idle++;
        pthread_cond_wait(&p->work, &p->lock);
        p->idle--;
    }
    p->queued--;
    p->running++;
    return container_of(list_pop(&p->queue), struct trine_future, in_queue);
}

static void *worker_main(void *arg) {
    struct pool *p = arg;
    struct strand *self = strand_self();
    pthread_mutex_lock(&p->lock);
    for (struct trine_future *f; (f = next_task(p));) {
        f->strand = self;
        atomic_store(&f->phase, RUNNING);
        struct waiter *room = waitq_pop(&p->room_waiters);
        pthread_mutex_unlock(&p->lock);
        if (room)
            waitq_wake(room, 0);
        run(f, self);
        pthread_mutex_lock(&p->lock);
        p->running--;
        struct waiter *closer =
            p->closing && !p->running && !p->queued ? waitq_pop(&p->idle_waiters) : NULL;
        if (closer)
            waitq_wake(closer, 0);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* Under the lock. Signals are for the program's own threads. */
static int start_worker(struct pool *p) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = FAULT(pthread_create(&p->threads[p->workers], NULL, worker_main, p), EAGAIN, EAGAIN);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r)
        return -r;
    char name[32];
    snprintf(name, sizeof(name), "%.10s-%u", p->name, p->workers);
    name[15] = 0;
    pthread_setname_np(p->threads[p->workers], name);
    p->workers++;
    return 0;
}

/* --- the executor's verbs --- */

/* Under the lock: waits for room in the queue, the lock is released meanwhile. */
static int await_room(struct pool *p) {
    struct strand *self = strand_self();
    while (self && p->queued >= p->queue_most && !p->closing) {
        struct waiter w = {0};
        int r = strand_reason(self);
        if (r < 0)
            return r;
        waitq_add(&p->room_waiters, &w, self, &p->lock);
        pthread_mutex_unlock(&p->lock);
        r = waitq_park(&w, "place in a thread pool");
        pthread_mutex_lock(&p->lock);
        if (r < 0)
            return r;
    }
    return p->closing ? -ESHUTDOWN : 0;
}

static int threads_submit(struct trine_executor *e, struct trine_future *f) {
    struct pool *p = of(e);
    pthread_mutex_lock(&p->lock);
    int r = await_room(p);
    if (r == 0 && p->idle <= p->queued && p->workers < p->workers_most) {
        r = start_worker(p);
        if (p->workers)
            r = 0; /* those that run will do it */
    }
    if (r == 0) {
        atomic_store_explicit(&f->phase, QUEUED, memory_order_relaxed);
        list_push(&p->queue, &f->in_queue);
        p->queued++;
        if (p->idle)
            pthread_cond_signal(&p->work);
    }
    pthread_mutex_unlock(&p->lock);
    return r;
}

static void threads_cancel(struct trine_executor *e, struct trine_future *f) {
    struct pool *p = of(e);
    pthread_mutex_lock(&p->lock);
    bool dropped = atomic_load(&f->phase) == QUEUED;
    struct waiter *room = NULL;
    if (dropped) {
        list_remove(&f->in_queue);
        p->queued--;
        room = waitq_pop(&p->room_waiters);
    }
    pthread_mutex_unlock(&p->lock);
    if (room)
        waitq_wake(room, 0);
    if (dropped) {
        future_done_remote(f, -ECANCELED, NULL);
        return;
    }
    struct loop *worker = f->strand->loop; /* known and unchanged once the phase is RUNNING */
    int running = RUNNING;
    f->control.handle = cancel_arrived;
    if (atomic_compare_exchange_strong(&f->phase, &running, CANCELLING))
        loop_post(worker, &f->control);
}

static void await_idle(struct pool *p) {
    static const struct wait_kind closing = {.name = "close of a thread pool"};
    struct strand *self = strand_self();
    REQUIRE(self, "a thread pool was closed in a callback on the loop's own stack");
    while (p->queued || p->running) {
        struct waiter w = {0};
        waitq_add(&p->idle_waiters, &w, self, &p->lock);
        pthread_mutex_unlock(&p->lock);
        strand_park(self, &closing, &w);
        pthread_mutex_lock(&p->lock);
    }
}

static void threads_close(struct trine_executor *e) {
    struct pool *p = of(e);
    pthread_mutex_lock(&p->lock);
    REQUIRE(!p->closing, "a thread pool was closed twice");
    p->closing = true;
    for (struct waiter *w; (w = waitq_pop(&p->room_waiters));)
        waitq_wake(w, 0);
    await_idle(p);
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->workers; i++)
        pthread_join(p->threads[i], NULL);
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

static const struct executor_kind threads_kind = {.name = "threads",
                                                  .submit = threads_submit,
                                                  .cancel = threads_cancel,
                                                  .close = threads_close};

static unsigned default_workers(void) {
    unsigned n = trine_usable_cpus() + WORKERS_BEYOND_CPUS;
    return n < WORKERS_DEFAULT_MOST ? n : WORKERS_DEFAULT_MOST;
}

int trine_threads_open(trine_executor **ret_pool, const trine_threads_opts *opts) {
    static const trine_threads_opts defaults = {.size = sizeof(defaults)};
    const trine_threads_opts *o = opts ? opts : &defaults;
    REQUIRE(o->size == sizeof(*o), "trine_threads_opts.size: set it to sizeof");
    unsigned workers = o->workers ? o->workers : default_workers();
    struct pool *p = FAULT(calloc(1, sizeof(*p) + workers * sizeof(p->threads[0])), NULL, ENOMEM);
    if (!p)
        return -ENOMEM;
    p->base.kind = &threads_kind;
    p->workers_most = workers;
    p->queue_most = o->queue ? o->queue : QUEUE_DEFAULT;
    snprintf(p->name, sizeof(p->name), "%s", o->name ? o->name : "trine");
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    list_init(&p->queue);
    list_init(&p->room_waiters);
    list_init(&p->idle_waiters);
    *ret_pool = &p->base;
    return 0;
}
