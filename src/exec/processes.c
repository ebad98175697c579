/* processes.c - the process executor as other threads see it: open, submit, cancel, close. All work
 * is done by the pool's supervisor thread; what is here hands messages to it.
 *
 * Submitted tasks lie in an array, `incoming`, which the supervisor takes as a whole: who walks a
 * chain of messages waits for a cache line for each. A future has one control message, which must
 * not be posted again before it was handled, and the record must not go back to its owner while
 * that message is under way. `phase` sees to both:
 *
 *     owner:       NONE -> SUBMITTED            submit() adds it to the incoming, or posts control
 *                  SUBMITTED -> _CANCEL         cancel(); nothing is posted, the supervisor looks
 *                  HELD -> CANCELLING           cancel() posts control
 *     supervisor:  SUBMITTED* -> HELD           the submission has arrived
 *                  HELD -> RETURNED             given back; a later cancel() does nothing
 *                  CANCELLING -> RETURNED       its result waits for the cancel message to arrive
 *                  CANCELLING -> CANCELLED      the cancel message has arrived; control is free
 *                  CANCELLED -> RETURNED        given back
 *
 * Lock order: pool->driving, pool->lock.
 * Rejected: a lock a future; a second message a future (cancel is rare). */
#include "exec/batch.h"
#include "exec/pool.h"
#include "exec/sandbox.h"

#include <trine/task.h>

#include "base/fault.h"
#include "base/panic.h"
#include "core/scope.h"
#include "core/waitq.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { QUEUE_DEFAULT = 4096, INCOMING_MOST = 4096, WORKERS_MAX = 1024 };
#define RESULT_DEFAULT ((size_t)64 << 20)
#define GRACE_DEFAULT TRINE_MS(100)
#define SPIN_MOST TRINE_SEC(24 * 3600)

static struct pool *of(struct trine_executor *e) {
    return container_of(e, struct pool, base);
}

/* --- giving back --- */

void pool_hand_back(struct pool *p) {
    if (!p->owner)
        return;
    loop_post_chain(p->owner, p->back_newest, p->back_oldest);
    loop_wake_for(p->owner, p->owner_count);
    atomic_fetch_sub(&p->live, p->back);
    p->owner = NULL;
    p->owner_count = 0;
    p->back = 0;
}

/* It goes back with the others, when the turn is over or one of another owner comes. */
static void add_back(struct pool *p, struct trine_future *f, int status, struct failure *failure) {
    if (p->owner != f->home) {
        pool_hand_back(p);
        p->owner = f->home;
    }
    struct message *m = future_done_message(f, status, failure);
    if (f->looked_out_for)
        m->handle = pool_noticed;
    if (p->back++)
        m->next = p->back_newest;
    else
        p->back_oldest = m;
    p->back_newest = m;
    p->owner_count = status >= 0 && p->owner_count < INT_MAX ? p->owner_count + 1 : INT_MAX;
}

void pool_give_back(struct pool *p, struct trine_future *f, int status, struct failure *failure) {
    int phase = PHASE_HELD;
    bool cancel_under_way = !atomic_compare_exchange_strong(&f->phase, &phase, PHASE_RETURNED) &&
                            phase == PHASE_CANCELLING;
    if (cancel_under_way) {
        f->status = status;
        f->failure = failure;
        atomic_store(&f->phase, PHASE_RETURNED);
        return; /* cancel_arrived gives it back */
    }
    add_back(p, f, status, failure);
}

/* --- messages to the supervisor --- */

static void cancel_arrived(struct message *m) {
    struct trine_future *f = container_of(m, struct trine_future, control);
    struct pool *p = of(f->on);
    if (atomic_load(&f->phase) == PHASE_RETURNED) {
        add_back(p, f, f->status, f->failure);
        return;
    }
    atomic_store(&f->phase, PHASE_CANCELLED);
    pool_task_cancelled(p, f);
}

