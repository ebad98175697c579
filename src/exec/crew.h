/* crew.h - inside of the thread pool. Three files share it: threads.c is what any thread may do
 * (open, submit, cancel, close); crew.c is who works there: when workers are started, sleep, are
 * woken, leave; job.c is what a worker does with one task. */
#ifndef TRINE_EXEC_CREW_H
#define TRINE_EXEC_CREW_H

#include "base/list.h"
#include "core/executor.h"
#include "core/home_lock.h"
#include "core/loop.h"
#include "exec/outbox.h"
#include "exec/ring.h"

#include <pthread.h>

enum { NORMAL, BACKGROUND, PRIORITIES };

/* f->phase, the owner's but for the last one. */
enum job_phase {
    JOB_IN_SUBMIT,   /* not accepted yet */
    JOB_HERE,        /* in the pool */
    JOB_REQUESTED,   /* a request to end it is on the way to its worker */
    JOB_REQUEST_SEEN /* and has arrived */
};

struct crew_worker {
    struct crew *crew;
    unsigned number;
    bool cancel_seen; /* the request to end its present task has arrived */
    struct strand *strand;
    struct outbox outbox;
    struct list node; /* in crew->asleep, ->absent or ->leavers; under the crew's lock */
    pthread_t thread;

    _Alignas(64) _Atomic(uintptr_t) task; /* that it runs; its lowest bit: a request to end it is
                                           * on the way. Requests are made by its owner */
    atomic_uint word;                     /* WORD_ASLEEP while it is in crew->asleep */
    _Atomic uint64_t taken;               /* tasks, ever */
    struct span spans[PRIORITIES];
};

/* The two counts of crew->state. */
enum { CREW_ASLEEP = 1, CREW_SEARCHING = 1 << 16 };

struct crew {
    struct trine_executor base;
    struct trine_executor background; /* the same crew, when there is nothing else to do */
    struct ring rings[PRIORITIES];
    _Alignas(64) atomic_uint state; /* how many sleep, and how many look for a task */
    atomic_bool pressure;           /* putters wait for room, or `overflow` holds tasks */
    _Atomic uint64_t taken_back;    /* tasks, ever, by their owners */

    _Alignas(64) struct home_lock putting; /* the rings' ends, and: */
    _Atomic uint64_t put;                  /* tasks, ever */
    unsigned room;                         /* places in the queue that are known to be free */
    bool refuses;                          /* it closes */

    _Alignas(64) pthread_mutex_t lock; /* everything below */
    struct list overflow[PRIORITIES];  /* of futures, for which there was no room, by in_queue */
    struct list room_waiters;          /* of struct waiter */
    struct list closers;               /* likewise: until nobody works here any more */
    struct list asleep, absent, leavers;
    atomic_uint workers; /* that take tasks; written under the lock */
    unsigned threads;    /* that there are */
    unsigned workers_most, queue_most;
    bool closing;

    trine_threads_opts opts;
    char name[16];
    struct crew_worker *all; /* workers_most of them */
};

/* job.c: runs it on this worker and gives it back. */
void job_run(struct crew_worker *w, const struct job *job);

/* job.c, on the owner's thread: asks the worker that runs the task to end it, if one does. */
void job_cancel(struct crew *c, struct trine_future *f);

/* job.c, on the owner's thread: a task that came back may still have such a request on its way. */
void crew_await_cancel(struct trine_future *f);

/* job.c: runs it on the calling strand, which is none of the crew's or waits itself: what it
 * returned. In job_run_here it comes back as a message. */
int job_run_at(struct trine_future *f, struct strand *self);
void job_run_here(struct trine_future *f, struct strand *self);

/* crew.c. Under the lock, after a task was put in: has somebody look for it. -EAGAIN or -ENOMEM:
 * nobody works here and no thread can be had. */
int crew_call(struct crew *c);

/* crew.c: tasks that wait for a worker; exact under the lock when no worker takes one. */
uint64_t crew_queued(struct crew *c);

/* crew.c. [S] Under the lock: lets them all go when there is nothing left to do. */
void crew_dismiss(struct crew *c);

/* threads.c: after a task was taken out while `pressure` is on. */
void crew_relieve(struct crew *c);

#endif
