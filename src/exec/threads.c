/* threads.c - the thread pool's verbs; see crew.h for its parts.
 *
 * Invariants: a future is in a ring (executor_data is its slot), in `overflow` (executor_data is
 * NULL, under the lock), with a worker, or has come back. Only its owner's thread calls cancel, and
 * only while it has not come back. Putters hold `putting`, which costs a pool's only submitter next
 * to nothing; workers take without it, and look at `pressure` after they have: somebody waits for
 * the room. Lock order: the crew's lock, `putting`.
 *
 * Who puts a task in looks then, without the lock, whether somebody must be called; who ceases to
 * work says so and looks then whether there is a task (see crew.c). One of them sees the other. */
#include "base/fault.h"
#include "base/panic.h"
#include "core/waitq.h"
#include "exec/chunks.h"
#include "exec/crew.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { QUEUE_DEFAULT = 4096, WORKERS_DEFAULT_MOST = 32, WORKERS_BEYOND_CPUS = 4 };
#define SPIN_DEFAULT TRINE_US(20)
#define IDLE_DEFAULT TRINE_SEC(10)

static const struct executor_kind threads_kind, background_kind;

static struct crew *of(struct trine_executor *e, int *ret_priority) {
    *ret_priority = e->kind == &background_kind;
    return *ret_priority ? container_of(e, struct crew, background)
                         : container_of(e, struct crew, base);
}

/* --- room --- */

/* Holds `putting`. */
static struct slot *put(struct crew *c, int priority, struct trine_future *f) {
    struct job job = {f, f->task ? f->task->run : NULL, f->arg, f->home};
    struct slot *slot = ring_put(&c->rings[priority], &job);
    if (slot)
        atomic_store_explicit(&c->put, c->put + 1, memory_order_relaxed);
    f->executor_data = slot;
    if (slot)
        atomic_store_explicit(&f->phase, JOB_HERE, memory_order_relaxed);
    return slot;
}

/* Under the lock: tasks that found no room go on, as far as there is some. */
static bool put_overflow(struct crew *c, int priority) {
    while (!list_empty(&c->overflow[priority])) {
        struct trine_future *f =
            container_of(c->overflow[priority].next, struct trine_future, in_queue);
        bool quick = home_lock_take(&c->putting);
        bool is_in = put(c, priority, f);
        home_lock_drop(&c->putting, quick);
        if (!is_in)
            return false;
        list_remove(&f->in_queue);
    }
    return true;
}

void crew_relieve(struct crew *c) {
    if (crew_queued(c) * 2 > c->queue_most)
        return; /* not yet: a wake-up for each place would cost more than the task */
    pthread_mutex_lock(&c->lock);
    bool all_in = put_overflow(c, NORMAL);
    all_in &= put_overflow(c, BACKGROUND);
    for (struct waiter *w; (w = waitq_pop(&c->room_waiters));)
        waitq_wake(w, 0);
    atomic_store(&c->pressure, !all_in);
    pthread_mutex_unlock(&c->lock);
}

/* Holds `putting`: tasks that may be put in before it has to be asked again. The counts of all
 * workers are read for it, which others write: not for each task. */
static unsigned free_room(struct crew *c) {
    uint64_t queued = crew_queued(c);
    return queued < c->queue_most ? (unsigned)(c->queue_most - queued) : 0;
}

/* Under the lock: waits for room, the lock is released meanwhile. */
static int await_room(struct crew *c, struct strand *self) {
    struct waiter w = {0};
    int r = strand_reason(self);
    if (r < 0)
        return r;
    waitq_add(&c->room_waiters, &w, self, &c->lock);
    pthread_mutex_unlock(&c->lock);
    r = waitq_park(&w, "place in a thread pool");
    pthread_mutex_lock(&c->lock);
    return r;
}

/* With or without the lock: puts a task in if there is room, else -EBUSY. -ECANCELED: what its
 * owner has heard since it began to submit cancelled it. */
static inline int put_at_once(struct crew *c, int priority, struct trine_future *f) {
    int r = -EBUSY;
    if (atomic_load_explicit(&f->cancel, memory_order_relaxed))
        return -ECANCELED;
    bool quick = home_lock_take(&c->putting);
    if (c->refuses)
        r = -ESHUTDOWN;
    else if ((c->room || (c->room = free_room(c))) && put(c, priority, f)) {
        c->room--;
        r = 0;
    }
    home_lock_drop(&c->putting, quick);
    return r;
}

/* Under the lock: puts a task in, or waits until it can; -EBUSY: it is not to wait. */
static int put_or_wait(struct crew *c, int priority, struct trine_future *f) {
    struct strand *self = strand_self();
    bool pressed = false;
    for (;;) {
        int r = put_at_once(c, priority, f);
        if (r != -EBUSY)
            return r;
        if (!self || c->opts.when_full != TRINE_FULL_WAIT)
            return -EBUSY;
        if (!pressed) { /* and look again, now that takers will look for us */
            atomic_store(&c->pressure, true);
            pressed = true;
            continue;
        }
        if ((r = await_room(c, self)) < 0)
            return r;
        pressed = false;
    }
}

