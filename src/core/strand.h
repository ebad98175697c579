/* strand.h - a strand is what can wait: a coroutine, or a plain thread itself. Everything that
 * suspends is built of strand_park and strand_unpark, so the same code serves both.
 *
 * A wait goes so: test strand_reason(); queue yourself where the waker will find you;
 * strand_park(). The waker takes you out of that queue and calls strand_unpark(status) on your
 * loop's thread; from another thread it posts a message to your loop that does so (see waitq.h).
 * When the scope around you is cancelled, wait_kind.abort is called on your loop's thread: take
 * yourself out of the queue and call strand_unpark(reason), or, where the outcome must be waited
 * for (an operation that the kernel owns), set that in motion. The first strand_unpark decides;
 * what completed stays so. */
#ifndef TRINE_CORE_STRAND_H
#define TRINE_CORE_STRAND_H

#include "base/list.h"
#include "base/seam.h"
#include "core/message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct scope;
struct stack;
struct strand;
struct trine_future;
struct trine_value;

struct wait_kind {
    const char *name;                           /* "sleep", "channel receive": for dumps */
    void (*abort)(struct strand *, int reason); /* NULL: a drain, cancellation does not end it */
};

/* What the C++ runtime knows of the exceptions in flight and caught: Itanium C++ ABI, 2.2.2. */
struct cxa_globals {
    void *caught;
    unsigned uncaught;
};

/* The first cache line is all that a task needs which begins, runs and never waits. */
struct strand {
    void *sp;                         /* of a suspended coroutine: see arch/switch.h */
    struct loop *loop;                /* home; never changes */
    struct strand *next_ready;        /* in its loop's run queue */
    struct stack *stack;              /* NULL: a plain thread's own stack */
    struct trine_future *task;        /* what it runs; NULL for a thread of the user's */
    struct scope *scope;              /* innermost scope that it has open */
    int reason;                       /* not 0: its task was asked to end, and why */
    int result;                       /* of the last wait */
    const struct trine_value *values; /* that it set or inherited, innermost first */

    const struct wait_kind *wait; /* what it waits for; NULL when it does not */
    void *wait_arg;
    int64_t since;                 /* loop->now when it parked last: for dumps */
    struct cxa_globals exceptions; /* while it is suspended */
    void *asan_fake_stack;         /* sanitizers' view of the stack, see base/sanitizer.h */
    void *tsan_fiber;
};

/* The caller's strand; a plain thread gets its loop at the first call. NULL: on the loop's own
 * stack (a callback), where nothing may wait. */
struct strand *strand_self(void);

/* Why the strand's next wait would fail: 0, -ECANCELED, -ETIMEDOUT. */
int strand_reason(struct strand *s) SEAM(strand_reason);

/* The start of every [S] call: the caller's strand in *ret_self, and 0; or -EAGAIN on the loop's
 * own stack; or strand_reason(). Many calls that need not wait would hold up timers and I/O: after
 * some thousand of them in one turn of the loop the caller goes to the end of the run queue. */
int strand_enter(struct strand **ret_self) SEAM(strand_enter);

/* A coroutine lets the loop have its next turn; a thread goes on. */
void strand_slice_over(struct strand *self) __attribute__((cold));

/* Suspends until strand_unpark; gives its status. `arg` is for the kind's abort. */
int strand_park(struct strand *self, const struct wait_kind *kind, void *arg) SEAM(strand_park);

/* The same for a thread's own strand, `wait` set: turns the loop until somebody ends the wait. */
int strand_park_thread(struct strand *self);

/* Ends the wait of a parked strand; on its loop's thread only. Does nothing if it does not wait. */
void strand_unpark(struct strand *s, int status) SEAM(strand_unpark);

/* Asks a strand to end: its waits outside of scopes of its own fail with `reason` from now on, and
 * its open scopes are cancelled (up to a shielded one). On its loop's thread only. */
void strand_cancel(struct strand *s, int reason);

/* Ends the strand's present wait if that is not a drain; called when a scope around it ends. */
void strand_abort(struct strand *s, int reason);

#endif
