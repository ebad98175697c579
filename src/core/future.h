/* future.h - the record of one task, which is also its handle. It belongs to its scope's thread; an
 * executor that runs it elsewhere writes only the fields below "the executor's", and posts it back
 * once. Records are recycled, last in, first out. */
#ifndef TRINE_CORE_FUTURE_H
#define TRINE_CORE_FUTURE_H

#include <trine.h>

#include "base/list.h"
#include "core/message.h"

#include <stdatomic.h>

struct loop;
struct scope;
struct strand;

enum future_state {
    FUTURE_PENDING, /* waits for the scope's limit; holds nothing yet */
    FUTURE_STARTED, /* handed to its executor, or a coroutine */
    FUTURE_DONE
};

/* What is known of a failure beyond its code; on the heap, made where the task ran. */
struct failure {
    int signal;
    char detail[];
};

struct trine_future {
    struct list in_scope; /* in scope->tasks; done with a handle: in scope->done */
    struct list in_queue; /* in scope->pending; started: the executor's to use, under its lock */
    struct scope *scope;  /* NULL: the main coroutine's */
    struct loop *home;    /* the scope's loop: where it comes back to */
    struct trine_executor *on;
    const trine_task *task;             /* either this ... */
    const trine_bytes_task *bytes_task; /* ... or this, with in and out */
    void *arg;
    trine_bytes in;
    trine_buf *out;
    const char *site;
    struct strand *strand; /* a coroutine's */
    struct list waiters;   /* of struct future_waiter */
    enum future_state state;
    bool handle;      /* the user holds it: kept when done */
    bool handed_out;  /* by trine_next_done */
    bool cancel_told; /* whoever runs it has been asked to end it */
    bool listed;      /* its failure is in the scope's list of errors, which owns it */
    struct trine_error error;
    struct trine_future *next_unused;
    atomic_int cancel; /* why it is asked to end; read by trine_cancelled in any thread */

    /* the executor's: */
    int status; /* result; final when it comes back */
    struct failure *failure;
    struct message done;    /* posts it back */
    struct message control; /* the executor's own, e.g. submission or cancel */
    atomic_int phase;       /* the executor's own */
    void *executor_data;    /* the executor's own */
};

/* The name for messages, of either kind of task. */
static inline const char *future_name(const struct trine_future *f) {
    return f->task ? f->task->name : f->bytes_task->name;
}

/* An executor is done with it: status and failure (may be NULL, heap, becomes the core's) are
 * final. Any thread; the record is not the executor's from now on. */
void future_done_remote(struct trine_future *f, int status, struct failure *failure);

/* A failure with a formatted detail; NULL when memory is short, which callers may pass on. */
struct failure *failure_new(int signal, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Runs the task's function on the calling strand: its value. */
int future_run(struct trine_future *f);

/* --- the owner's side --- */

struct future_waiter {
    struct list node;
    struct strand *strand;
};

/* A fresh record of a task of this loop, or NULL. */
struct trine_future *future_new(struct loop *l);

/* Recycles it, with its failure unless the scope's list owns that. */
void future_free(struct trine_future *f);

/* It has ended: its state, its error's detail; wakes who awaits it. */
void future_settle(struct trine_future *f, int status);

#endif
