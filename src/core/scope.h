/* scope.h - the inside of a trine_scope. It belongs to the thread that opened it: nothing here but
 * the cancel request is touched by another. Rules 1, 2, 5 and 6 of the design are kept here. */
#ifndef TRINE_CORE_SCOPE_H
#define TRINE_CORE_SCOPE_H

#include <trine.h>

#include "base/list.h"
#include "core/loop.h"

/* Who decided that a scope ends; within one turn of the loop the higher one stays. */
enum scope_rank { RANK_NONE, RANK_POLICY, RANK_DEADLINE, RANK_OUTER };

struct scope {
    uint32_t magic;
    uint8_t policy, rank;
    bool shield, succeeded; /* succeeded: some task did, for TRINE_FIRST */
    bool cancel_seen, move_on;
    bool help;        /* who waits for it may run some of its tasks */
    int reason;       /* why waits in it fail; 0 while it is whole */
    int outcome;      /* what join returns once reason is set */
    int first_error;  /* of a task */
    uint64_t decided; /* the turn in which reason was set */
    struct strand *owner;
    struct scope *outer;      /* the next scope out on the owner's strand */
    struct list tasks;        /* all that are pending or started, and dropped handles */
    struct list pending;      /* those that wait for the limit */
    struct list done;         /* done, with a handle, in order of completion */
    struct list handed_out;   /* those of them that trine_next_done gave */
    struct list room_waiters; /* struct future_waiter: wait for a pending place */
    struct list done_waiters; /* likewise: trine_next_done */
    struct list idle_waiters; /* likewise: join and close, until no task is left */
    /* In this order: were the two counts neighbours, compilers would test both with one wide load,
     * which waits for the narrow store before it to reach the cache. */
    unsigned running, limit, waiting, waiting_max;
    struct scope_errors *errors; /* NULL until the first */
    struct timer deadline, overdue;
    atomic_int cancel_asked; /* by another thread: the outcome it asked for */
    struct message cancel_message;
    const char *name, *site;
    const struct trine_value *values; /* of its tasks; see value.c */
    struct trine_executor *uses;      /* the last one that a task of it went to; NULL: none */
    struct scope_use *other_uses;     /* those before it */
};

/* uses.c: keeps the executor as long as the scope: 0, or -ENOMEM. For one that is not the last. */
int scope_use(struct scope *s, struct trine_executor *on);

/* uses.c: lets all of them go. */
void scope_end_uses(struct scope *s);

static inline struct scope *scope_of(trine_scope *s) {
    return (struct scope *)s;
}

/* Where it was opened. */
const char *scope_site(const struct scope *s);

/* Cancels those of the strand's open scopes that an outer one reaches, from `s` outwards; gives the
 * reason in force in `s` (NULL: outside of all). */
int scope_refresh(struct strand *owner, struct scope *s);

/* When it will end by its deadline; INT64_MAX: it has none. */
int64_t scope_deadline(const struct scope *s);

/* What it was told to end for, looked up further out if need be; it is ending. */
int scope_why(const struct scope *s);

/* The same of what runs on a strand, in its innermost scope or outside of its own; 0: nothing. */
int strand_why(const struct strand *s);

/* The scope ends: its tasks and the owner's waits in it get `reason`, join will give `outcome`. */
void scope_end(struct scope *s, enum scope_rank rank, int reason, int outcome);

/* A task of the scope has ended (or failed to start): counts it, applies the policy, lets the next
 * pending one go, wakes who waits; recycles the record unless there is a handle. Called on the
 * scope's thread with no strand current. */
void scope_task_done(struct scope *s, struct trine_future *f, int status);

/* Hands a task to its executor or makes it a coroutine; the record is counted as running. When it
 * cannot be started, it is done with the error, which is returned. */
int task_launch(struct trine_future *f);

/* Asks one task to end with `reason`, because of `why`; it has not ended yet. Marking alone keeps
 * one that has not begun from beginning; the first mark stays. */
void task_mark_cancelled(struct trine_future *f, int reason, int why);
void task_mark_or_drop(struct trine_future *f, int reason, int why);
void task_cancel(struct trine_future *f, int reason, int why);

/* after.c: the scope's futures of time that are not done: one ends with `reason`; all are freed. */
void after_cancel(struct trine_future *f, int reason);
void after_stop_all(struct scope *s);

/* errors.c: keeps the error; the first 16 with their detail. */
void scope_note_error(struct scope *s, struct trine_future *f);
void scope_errors_free(struct scope *s);

#endif
