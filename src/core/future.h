/* future.h - the record of one task, which is also its handle. It belongs to its scope's thread; an
 * executor that runs it elsewhere writes only the fields below "the executor's", and posts it back
 * once. Records are recycled, last in, first out. */
#ifndef TRINE_CORE_FUTURE_H
#define TRINE_CORE_FUTURE_H

#include <trine.h>

#include "base/list.h"
#include "core/loop.h"
#include "core/message.h"
#include "core/timer.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

struct loop;
struct scope;
struct strand;

enum future_state {
    FUTURE_PENDING, /* waits for the scope's limit; holds nothing yet */
    FUTURE_STARTED, /* handed to its executor, or a coroutine */
    FUTURE_READY,   /* the same, and it has said trine_ready */
    FUTURE_DONE
};

/* What is known of a failure beyond its code; on the heap, made where the task ran. */
struct failure {
    int signal;
    uint64_t address;
    const char *backtrace; /* behind the detail; NULL: none */
    char detail[];
};

/* Ordered by use: what a coroutine's record needs is two cache lines, a future of time ends with
 * its timer, a coroutine's record before what is the executor's. */
struct trine_future {
    struct list in_scope; /* in scope->tasks; done with a handle: in scope->done, or
                           * scope->handed_out after trine_next_done */
    struct list waiters;  /* of struct future_waiter */
    struct scope *scope;  /* NULL: the main coroutine's */
    struct loop *home;    /* the scope's loop: where it comes back to */
    const char *site;
    int status;        /* result; final when it comes back */
    atomic_int cancel; /* why it is asked to end; read by trine_cancelled in any thread */

    uint8_t kind;            /* enum record_kind */
    uint8_t state;           /* enum future_state */
    bool handle;             /* the user holds it: kept when done */
    bool cancel_told;        /* whoever runs it has been asked to end it */
    bool listed;             /* its failure is in the scope's list of errors, which owns it */
    bool copied : 1;         /* its argument is a copy on the heap */
    bool options : 1;        /* it has a name, a stack size, a timeout or values of its own */
    bool looked_out_for : 1; /* the executor's, see exec/lookout.c */
    bool repeat : 1;         /* it may be run again if who ran it died */
    _Atomic int16_t why;     /* what its end was asked for with; set before `cancel` */
    union {
        struct timer timer;       /* of a future of time, until it is done */
        struct trine_error error; /* when done, in the place of what is needed no more */
        struct {
            void *arg;
            const trine_task *task;    /* NULL: it is a bytes task */
            struct trine_executor *on; /* NULL: a coroutine */
            struct strand *strand;     /* a coroutine's */
            struct {
                const char *name; /* NULL: its function's */
                union {
                    size_t stack_size; /* of a coroutine */
                    unsigned worker;   /* of a process pool, from 1: no other; 0: any */
                };
                int64_t timeout;                  /* 0: its executor's */
                const struct trine_value *values; /* NULL: its scope's */
                trine_channel *progress;          /* NULL: nobody follows it */
            } own;                                /* with options */
            trine_bytes in;                       /* of a bytes task; of a batch all structs */
            trine_buf *out;
            const trine_bytes_task *bytes_task;
            struct list in_queue; /* in scope->pending; started: the executor's, under its lock */

            /* the executor's: */
            struct failure *failure;
            struct message done;    /* posts it back */
            struct message control; /* the executor's own, e.g. submission or cancel */
            void *executor_data;    /* the executor's own */
            atomic_int phase;       /* the executor's own */
        };
    };
};

enum {
    FUTURE_OF_TIME_SIZE = offsetof(struct trine_future, timer) + sizeof(struct timer),
    FUTURE_OF_COROUTINE_SIZE = offsetof(struct trine_future, failure)
};

/* Is it a task for each of many flat structs? */
static inline bool future_is_batch(const struct trine_future *f) {
    return f->task && f->in.ptr;
}

/* The name for messages, of either kind of task. */
static inline const char *future_name(const struct trine_future *f) {
    if (f->kind == RECORD_TIME)
        return "trine_after";
    if (f->options && f->own.name)
        return f->own.name;
    return f->task ? f->task->name : f->bytes_task->name;
}

/* What was left by who ran it, or NULL. */
static inline struct failure *future_failure(const struct trine_future *f) {
    return f->kind == RECORD_TASK ? f->failure : NULL;
}

/* An executor is done with it: status and failure (may be NULL, heap, becomes the core's) are
 * final. Any thread; the record is not the executor's from now on. */
void future_done_remote(struct trine_future *f, int status, struct failure *failure);

/* The same for who gives many back: the message that is to be posted to f->home. */
struct message *future_done_message(struct trine_future *f, int status, struct failure *failure);

/* What that message does when it arrives, for an executor that has more to do then. */
void future_came_back(struct message *done);

/* A failure with a formatted detail; NULL when memory is short, which callers may pass on. */
struct failure *failure_new(int signal, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The same failure with what a crashed worker left; `backtrace` is copied. The old one is gone, or,
 * when memory is short, it is what is returned. */
struct failure *failure_add_crash(struct failure *f, uint64_t address, const char *backtrace);

/* Runs the task's function on the calling strand: its value. */
static inline int future_run(struct trine_future *f) {
    if (f->task)
        return f->task->run(f->arg);
    return f->bytes_task->run(f->in, f->out);
}

/* --- the owner's side --- */

struct future_waiter {
    struct list node;
    struct strand *strand; /* NULL: it is a notice's, see notice.h */
};

/* A fresh record, pending, or NULL; all that a kind does not use, and all else, is for the caller
 * to fill. Not the whole record is cleared: that would cost more than all else in starting a task.
 */
static inline struct trine_future *future_new(struct loop *l, enum record_kind kind) {
    struct trine_future *f = (struct trine_future *)record_take(&l->records, kind);
    if (__builtin_expect(!f, 0))
        return NULL;
    f->home = l;
    list_init(&f->waiters);
    f->status = -EINPROGRESS;
    atomic_init(&f->cancel, 0);
    atomic_init(&f->why, 0);
    f->state = FUTURE_PENDING;
    f->kind = (uint8_t)kind;
    f->handle = f->cancel_told = f->listed = false;
    f->copied = f->options = f->repeat = f->looked_out_for = false;
    return f;
}

/* Recycles it, with its failure unless the scope's list owns that. */
static inline void future_free(struct trine_future *f) {
    if (f->kind == RECORD_TASK && !f->listed)
        free(f->failure);
    record_give(&f->home->records, f, (enum record_kind)f->kind);
}

/* Parts of future_settle: fills f->error; wakes all. */
void future_settle_error(struct trine_future *f, int status) __attribute__((cold));
void future_wake_waiters(struct trine_future *f);

/* It has ended: its state, its error's detail; wakes who awaits it. */
static inline void future_settle(struct trine_future *f, int status) {
    f->status = status;
    f->state = FUTURE_DONE;
    if (__builtin_expect(status < 0, 0))
        future_settle_error(f, status);
    if (!list_empty(&f->waiters))
        future_wake_waiters(f);
}

#endif