static void task_arrived(struct pool *p, struct trine_future *f) {
    if (atomic_exchange(&f->phase, PHASE_HELD) == PHASE_SUBMITTED) {
        pool_task_arrived(p, f);
        return;
    }
    p->left++;
    pool_give_back(p, f, -ECANCELED, NULL);
}

static void submission_arrived(struct message *m) {
    struct trine_future *f = container_of(m, struct trine_future, control);
    task_arrived(of(f->on), f);
}

/* What the supervisor will touch of it, and its owner has in its cache. */
static void fetch(const struct trine_future *f) {
    __builtin_prefetch(&f->phase, 1);
    __builtin_prefetch(&f->task);
    __builtin_prefetch(&f->cancel, 1);
}

static void incoming_arrived(struct message *m) {
    enum { AHEAD = 8 };
    struct pool *p = container_of(m, struct pool, arrivals);
    pthread_mutex_lock(&p->lock);
    struct trine_future **all = p->incoming;
    unsigned n = p->incoming_count;
    p->incoming = p->arriving;
    p->arriving = all;
    p->incoming_count = 0;
    p->incoming_told = false;
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < n; i++) {
        if (i + AHEAD < n)
            fetch(all[i + AHEAD]);
        task_arrived(p, all[i]);
    }
}

static void close_arrived(struct message *m) {
    pool_close_arrived(container_of(m, struct pool, close));
}

/* --- submit, cancel --- */

/* Who waits is let in when half of the queue is free: else it would be woken for each task. */
void pool_make_room(struct pool *p) {
    struct taken in = {0};
    if (!p->left)
        return;
    pthread_mutex_lock(&p->lock);
    p->queued -= (unsigned)p->left;
    struct waiter *next;
    while (p->left-- > 0 && p->queued <= p->queue_limit / 2 && (next = waitq_pop(&p->submitters)))
        taken_add(&in, next);
    pthread_mutex_unlock(&p->lock);
    p->left = 0;
    taken_wake(&in, 0);
}

/* Has the thread nothing to do for the tasks that come back meanwhile? */
static bool only_waits(const struct strand *self) {
    for (const struct scope *s = self->scope; s; s = s->outer)
        if (s->waiting || s->policy == TRINE_FIRST)
            return false;
    return !self->stack;
}

static int await_room(struct waiter *w, struct strand *self) {
    static const unsigned all = UINT_MAX;
    self->loop->awaited = only_waits(self) ? &all : NULL;
    int r = waitq_park(w, "room in a process pool");
    self->loop->awaited = NULL;
    return r;
}

/* Where a task is that has a place in the queue. */
enum entry {
    ENTRY_FIRST, /* nowhere yet: none is before it, and the supervisor sleeps */
    ENTRY_ADDED, /* among the incoming: the supervisor is to be woken */
    ENTRY_ALONE  /* nowhere: there are too many of them */
};

/* Under the lock, as the message must be posted: what is posted later comes behind it, and another
 * thread's tasks need not wait for this one. */
static enum entry add_incoming(struct pool *p, struct trine_future *f) {
    if (p->incoming_count == INCOMING_MOST)
        return ENTRY_ALONE;
    p->incoming[p->incoming_count++] = f;
    if (!p->incoming_told)
        loop_post_chain(p->loop, &p->arrivals, &p->arrivals);
    p->incoming_told = true;
    return ENTRY_ADDED;
}

/* Under the lock, there is room. */
static enum entry enter(struct pool *p, struct trine_future *f) {
    p->queued++;
    atomic_fetch_add(&p->live, 1);
    pool_look_out(p, f);
    bool cancelled = atomic_load_explicit(&f->cancel, memory_order_relaxed);
    atomic_store_explicit(&f->phase, cancelled ? PHASE_SUBMITTED_CANCEL : PHASE_SUBMITTED,
                          memory_order_relaxed); /* it is published with the task */
    bool asleep = atomic_load_explicit(&p->loop->sleeping, memory_order_relaxed) != LOOP_AWAKE;
    return asleep && !p->incoming_count ? ENTRY_FIRST : add_incoming(p, f);
}

