/* crew.c - who works in a thread pool. A worker looks for a task, first in what it has claimed,
 * then in the rings, then in what others have claimed; looks on for some microseconds; sleeps; and
 * leaves after a while without work.
 *
 * Invariants: `state` counts who sleeps and who searches. Who puts a task in calls somebody only if
 * nobody searches; who stops searching, be it that it found a task or that it will sleep, looks
 * again after it has said so, and calls another one if there is more. Both sides write first and
 * look then, sequentially consistent: one of them sees the other, so no task is left lying while a
 * worker sleeps. A worker is in `absent` (no thread), `asleep`, `leavers` (its thread ends), or in
 * no list. Lock order: the crew's lock alone; messages and futexes are woken under it.
 *
 * Rejected: waking a worker for every task (a system call each; who searches will find it). */
#include "exec/crew.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/futex.h"
#include "base/relax.h"
#include "core/stuck.h"
#include "core/waitq.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { WORD_AWAKE, WORD_ASLEEP };
enum { CLAIM_MOST = 16, LOOKS_BEFORE_CLOCK = 32, AT_ONCE = 3, HEAD_START = 40, IN_VAIN_MOST = 3 };

/* --- finding a task --- */

static bool take(struct crew_worker *w, int priority, uint64_t at, struct job *job) {
    struct crew *c = w->crew;
    uint64_t taken = atomic_load_explicit(&w->taken, memory_order_relaxed);
    atomic_store_explicit(&w->taken, taken + 1, memory_order_relaxed);
    if (!ring_take(&c->rings[priority], at, &w->task, job)) {
        atomic_store_explicit(&w->taken, taken, memory_order_relaxed);
        return false;
    }
    if (atomic_load(&c->pressure))
        crew_relieve(c);
    return true;
}

static bool take_claimed(struct crew_worker *w, int priority, struct job *job) {
    struct span *span = &w->spans[priority];
    uint64_t at, end = atomic_load_explicit(&span->end, memory_order_relaxed);
    while ((at = atomic_load_explicit(&span->next, memory_order_relaxed)) < end) {
        atomic_store_explicit(&span->next, at + 1, memory_order_relaxed);
        if (take(w, priority, at, job))
            return true;
    }
    return false;
}

/* Claims some more. So many that a claim costs little beside them, so few that they do not wait
 * behind a long one while another worker has nothing; that one could still steal them. */
static bool claim(struct crew_worker *w, int priority) {
    struct crew *c = w->crew;
    unsigned claimed =
        ring_claim(&c->rings[priority], &w->spans[priority], 2 * c->workers_most, CLAIM_MOST);
    if (!claimed)
        return false;
    if (claimed > 1 &&
        (atomic_load(&c->state) & 0xffff)) { /* somebody sleeps who could steal them */
        pthread_mutex_lock(&c->lock);
        crew_call(c);
        pthread_mutex_unlock(&c->lock);
    }
    return true;
}

static bool steal(struct crew_worker *w, int priority, struct job *job) {
    struct crew *c = w->crew;
    for (unsigned i = 1; i < c->workers_most; i++) {
        struct span *span = &c->all[(w->number + i) % c->workers_most].spans[priority];
        uint64_t end = atomic_load(&span->end);
        for (uint64_t at = atomic_load(&span->next); at < end; at++)
            if (take(w, priority, at, job))
                return true;
    }
    return false;
}

static bool find(struct crew_worker *w, struct job *job) {
    for (int priority = 0; priority < PRIORITIES; priority++) {
        do
            if (take_claimed(w, priority, job))
                return true;
        while (claim(w, priority));
        if (steal(w, priority, job))
            return true;
    }
    return false;
}

static bool more_to_do(struct crew *c) {
    return ring_unclaimed(&c->rings[NORMAL]) || ring_unclaimed(&c->rings[BACKGROUND]);
}

uint64_t crew_queued(struct crew *c) {
    uint64_t gone = atomic_load(&c->taken_back);
    for (unsigned i = 0; i < c->workers_most; i++)
        gone += atomic_load_explicit(&c->all[i].taken, memory_order_relaxed);
    uint64_t put = atomic_load(&c->put);
    return put > gone ? put - gone : 0;
}