/* --- the executor's verbs --- */

/* Under the lock, there was no room: what the pool was told to do then. */
static int submit_full(struct crew *c, int priority, struct trine_future *f) {
    struct strand *self = strand_self();
    if (!self) { /* a scope's limit lets it go, which keeps these few */
        f->executor_data = NULL;
        atomic_store_explicit(&f->phase, JOB_HERE, memory_order_relaxed);
        list_push(&c->overflow[priority], &f->in_queue);
        atomic_store(&c->pressure, true);
        put_overflow(c, priority); /* a place may have become free before takers saw `pressure` */
        return crew_call(c);
    }
    if (c->opts.when_full != TRINE_FULL_RUN_HERE)
        return -EBUSY;
    pthread_mutex_unlock(&c->lock);
    job_run_here(f, self);
    pthread_mutex_lock(&c->lock);
    return 0;
}

/* Who submits one task after the other and never waits takes back now and then what is done, so
 * that the records are used again while they are in the cache. */
static void take_what_came_back(struct crew *c) {
    enum { EVERY = 128 };
    struct strand *self;
    if (atomic_load_explicit(&c->put, memory_order_relaxed) % EVERY == 0 && (self = strand_self()))
        loop_drain_inbox(self->loop);
}

/* A task was put in, and may be done and gone already: is there somebody who will look for it? */
static inline bool must_call(struct crew *c) {
    unsigned state = atomic_load(&c->state);
    return state < CREW_SEARCHING && (state || atomic_load(&c->workers) < c->workers_most);
}

/* 0, or it is not in the pool: there is nobody to run it, and no thread can be had. */
static int call_for(struct crew *c, struct trine_future *f, struct slot *slot) {
    int r = crew_call(c);
    if (r == 0 || !ring_take_back(slot, f))
        return 0; /* if not there any more, a worker has it */
    atomic_fetch_add(&c->taken_back, 1);
    return r;
}

static __attribute__((noinline)) int submit_slowly(struct crew *c, int priority,
                                                   struct trine_future *f, int r) {
    pthread_mutex_lock(&c->lock);
    if (r == -EBUSY)
        r = put_or_wait(c, priority, f);
    if (r == -EBUSY)
        r = submit_full(c, priority, f);
    else if (r == 0 && must_call(c))
        r = call_for(c, f, f->executor_data);
    pthread_mutex_unlock(&c->lock);
    return r;
}

static int threads_submit(struct trine_executor *e, struct trine_future *f) {
    int priority;
    struct crew *c = of(e, &priority);
    atomic_store_explicit(&f->phase, JOB_IN_SUBMIT, memory_order_relaxed);
    take_what_came_back(c);
    int r = put_at_once(c, priority, f);
    return r == 0 && !must_call(c) ? 0 : submit_slowly(c, priority, f, r);
}

/* Takes a task back that no worker has. One that was asked to end has its worker in executor_data.
 */
static bool take_back(struct crew *c, struct trine_future *f) {
    bool back = false;
    if (atomic_load_explicit(&f->phase, memory_order_relaxed) != JOB_HERE)
        return false;
    pthread_mutex_lock(&c->lock);
    struct slot *slot = f->executor_data;
    if (slot) {
        back = ring_take_back(slot, f);
        if (back)
            atomic_fetch_add(&c->taken_back, 1);
    } else if (!list_empty(&f->in_queue)) {
        list_remove(&f->in_queue);
        back = true;
    }
    pthread_mutex_unlock(&c->lock);
    if (back && atomic_load(&c->pressure))
        crew_relieve(c);
    return back;
}

static bool in_submit(const struct trine_future *f) { /* which looks at f->cancel as it goes on */
    return atomic_load_explicit(&f->phase, memory_order_relaxed) == JOB_IN_SUBMIT;
}

static bool threads_drop(struct trine_executor *e, struct trine_future *f) {
    int priority;
    bool back = !in_submit(f) && take_back(of(e, &priority), f);
    if (back)
        future_done_remote(f, -ECANCELED, NULL);
    return back;
}

static void threads_cancel(struct trine_executor *e, struct trine_future *f) {
    int priority;
    if (!in_submit(f) && !threads_drop(e, f))
        job_cancel(of(e, &priority), f);
}

static bool threads_run_here(struct trine_executor *e, struct trine_future *f, struct strand *self,
                             int *ret_status) {
    int priority;
    if (!take_back(of(e, &priority), f))
        return false;
    *ret_status =
        atomic_load_explicit(&f->cancel, memory_order_relaxed) ? -ECANCELED : job_run_at(f, self);
    f->failure = NULL;
    return true;
}