/* Takes a place in the queue: 0, or why there is none. A callback on the loop's own stack cannot
 * wait and goes over the bound (see executor.h). */
static int enter_queue(struct pool *p, struct trine_future *f, enum entry *ret_entry) {
    struct strand *self = strand_self();
    for (;;) { /* room first: who was let in and cancelled at once must not let it lie */
        pthread_mutex_lock(&p->lock);
        if (p->closed || p->queued < p->queue_limit || !self) {
            bool closed = p->closed;
            if (!closed)
                *ret_entry = enter(p, f);
            pthread_mutex_unlock(&p->lock);
            return closed ? -ESHUTDOWN : 0;
        }
        struct waiter w = {0};
        int r = strand_reason(self);
        if (r == 0)
            waitq_add(&p->submitters, &w, self, &p->lock);
        pthread_mutex_unlock(&p->lock);
        if (r == 0)
            r = await_room(&w, self);
        if (r < 0)
            return r;
    }
}

bool pool_take_place(struct pool *p) {
    struct loop *l = p->loop;
    if (atomic_load_explicit(&l->sleeping, memory_order_relaxed) == LOOP_AWAKE ||
        pthread_mutex_trylock(&p->driving) != 0)
        return false;
    if (!p->ended_for_good && !atomic_load(&l->backend->lent_wanted))
        return true;
    pthread_mutex_unlock(&p->driving);
    return false;
}

static bool supervisor_has_to_know(const struct pool *p) {
    return timers_fresh(&p->loop->timers) || p->missing || (p->closing && !atomic_load(&p->live));
}

bool pool_is_wanted(struct pool *p) {
    return supervisor_has_to_know(p) || atomic_load(&p->loop->backend->lent_wanted) ||
           atomic_load_explicit(&p->loop->inbox, memory_order_relaxed);
}

void pool_leave_place(struct pool *p) {
    struct loop *l = p->loop;
    bool wake = supervisor_has_to_know(p);
    pthread_mutex_unlock(
        &p->driving); /* *p may be gone from now on, if all of its tasks are back */
    if (wake)
        loop_wake(l);
}

/* What the supervisor would do, while it sleeps: two threads need not change places for that. Not
 * before what was posted to it already. False: it is at work. */
static bool submit_in_place(struct pool *p, struct trine_future *f) {
    if (!pool_take_place(p))
        return false;
    bool next = !atomic_load(&p->loop->inbox);
    if (next) {
        task_arrived(p, f);
        pool_settle(p);
    }
    pool_leave_place(p);
    return next;
}

static int submit(struct trine_executor *e, struct trine_future *f) {
    struct pool *p = of(e);
    REQUIRE(!f->options || f->own.worker <= p->workers_wanted,
            "the task %s, started at %s, is for worker %u of a pool that has %u", future_name(f),
            f->site, f->own.worker, p->workers_wanted);
    atomic_store_explicit(&f->phase, PHASE_NONE, memory_order_relaxed);
    struct loop *supervisor = p->loop; /* *p may be gone as soon as the task is there */
    enum entry entry;
    int r = enter_queue(p, f, &entry);
    if (r < 0)
        return r;
    if (entry == ENTRY_FIRST) {
        if (submit_in_place(p, f))
            return 0;
        pthread_mutex_lock(&p->lock);
        entry = add_incoming(p, f);
        pthread_mutex_unlock(&p->lock);
    }
    if (entry == ENTRY_ALONE) {
        f->control.handle = submission_arrived;
        loop_post(supervisor, &f->control);
    } else {
        loop_wake(supervisor);
    }
    return 0;
}