/* --- searching and sleeping --- */

/* It searches no longer, it has a task; somebody else may have to. */
static void stop_searching(struct crew_worker *w) {
    struct crew *c = w->crew;
    atomic_fetch_sub(&c->state, CREW_SEARCHING);
    if (!more_to_do(c))
        return;
    pthread_mutex_lock(&c->lock);
    crew_call(c);
    pthread_mutex_unlock(&c->lock);
}

/* A task that comes at once is the first of many, and where threads help themselves it is most
 * likely gone soon: who went for each as it comes would move cache lines for each. */
static void give_head_start(unsigned times) {
    for (unsigned i = 0; i < times * HEAD_START; i++)
        cpu_relax();
}

/* Looks on for as long as a wake-up would take; one worker at a time does so. */
static bool spin(struct crew_worker *w, struct job *job) {
    struct crew *c = w->crew;
    if (atomic_load(&c->state) / CREW_SEARCHING > 1)
        return false;
    int64_t until = clock_monotonic() + c->opts.spin;
    unsigned looks = 0, in_vain = 0;
    do {
        for (int i = 0; i < LOOKS_BEFORE_CLOCK; i++, looks++) {
            if (more_to_do(c)) {
                if (looks <= AT_ONCE || c->base.help)
                    give_head_start(1U << in_vain);
                if (find(w, job))
                    return true;
                if (c->base.help)
                    until = clock_monotonic() + c->opts.spin;
                in_vain += in_vain < IN_VAIN_MOST;
            }
            cpu_relax();
        }
    } while (clock_monotonic() < until);
    return false;
}

/* Under the lock, it sleeps: it is no longer to be called. */
static void leave_bed(struct crew_worker *w) {
    list_remove(&w->node);
    rest_end(w->strand->loop);
    atomic_store_explicit(&w->word, WORD_AWAKE, memory_order_relaxed);
}

/* From here on it takes nothing unless it is called. */
static void rest(struct crew_worker *w) {
    pthread_mutex_lock(&w->crew->lock);
    if (atomic_load_explicit(&w->word, memory_order_relaxed) == WORD_ASLEEP)
        rest_begin(w->strand->loop);
    pthread_mutex_unlock(&w->crew->lock);
}

/* Says that it sleeps, looks once more, sleeps. True: it was called, or found a task after all, and
 * searches. False: its time is over, and it does not work here any more. */
static bool sleep_until_called(struct crew_worker *w, struct job *job) {
    struct crew *c = w->crew;
    pthread_mutex_lock(&c->lock);
    bool closing = c->closing;
    atomic_store_explicit(&w->word, WORD_ASLEEP, memory_order_relaxed);
    list_push_front(&c->asleep, &w->node);
    atomic_fetch_add(&c->state, CREW_ASLEEP - CREW_SEARCHING);
    pthread_mutex_unlock(&c->lock);
    bool found = find(w, job);
    if (!found)
        rest(w);
    int64_t deadline = clock_monotonic() + c->opts.idle;
    while (!found && !closing && atomic_load(&w->word) == WORD_ASLEEP &&
           clock_monotonic() < deadline)
        futex_wait(&w->word, WORD_ASLEEP, deadline);
    pthread_mutex_lock(&c->lock);
    bool called = atomic_load_explicit(&w->word, memory_order_relaxed) == WORD_AWAKE;
    if (!called) {
        leave_bed(w);
        atomic_fetch_add(&c->state, found ? CREW_SEARCHING - CREW_ASLEEP : -CREW_ASLEEP);
        if (!found)
            c->workers--;
    }
    pthread_mutex_unlock(&c->lock);
    return called || found;
}

/* The next task for one who searches or has just done one; false: there is none, and it does not
 * work here any more. */
static bool next_job(struct crew_worker *w, bool searching, struct job *job) {
    job->task = NULL;
    while (!job->task && !find(w, job) && !(searching && spin(w, job))) {
        if (!searching)
            atomic_fetch_add(&w->crew->state, CREW_SEARCHING);
        else if (!sleep_until_called(w, job))
            return false;
        searching = true;
    }
    if (searching)
        stop_searching(w);
    return true;
}