static int threads_map_all(struct trine_executor *e, const trine_task *t, void *args, size_t n,
                           const char *site) {
    int priority;
    return chunks_map_all(e, of(e, &priority)->workers_most, t, args, n, site);
}

static void threads_close(struct trine_executor *e) {
    int priority;
    struct crew *c = of(e, &priority);
    REQUIRE(priority == NORMAL, "the background of a thread pool was closed: close the pool");
    REQUIRE(strand_self(), "a thread pool was closed in a callback on the loop's own stack");
    pthread_mutex_lock(&c->lock);
    REQUIRE(!c->closing, "a thread pool was closed twice");
    c->closing = true;
    bool quick = home_lock_take(&c->putting);
    c->refuses = true;
    home_lock_drop(&c->putting, quick);
    for (struct waiter *w; (w = waitq_pop(&c->room_waiters));)
        waitq_wake(w, 0);
    crew_dismiss(c);
    pthread_mutex_unlock(&c->lock);
}

static void threads_free(struct trine_executor *e) {
    struct crew *c = container_of(e->family, struct crew, base);
    ring_done(&c->rings[NORMAL]);
    ring_done(&c->rings[BACKGROUND]);
    home_lock_done(&c->putting);
    pthread_mutex_destroy(&c->lock);
    free(c->all);
    free(c);
}

static const struct executor_kind threads_kind = {.name = "threads",
                                                  .submit = threads_submit,
                                                  .cancel = threads_cancel,
                                                  .drop = threads_drop,
                                                  .run_here = threads_run_here,
                                                  .map_all = threads_map_all,
                                                  .close = threads_close,
                                                  .free = threads_free};
static const struct executor_kind background_kind = {.name = "background threads",
                                                     .submit = threads_submit,
                                                     .cancel = threads_cancel,
                                                     .drop = threads_drop,
                                                     .run_here = threads_run_here,
                                                     .close = threads_close,
                                                     .free = threads_free};

/* --- open --- */

static unsigned default_workers(void) {
    unsigned n = trine_usable_cpus() + WORKERS_BEYOND_CPUS;
    return n < WORKERS_DEFAULT_MOST ? n : WORKERS_DEFAULT_MOST;
}

static void take_options(struct crew *c, const trine_threads_opts *o) {
    c->opts = *o;
    c->queue_most = o->queue ? o->queue : QUEUE_DEFAULT;
    c->opts.spin = o->spin ? o->spin : SPIN_DEFAULT;
    c->opts.idle = o->idle ? o->idle : IDLE_DEFAULT;
    if (c->opts.idle < 0)
        c->opts.idle = INT64_MAX / 2;
    snprintf(c->name, sizeof(c->name), "%s", o->name ? o->name : "trine");
}

static int crew_init(struct crew *c, unsigned workers) {
    c->all = FAULT(aligned_alloc(64, workers * sizeof(c->all[0])), NULL, ENOMEM);
    int r = c->all ? ring_init(&c->rings[NORMAL], c->queue_most) : -ENOMEM;
    if (r == 0)
        r = ring_init(&c->rings[BACKGROUND], c->queue_most);
    if (r < 0)
        return r;
    pthread_mutex_init(&c->lock, NULL);
    home_lock_init(&c->putting);
    struct list *lists[] = {&c->overflow[NORMAL], &c->overflow[BACKGROUND],
                            &c->room_waiters,     &c->closers,
                            &c->asleep,           &c->absent,
                            &c->leavers};
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        list_init(lists[i]);
    c->workers_most = workers;
    for (unsigned i = 0; i < workers; i++) {
        c->all[i] = (struct crew_worker){.crew = c, .number = i};
        list_push(&c->absent, &c->all[i].node);
    }
    return 0;
}

int trine_threads_open(trine_executor **ret_pool, const trine_threads_opts *opts) {
    static const trine_threads_opts defaults = {.size = sizeof(defaults)};
    const trine_threads_opts *o = opts ? opts : &defaults;
    REQUIRE(o->size == sizeof(*o), "trine_threads_opts.size: set it to sizeof");
    struct crew *c = FAULT(aligned_alloc(64, sizeof(*c)), NULL, ENOMEM);
    if (!c)
        return -ENOMEM;
    *c = (struct crew){.base = {&threads_kind, &c->base, o->help, 1},
                       .background = {&background_kind, &c->base, o->help, 0}};
    take_options(c, o);
    int r = crew_init(c, o->workers ? o->workers : default_workers());
    if (r < 0) {
        threads_free(&c->base);
        return r;
    }
    *ret_pool = &c->base;
    return 0;
}

trine_executor *trine_threads_background(trine_executor *pool) {
    REQUIRE(pool && pool->kind == &threads_kind,
            "trine_threads_background wants a pool of trine_threads_open");
    return &container_of(pool, struct crew, base)->background;
}