static void cancel(struct trine_executor *e, struct trine_future *f) {
    int phase = PHASE_SUBMITTED;
    if (atomic_compare_exchange_strong(&f->phase, &phase, PHASE_SUBMITTED_CANCEL))
        return;
    phase = PHASE_HELD;
    if (!atomic_compare_exchange_strong(&f->phase, &phase, PHASE_CANCELLING))
        return;
    f->control.handle = cancel_arrived;
    loop_post(of(e)->loop, &f->control);
}

/* --- open, close --- */

static const struct wait_kind opening = {.name = "open a process pool"};
static const struct wait_kind closing = {.name = "close a process pool"};

static void opened(struct message *m) {
    struct pool *p = container_of(m, struct pool, opened);
    strand_unpark(p->waiter, 0);
}

static void ended(struct message *m) {
    struct pool *p = container_of(m, struct pool, ended);
    strand_unpark(p->waiter, 0);
}

static void pool_free_memory(struct pool *p) {
    free(p->incoming);
    free(p->arriving);
    free(p->seats);
    free(p);
}

static void free_pool(struct trine_executor *e) {
    struct pool *p = of(e);
    pthread_mutex_destroy(&p->lock);
    pthread_mutex_destroy(&p->driving);
    pool_free_memory(p);
}

static void close_pool(struct trine_executor *e) {
    struct pool *p = of(e);
    p->waiter = strand_self();
    REQUIRE(p->waiter, "a process pool was closed in a callback on the loop's own stack");
    struct taken refused = {0};
    pthread_mutex_lock(&p->lock);
    p->closed = true;
    taken_add_all(&refused, &p->submitters);
    pthread_mutex_unlock(&p->lock);
    taken_wake(&refused, -ESHUTDOWN);
    loop_post(p->loop, &p->close);
    strand_park(p->waiter, &closing, NULL);
    pthread_join(p->thread, NULL);
}

static int map_all(struct trine_executor *e, const trine_task *t, void *args, size_t n,
                   const char *site) {
    return batch_map_all(of(e), t, args, n, site);
}

static const struct executor_kind processes_kind = {.name = "processes",
                                                    .other_memory = true,
                                                    .submit = submit,
                                                    .cancel = cancel,
                                                    .map_all = map_all,
                                                    .close = close_pool,
                                                    .free = free_pool};

static struct pool *pool_new(const trine_processes_opts *o) {
    struct pool *p = FAULT(calloc(1, sizeof(*p)), NULL, ENOMEM);
    if (!p)
        return NULL;
    p->base.kind = &processes_kind;
    p->base.refs = 1;
    p->workers_wanted = o->workers ? o->workers : trine_usable_cpus();
    p->seats = FAULT(calloc(p->workers_wanted, sizeof(p->seats[0])), NULL, ENOMEM);
    p->incoming = FAULT(calloc(INCOMING_MOST, sizeof(p->incoming[0])), NULL, ENOMEM);
    p->arriving = FAULT(calloc(INCOMING_MOST, sizeof(p->arriving[0])), NULL, ENOMEM);
    if (!p->seats || !p->incoming || !p->arriving) {
        pool_free_memory(p);
        return NULL;
    }
    for (unsigned i = 0; i < p->workers_wanted; i++)
        list_init(&p->seats[i].bound);
    p->queue_limit = o->queue ? o->queue : QUEUE_DEFAULT;
    p->max_tasks = o->max_tasks;
    p->task_timeout = o->task_timeout;
    p->grace = o->grace ? o->grace : GRACE_DEFAULT;
    p->limit_memory = o->limit_memory;
    p->limit_cpu = o->limit_cpu;
    p->max_age = o->max_age;
    p->pin = o->pin;
    p->request.sandbox = o->sandbox;
    p->request.spin = o->spin;
    p->on_start = o->on_start;
    p->on_stop = o->on_stop;
    p->max_resident = o->max_resident;
    p->max_result = o->max_result ? o->max_result : RESULT_DEFAULT;
    pthread_mutex_init(&p->lock, NULL);
    pthread_mutex_init(&p->driving, NULL);
    list_init(&p->submitters);
    list_init(&p->queue);
    list_init(&p->again);
    list_init(&p->workers);
    list_init(&p->idle);
    list_init(&p->unused);
    p->opened.handle = opened;
    p->close.handle = close_arrived;
    p->arrivals.handle = incoming_arrived;
    p->ended.handle = ended;
    return p;
}