/* --- a worker's life --- */

static void work(struct crew_worker *w) {
    struct crew *c = w->crew;
    if (c->opts.on_start)
        c->opts.on_start(c->opts.hook_arg);
    bool searching = true;
    for (struct job job; next_job(w, searching, &job); searching = false)
        job_run(w, &job);
    if (c->opts.on_stop)
        c->opts.on_stop(c->opts.hook_arg);
}

/* Whether it ends. Under the lock: a task may have come since it ceased to work, which nobody was
 * called for if all others were at work. */
static bool leave(struct crew_worker *w) {
    struct crew *c = w->crew;
    if (more_to_do(c) && c->workers < c->workers_most) {
        c->workers++;
        atomic_fetch_add(&c->state, CREW_SEARCHING);
        return false;
    }
    list_push(&c->leavers, &w->node);
    c->threads--;
    struct waiter *closer = c->threads ? NULL : waitq_pop(&c->closers);
    if (closer)
        waitq_wake(closer, 0);
    return true;
}

static void *worker_main(void *arg) {
    struct crew_worker *w = arg;
    struct crew *c = w->crew;
    w->strand = strand_self();
    w->strand->loop->works_for = &c->base;
    bool left = false;
    while (!left) {
        work(w);
        pthread_mutex_lock(&c->lock);
        left = leave(w);
        pthread_mutex_unlock(&c->lock);
    }
    outbox_done(&w->outbox);
    return NULL;
}

/* Under the lock: a worker without a thread. One that leaves is through, but for its end. */
static struct crew_worker *absent_worker(struct crew *c) {
    struct list *node = list_pop(&c->absent);
    if (!node && (node = list_pop(&c->leavers)))
        pthread_join(container_of(node, struct crew_worker, node)->thread, NULL);
    return node ? container_of(node, struct crew_worker, node) : NULL;
}

/* Under the lock. Signals are for the program's own threads. */
static int start_worker(struct crew *c) {
    struct crew_worker *w = absent_worker(c);
    if (!w)
        return 0; /* one is about to leave, and will see that there is more to do */
    int r = outbox_init(&w->outbox);
    if (r == 0) {
        sigset_t all, before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        r = -FAULT(pthread_create(&w->thread, NULL, worker_main, w), EAGAIN, EAGAIN);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (r < 0)
            outbox_done(&w->outbox);
    }
    if (r < 0) {
        list_push(&c->absent, &w->node);
        return r;
    }
    char name[32];
    snprintf(name, sizeof(name), "%.10s-%u", c->name, w->number);
    name[15] = 0;
    pthread_setname_np(w->thread, name);
    c->workers++;
    c->threads++;
    atomic_fetch_add(&c->state, CREW_SEARCHING);
    return 0;
}

static void call_one(struct crew *c, struct list *node) {
    struct crew_worker *w = container_of(node, struct crew_worker, node);
    atomic_fetch_add(&c->state, CREW_SEARCHING - CREW_ASLEEP);
    rest_end(w->strand->loop);
    atomic_store(&w->word, WORD_AWAKE);
    futex_wake(&w->word, 1);
}

int crew_call(struct crew *c) {
    if (atomic_load(&c->state) / CREW_SEARCHING)
        return 0;
    struct list *node = list_pop(&c->asleep);
    if (node) {
        call_one(c, node);
        return 0;
    }
    int r = c->workers < c->workers_most ? start_worker(c) : 0;
    return c->threads ? 0 : r; /* those that are there will do it */
}

void crew_dismiss(struct crew *c) {
    static const struct wait_kind closing = {.name = "close of a thread pool"};
    for (struct list *node; (node = list_pop(&c->asleep));)
        call_one(c, node);
    while (c->threads) {
        struct strand *self = strand_self();
        struct waiter w = {0};
        waitq_add(&c->closers, &w, self, &c->lock);
        pthread_mutex_unlock(&c->lock);
        strand_park(self, &closing, &w);
        pthread_mutex_lock(&c->lock);
    }
    for (struct list *node; (node = list_pop(&c->leavers));)
        pthread_join(container_of(node, struct crew_worker, node)->thread, NULL);
}
