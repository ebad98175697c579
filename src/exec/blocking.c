/* blocking.c - calls that block, on threads of the library's own, in lanes: hung look-ups use up
 * their own lane only. A caller whose scope ends leaves its call alone with its copy of the
 * argument; whoever of caller and call ends last frees the copy.
 *
 * Invariants: a call is in its lane's queue or with a thread; `abandoned` and `finished` are
 * decided under the lane's lock, one after the other, and the second one frees. Threads end when
 * they have been idle for 2 s. Lock order: a lane's lock alone.
 *
 * Rejected: pthread_cancel (getaddrinfo holds locks); a signal to interrupt (libraries retry). */
#include <trine/debug.h>

#include "base/clock.h"
#include "base/fault.h"
#include "core/executor.h"
#include "core/waitq.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

enum { ABANDONED_MOST = 256 };
#define IDLE_TIME TRINE_SEC(2)

struct call {
    struct list node; /* in the lane's queue */
    const trine_task *task;
    struct list caller; /* one struct waiter, or empty */
    int status;
    bool abandoned, finished;
    alignas(max_align_t) char arg[];
};

struct lane_state {
    pthread_mutex_t lock;
    pthread_cond_t work; /* on CLOCK_MONOTONIC */
    struct list queue;
    unsigned threads, idle, queued, abandoned, threads_most;
};

static struct lane_state lanes[LANE_COUNT];
static pthread_once_t lanes_once = PTHREAD_ONCE_INIT;

static void lanes_init(void) {
    static const unsigned threads_most[LANE_COUNT] = {
        [LANE_DNS] = 16, [LANE_FILES] = 8, [LANE_USER] = 32};
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    for (int i = 0; i < LANE_COUNT; i++) {
        pthread_mutex_init(&lanes[i].lock, NULL);
        pthread_cond_init(&lanes[i].work, &monotonic);
        list_init(&lanes[i].queue);
        lanes[i].threads_most = threads_most[i];
    }
    pthread_condattr_destroy(&monotonic);
}

/* --- a lane's thread --- */

/* Under the lock: the next call, or NULL after the idle time. */
static struct call *next_call(struct lane_state *lane) {
    struct timespec until = clock_left(clock_monotonic() + IDLE_TIME, 0);
    while (list_empty(&lane->queue)) {
        lane->idle++;
        int r = pthread_cond_timedwait(&lane->work, &lane->lock, &until);
        lane->idle--;
        if (r == ETIMEDOUT && list_empty(&lane->queue))
            return NULL;
    }
    lane->queued--;
    return container_of(list_pop(&lane->queue), struct call, node);
}

static void *lane_main(void *arg) {
    struct lane_state *lane = arg;
    pthread_mutex_lock(&lane->lock);
    for (struct call *c; (c = next_call(lane));) {
        pthread_mutex_unlock(&lane->lock);
        int status = c->task->run(c->arg);
        pthread_mutex_lock(&lane->lock);
        c->status = status;
        c->finished = true;
        struct waiter *caller = waitq_pop(&c->caller);
        if (c->abandoned) {
            lane->abandoned--;
            free(c);
        } else if (caller) {
            waitq_wake(caller, 0);
        }
    }
    lane->threads--;
    pthread_mutex_unlock(&lane->lock);
    return NULL;
}

/* Under the lock. */
static int start_thread(struct lane_state *lane) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    pthread_t thread;
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = FAULT(pthread_create(&thread, &detached, lane_main, lane), EAGAIN, EAGAIN);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&detached);
    if (r == 0)
        lane->threads++;
    return lane->threads ? 0 : -r;
}

/* --- the caller --- */

/* Under the lock: hands the call over with the caller as its waiter. */
static int enqueue(struct lane_state *lane, struct call *c, struct waiter *w, struct strand *self) {
    if (lane->abandoned >= ABANDONED_MOST)
        return -EBUSY;
    if (lane->idle <= lane->queued && lane->threads < lane->threads_most) {
        int r = start_thread(lane);
        if (r < 0)
            return r;
    }
    list_push(&lane->queue, &c->node);
    lane->queued++;
    waitq_add(&c->caller, w, self, &lane->lock);
    pthread_cond_signal(&lane->work);
    return 0;
}

/* The wait ended early: takes the call back if it has not begun, else leaves it alone; true when
 * the call is the caller's to free. */
static bool give_up(struct lane_state *lane, struct call *c) {
    pthread_mutex_lock(&lane->lock);
    bool queued = !list_empty(&c->node), ours = c->finished || queued;
    if (queued) {
        list_remove(&c->node);
        lane->queued--;
    } else if (!ours) {
        c->abandoned = true;
        lane->abandoned++;
    }
    pthread_mutex_unlock(&lane->lock);
    return ours;
}

int blocking_call(enum lane which, const trine_task *task, void *arg) {
    struct strand *self;
    int r = strand_enter(&self);
    if (r < 0)
        return r;
    pthread_once(&lanes_once, lanes_init);
    struct lane_state *lane = &lanes[which];
    struct call *c = FAULT(malloc(sizeof(*c) + task->size), NULL, ENOMEM);
    if (!c)
        return -ENOMEM;
    *c = (struct call){.task = task};
    list_init(&c->node);
    list_init(&c->caller);
    memcpy(c->arg, arg, task->size);
    struct waiter w = {0};
    pthread_mutex_lock(&lane->lock);
    r = enqueue(lane, c, &w, self);
    pthread_mutex_unlock(&lane->lock);
    if (r == 0 && (r = waitq_park(&w, "blocking call")) < 0 && !give_up(lane, c))
        return r;
    if (r == 0) {
        memcpy(arg, c->arg, task->size);
        r = c->status;
    }
    free(c);
    return r;
}

int trine_blocking_task(const trine_task *task, void *arg) {
    return blocking_call(LANE_USER, task, arg);
}

size_t trine_abandoned_calls(void) {
    size_t n = 0;
    pthread_once(&lanes_once, lanes_init);
    for (int i = 0; i < LANE_COUNT; i++) {
        pthread_mutex_lock(&lanes[i].lock);
        n += lanes[i].abandoned;
        pthread_mutex_unlock(&lanes[i].lock);
    }
    return n;
}