/* Starts the supervisor with all signals blocked: handlers run on the program's own threads. */
static int start_thread(struct pool *p) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = FAULT(pthread_create(&p->thread, NULL, pool_supervise, p), EAGAIN, EAGAIN);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -r;
}

int trine_processes_open(trine_executor **ret_pool, const trine_processes_opts *opts) {
    static const trine_processes_opts defaults = {.size = sizeof(defaults)};
    const trine_processes_opts *o = opts ? opts : &defaults;
    zygote_require_init();
    REQUIRE(o->size == sizeof(*o), "trine_processes_opts.size is %u: set it to sizeof", o->size);
    REQUIRE(o->workers <= WORKERS_MAX && o->task_timeout >= 0 && o->grace >= 0 &&
                o->limit_cpu >= 0 && o->spin <= SPIN_MOST && (o->cgroup || !o->cpu_percent) &&
                o->max_age >= 0 && o->max_result <= WIRE_BODY_MAX,
            "trine_processes_opts: at most %d workers, no time negative, a spin of at most a day, "
            "cpu_percent with cgroup only",
            WORKERS_MAX);
    size_t arg_size = o->on_start ? o->on_start->size : 0;
    if (o->on_stop && o->on_stop->size > arg_size)
        arg_size = o->on_stop->size;
    REQUIRE(arg_size <= HOOK_ARG_MOST,
            "trine_processes_opts.hook_arg: at most %d bytes, not %zu; for more give the name of a "
            "file",
            HOOK_ARG_MOST, arg_size);
    struct strand *self;
    int r = strand_enter(&self);
    if (r >= 0 && o->sandbox)
        r = sandbox_check();
    if (r < 0)
        return r;
    struct pool *p = pool_new(o);
    if (!p)
        return -ENOMEM;
    if (o->cgroup) {
        struct group_limits limits = {.memory = o->limit_memory, .cpu_percent = o->cpu_percent};
        r = groups_open(&p->groups, o->cgroup, &limits);
        if (r < 0) {
            executor_let_go(&p->base);
            return r;
        }
    }
    if (o->hook_arg)
        memcpy(p->request.hook_arg, o->hook_arg, arg_size);
    p->waiter = self;
    r = start_thread(p);
    if (r < 0) {
        groups_close(&p->groups);
        executor_let_go(&p->base);
        return r;
    }
    strand_park(self, &opening, NULL);
    if (p->open_result < 0) {
        r = p->open_result;
        pthread_join(p->thread, NULL);
        groups_close(&p->groups);
        executor_let_go(&p->base);
        return r;
    }
    *ret_pool = &p->base;
    return 0;
}

unsigned trine_processes_count(trine_executor *pool) {
    REQUIRE(pool && pool->kind == &processes_kind,
            "trine_processes_count wants a pool of trine_processes_open");
    return of(pool)->workers_wanted;
}

int trine_processes_each_task(trine_executor *pool, const trine_task *t, void *args,
                              const char *site) {
    unsigned n = trine_processes_count(pool);
    trine_scope memory,
        *s = trine_scope_open(&memory, TRINE_OPTS(trine_scope_opts, .policy = TRINE_COLLECT), site);
    int r = 0;
    for (unsigned i = 0; i < n && r >= 0; i++)
        r = trine_submit_opts_task(s, pool, t, (char *)args + i * t->size,
                                   TRINE_OPTS(trine_task_opts, .worker = i + 1), site);
    r = trine_join(s); /* what failed to start reaches it */
    trine_scope_close(&s);
    return r;
}
