/* loop.h - the loop of one thread: run queue, timers, inbox, I/O backend. Every thread that waits
 * has one: under trine_run it also runs coroutines; in a plain thread a blocking call turns it
 * until the call is done. A turn: run the ready coroutines, handle messages, fire timers, ask the
 * backend.
 */
#ifndef TRINE_CORE_LOOP_H
#define TRINE_CORE_LOOP_H

#include "base/seam.h"
#include "core/backend.h"
#include "core/message.h"
#include "core/records.h"
#include "core/strand.h"
#include "core/timer.h"

#include <stdatomic.h>
#include <sys/types.h>

/* What the watchdog saw last. */
struct loop_look {
    uint64_t turn;
    int64_t since; /* it was in that turn first; 0: it was not in one */
    bool told;
};

/* Who can look for what the thread waits for better than to wait for a message: while it looks on,
 * `begin` (false: not now), `look` time and again (false: no more), `end`. */
struct lookout {
    const struct lookout_kind {
        bool (*begin)(void *of), (*look)(void *of);
        void (*end)(void *of);
    } * kind; /* NULL: nobody */
    void *of;
    unsigned tasks; /* of the thread that are there */
};

struct loop {
    struct strand *current; /* who runs; NULL: the loop itself, in a callback */
    struct strand *ready;   /* the first one to run, linked by next_ready; NULL: none */
    struct strand *ready_last;
    unsigned budget;                  /* switches left in this turn */
    unsigned operations;              /* that may still begin in this turn, waiting or not */
    struct cxa_globals *exceptions;   /* the thread's; NULL: no C++ runtime is here */
    atomic_bool running;              /* inside trine_run: coroutines may be spawned */
    bool embedded;                    /* another event loop turns it */
    struct trine_executor *works_for; /* a pool, whose thread it is; or NULL */
    struct trine_future *main;        /* the main coroutine's, inside trine_run; for dumps */
    size_t stack_stride;              /* of its coroutines' stacks, guard included */
    struct strand
        thread; /* the thread's own strand; in trine_run it waits for the main coroutine */
    const void *thread_low; /* bounds of the thread's stack, for sanitizers; learnt at a switch */
    size_t thread_size;
    int64_t now;           /* as of this turn */
    _Atomic uint64_t turn; /* written by its thread alone */
    int64_t spin;          /* ns to look for messages before sleeping */
    struct lookout lookout;
    int64_t asked;           /* when the backend was asked last while looking on */
    const unsigned *awaited; /* how many tasks must come back before anything can go on; or NULL */
    uint64_t dice;           /* of select's choice; never 0 */
    struct timers timers;
    struct backend *backend; /* opened at the first I/O */
    struct watch wake_watch;
    struct stacks *stacks;     /* cache of coroutine stacks; NULL until the first */
    void (*settle)(void *arg); /* called in each turn before it may sleep; NULL: nothing is */
    void *settle_arg;
    struct records records; /* recycled records of futures */
    void *signal_stack;     /* see overflow.c; NULL: not ours, or none yet */

    _Alignas(64) _Atomic(struct message *) inbox; /* newest first */
    atomic_uint sleeping; /* LOOP_AWAKE, or where a poster finds the sleeper */
    atomic_int patience;  /* while it sleeps: so many tasks may come back before it is woken */
    int wake_fd;          /* eventfd, -1 until the backend is opened; kept when recycled */
    struct loop *next_free, *next_of_all;
    pid_t tid;                             /* of its thread */
    atomic_bool rests;                     /* see stuck.h */
    _Atomic(const atomic_size_t *) serves; /* of a thread that works for others: while this is 0 it
                                            * has nothing to do, whatever it looks at; else NULL */
    struct loop_look watched;              /* the watchdog's */
};

/* Calls `visit` for all loops that there are, also those whose thread has ended, under a lock. */
void loops_each(void (*visit)(struct loop *, void *arg), void *arg);

enum { LOOP_AWAKE, LOOP_ON_FUTEX, LOOP_IN_BACKEND };

enum { OPERATIONS_PER_TURN = 4096 };

/* The calling thread's loop, made at the first call; aborts when memory is short. */
struct loop *loop_self(void) SEAM(loop_self);

/* The same for the inside of libtrine, in two instructions; libraries beside it cannot see it. */
extern __thread struct loop *loop_of_thread
    __attribute__((tls_model("initial-exec"), visibility("hidden")));
static inline struct loop *loop_here(void) {
    struct loop *l = loop_of_thread;
    return __builtin_expect(l != NULL, 1) ? l : loop_self();
}

/* Opens the backend if need be, for I/O, watches. Errors of epoll_create1, eventfd. */
int loop_open_backend(struct loop *l) SEAM(loop_open_backend);

/* One turn: what a parked thread does. Sleeps when nothing is ready and the thread's own strand
 * still waits. */
void loop_turn(struct loop *l);

/* A strand that would wait for what another thread does looks for it first, as long as its loop was
 * asked to look on and has nothing else to do: how many looks it took, -1: it has not come. */
int loop_look_on(struct loop *l, bool (*has_come)(const void *arg), const void *arg);

/* Handles the messages that have come. */
void loop_drain_inbox(struct loop *l);

/* Puts a strand at the end of the run queue. */
static inline void loop_make_ready(struct loop *l, struct strand *s) {
    s->next_ready = NULL;
    if (l->ready)
        l->ready_last->next_ready = s;
    else
        l->ready = s;
    l->ready_last = s;
}

/* Time now, from the backend or the clock; loop->now is the present turn's. */
int64_t loop_read_clock(struct loop *l);

/* Timers and watches of a loop, on its own thread. Timeouts are in ns from now (see timer.h). */
static inline void loop_timer_start(struct loop *l, struct timer *t, int64_t timeout) {
    timer_start(&l->timers, t, timeout);
}
static inline void loop_timer_stop(struct loop *l, struct timer *t) {
    timer_stop(&l->timers, t);
}

/* Starts or changes a watch (`w->fd`, `w->ready` are set by the caller; zero `watching` first);
 * events 0 ends it. 0, or a negative errno of epoll_ctl. */
int loop_watch(struct loop *l, struct watch *w, unsigned events) SEAM(loop_watch);

/* [S] Waits until the descriptor, foreign or ours, is ready: the events, or why not. */
int loop_wait_fd(int fd, unsigned events);

/* [S] Submits the operation (code, fd, buf, len, flags are set) and waits: its result. */
int64_t loop_do_io(struct io_op *op);

/* Before a descriptor of ours is closed: wakes its waiters with -EBADF. */
void loop_forget_fd(struct loop *l, int fd);

/* runtime.c: opens the backend for this machine. */
int runtime_backend_open(struct backend **ret);

#endif
