/* pool.h - inside of the process executor: processes.c is what any thread may do (open, submit,
 * cancel, close); supervisor.c is the pool's own thread, which decides; remote.c is one worker
 * process as that thread sees it, life.c how it comes and goes, limits.c what it may use, follow.c
 * how what a task reports on its way reaches who follows it.
 * Everything not under `lock` belongs to that thread, or, while it sleeps, to who has taken
 * `driving` to hand it a task without waking it. */
#ifndef TRINE_EXEC_POOL_H
#define TRINE_EXEC_POOL_H

#include "base/list.h"
#include "core/executor.h"
#include "core/loop.h"
#include "exec/flag.h"
#include "exec/group.h"
#include "exec/modules.h"
#include "exec/wire.h"
#include "exec/zygote.h"

#include <pthread.h>

/* --- a worker process (remote.c, life.c) --- */

enum worker_state {
    WORKER_STARTING, /* asked for; has not said hello */
    WORKER_IDLE,
    WORKER_BUSY,
    WORKER_LEAVING, /* its input was closed: it ends by itself, or is killed after a while */
    WORKER_KILLED   /* is only waited for */
};

/* A task that was sent to a worker. */
struct assignment {
    struct trine_future *future; /* NULL: it was taken back */
    struct frame frame;
};

/* How many a worker has at a time, at the most; far below FLAG_CLAIMS_MOST. */
enum { SENT_MOST = 256 };

/* A program has few modules with tasks; who has more introduces some of them again. */
enum { MODULES_KEPT = 8 };

struct worker {
    struct list node;      /* in pool->workers, or ->unused */
    struct list idle_node; /* in pool->idle */
    struct pool *pool;
    enum worker_state state;
    uint32_t number; /* never used twice in a pool */
    unsigned seat;   /* in pool->seats; it is its successor's when it is gone or leaves */
    pid_t pid;
    int pidfd; /* -1 until the zygote has told it, and where there is none */
    int bell;  /* eventfd: it has written, or read */
    int reports;
    unsigned zygote; /* which one forked it */
    struct watch bell_watch, reports_watch;
    struct timer deadline, memory_check, look;
    int64_t look_every;
    struct flags memory;
    struct areas_taken areas;
    unsigned tries;  /* to end its task by a signal, which must not strike another */
    bool terminated; /* it got SIGTERM for its task's sake: it takes no other */
    unsigned tasks;  /* that it has done */
    uint64_t last_sequence, last_answered; /* of its tasks; frames between them may be unread */
    bool greeted;                          /* it got as far as taking tasks */
    int start_error;                       /* of its set-up */
    int cpu;                               /* that it is pinned to; -1: none */
    bool looked_at;                        /* by a thread that looks out (lookout.c) */
    bool wake_due;                         /* it was sent something since it was woken */
    bool used_up;                          /* it is to be replaced when it has nothing to do */
    bool ended;                            /* its process has; what it left is still being taken */
    bool end_told;                         /* and how: */
    struct worker_report end;
    unsigned looks;       /* at its memory, that was too much each time */
    int64_t born, looked; /* when it was asked for, when its memory was looked at last */

    /* What it was sent and has not answered, a ring: the first is what it runs, unless it has yet
     * to notice; the others are ahead, and may be taken back. Those that were have no future. The
     * first and the last have one. Empty unless BUSY or KILLED. */
    struct assignment sent[SENT_MOST];
    unsigned first, count;
    uint8_t out_header[WIRE_HEADER];
    uint64_t out_done; /* bytes sent, of header and body, of the last */

    uint8_t in_header[WIRE_HEADER];
    struct frame reply; /* valid when in_done >= WIRE_HEADER */
    uint64_t in_done;   /* bytes received, of header and body */
    bool direct;        /* its body goes where it belongs */
    trine_buf scratch;  /* results of flat structs come here first */
    trine_buf piece;    /* that its task has reported */
    bool piece_waits;   /* the follower has no room: nothing is taken from this worker meanwhile */
    struct timer offer; /* until it is offered again */
    int64_t offer_every;

    struct build_id introduced[MODULES_KEPT]; /* modules that it knows, a ring */
    unsigned introductions;

    int verdict;             /* not 0: we killed it, and its task fails with this ... */
    struct failure *failure; /* ... and that */
};

/* Asks the zygote for a new worker: 0, or a negative errno; nothing is kept then. */
int worker_start(struct pool *p, struct worker **ret_worker);

/* Another one may have its seat: it is gone, or takes no more tasks. */
void worker_leave_seat(struct worker *w);

/* Could it be sent this task while it runs another, so that it has the next one at once? */
bool worker_takes_ahead(struct worker *w, const struct trine_future *f);

/* Sends an idle worker a task, or one that takes tasks ahead; `place` is its descriptor's. */
void worker_give_task(struct worker *w, struct trine_future *f, const struct place *place);

/* Kills it; its task, if it runs one, fails with `verdict`. */
void worker_kill(struct worker *w, int verdict, struct failure *failure);

/* life.c: nothing, as long as its process is not known. */
void worker_signal(struct worker *w, int signal);

/* Its zygote has died, and so it will: it gets no task any more. */
void worker_doom(struct worker *w);

/* Lets it go: it ends by itself once it has nothing more to do. */
void worker_leave(struct worker *w);

/* limits.c: is it to be replaced, now that it has done a task? */
bool worker_is_used_up(struct worker *w);

/* limits.c: those of the task that it runs now count from now; its time is over, or that of a step
 * of its cancellation. */
void worker_start_limits(struct worker *w);
void worker_deadline_passed(struct timer *deadline);

/* limits.c: its memory is looked at while it runs a task; fired by w->memory_check. */
#define MEMORY_CHECK_EVERY TRINE_MS(50)
void worker_check_memory(struct timer *memory_check);

/* life.c, for one that has ended: takes what it left, and lets it go when that is all. Its follower
 * may have no room for a piece: it is asked again, or the piece is dropped. */
void worker_end_goes_on(struct worker *w, bool drop_pieces);

/* Number i of what it was sent, from the first. */
static inline struct assignment *worker_sent(struct worker *w, unsigned i) {
    return &w->sent[(w->first + i) % SENT_MOST];
}

/* The task that it runs; NULL: none. */
static inline struct trine_future *worker_task(struct worker *w) {
    return w->count ? worker_sent(w, 0)->future : NULL;
}

/* Takes back number i, which is ahead: NULL when the worker has begun it, or it is back already. */
struct trine_future *worker_take_back(struct worker *w, unsigned i);

/* Takes back all that is ahead, into the queue; false: one of them has begun. */
bool worker_return_ahead(struct worker *w);

/* Asks one of its tasks that has begun to end, by steps (see grace); at the end kills the worker:
 * -ECANCELED. */
void worker_cancel_task(struct worker *w, const struct trine_future *f);

/* remote.c for life.c: what it needs of its own, once its bell and its memory are there; takes what
 * it had written before it died: false when a piece waits for its follower. */
void worker_init(struct worker *w);
bool worker_receive_last(struct worker *w, bool drop_pieces);

/* follow.c: w->piece is complete: it is handed over, or `piece_waits`. */
void worker_offer_piece(struct worker *w);
void worker_offer_again(struct timer *offer);

/* A piece that waits is nobody's. */
void worker_drop_piece(struct worker *w);

/* batch.c: what is done of the batch that it runs goes to where it belongs: how many structs. */
size_t worker_take_batch(struct worker *w);

/* That number for who gets the batch back, in f->executor_data. */
static inline void future_note_batch_done(struct trine_future *f, size_t done) {
    f->executor_data = (void *)(uintptr_t)done;
}
static inline size_t future_batch_done(const struct trine_future *f) {
    return (size_t)(uintptr_t)f->executor_data;
}

/* remote.c: takes what is there, and asks to be told of more. */
void worker_receive(struct worker *w);

/* Wakes it if it sleeps and was sent something. */
void worker_wake_if_due(struct worker *w);

/* Frees the structs; no worker lives any more. */
void workers_free(struct pool *p);

/* --- the pool --- */

/* A worker's place in the pool, which outlives it. */
struct seat {
    struct list bound; /* of futures that wait for it alone */
    struct worker *taken;
};

struct pool {
    struct trine_executor base;
    unsigned workers_wanted, max_tasks;
    int64_t task_timeout, grace;
    size_t limit_memory, max_result, max_resident;
    int64_t limit_cpu, max_age;
    bool pin;
    struct groups groups;
    struct build_id program;
    const trine_task *on_start, *on_stop;
    struct fork_request request; /* what all workers' requests have in common */

    bool ended_for_good;     /* there is no supervisor any more */
    bool missing;            /* workers are, which only the supervisor starts: that may take long */
    pthread_mutex_t driving; /* all that is the supervisor's; it lends it while it sleeps */
    char path[WIRE_PATH_MAX]; /* of a module; not on a coroutine's stack */

    pthread_mutex_t lock; /* the next seven; nothing else is taken under it */
    unsigned queue_limit;
    unsigned queued; /* accepted and not handed to a worker yet */
    bool closed;
    struct trine_future **incoming; /* submitted since the supervisor looked, in order */
    unsigned incoming_count;
    bool incoming_told;     /* `arrivals` is on its way */
    struct list submitters; /* who waits for the queue; struct waiter */

    atomic_size_t live; /* accepted, not given back yet */
    pthread_t thread;
    struct loop *loop;
    struct strand *strand; /* the thread's own */
    int open_result;
    struct strand *waiter; /* of open or close */
    struct message opened, close, ended, arrivals;
    struct trine_future **arriving; /* the supervisor's, which it swaps for `incoming` */

    bool closing, leaving; /* no more submissions come; the workers have been let go */
    struct list queue;     /* of futures */
    struct list again;     /* likewise: whose workers died; for new workers only */
    struct seat *seats;    /* workers_wanted of them */
    struct list workers;   /* all that live */
    struct list idle;
    struct list unused; /* worker structs, last in, first out */
    uint32_t last_number;
    unsigned failed_starts; /* in a row */
    char why_failed[160];   /* the last of them */
    struct timer retry;
    struct place_cache places;
    unsigned arrived;   /* tasks, since tasks and workers were paired last */
    int left;           /* tasks that have left the queue; `queued` is yet to be told */
    struct loop *owner; /* of what was given back and is yet to be handed over; or NULL */
    int owner_count;    /* tasks of it; INT_MAX: one of them failed */
    unsigned back;      /* tasks of it */
    struct message *back_newest, *back_oldest;
};

/* Where a future is; who may post its control message follows from it. See processes.c. */
enum future_phase {
    PHASE_NONE,             /* in submit(): not accepted yet */
    PHASE_SUBMITTED,        /* control is on its way: take this */
    PHASE_SUBMITTED_CANCEL, /* the same, and drop it at once */
    PHASE_HELD,             /* the supervisor has it */
    PHASE_CANCELLING,       /* control is on its way: cancel this */
    PHASE_CANCELLED,        /* that message has arrived */
    PHASE_RETURNED          /* given back, or as soon as the cancel message arrives */
};

/* processes.c: gives a future back to its owner; `failure` as in future_done_remote. */
void pool_give_back(struct pool *p, struct trine_future *f, int status, struct failure *failure);

/* processes.c: to do the supervisor's work while it sleeps: false, it is at work or about to be.
 * Then, whether it has to do something itself; and the end, after pool_settle. */
bool pool_take_place(struct pool *p);
bool pool_is_wanted(struct pool *p);
void pool_leave_place(struct pool *p);

/* lookout.c, on the owner's thread: it was submitted; it has come back, as a message. */
void pool_look_out(struct pool *p, struct trine_future *f);
void pool_noticed(struct message *done);

/* processes.c, for pool_settle: hands over what was given back; lets submitters in where tasks have
 * left the queue. */
void pool_hand_back(struct pool *p);
void pool_make_room(struct pool *p);

/* supervisor.c: the thread. */
void *pool_supervise(void *pool);

/* supervisor.c: events only note what they change; this carries it out once for all of a turn:
 * pairs tasks with workers, wakes those, hands back what is done, lets submitters in. */
void pool_settle(void *pool);

/* supervisor.c: events, on the supervisor's thread. */
void pool_task_arrived(struct pool *p, struct trine_future *f);
void pool_task_cancelled(struct pool *p, struct trine_future *f);
void pool_task_done(struct pool *p, struct worker *w, struct trine_future *f, int status,
                    struct failure *failure);
void pool_task_returned(struct pool *p, struct trine_future *f);
void pool_worker_ready(struct pool *p, struct worker *w);
void pool_close_arrived(struct pool *p);

/* supervisor.c: lets the workers go when the pool is closing and the last task was given back. */
void pool_leave_if_done(struct pool *p);

/* A task that a worker which is no more, or no more ours, had begun besides that one. */
void pool_task_died_along(struct pool *p, struct worker *w, const struct worker_report *report,
                          struct trine_future *f);

/* The worker is no more. `report` is NULL when the zygote died with it. `f` is the task that it
 * had, or NULL; `begun`: it had begun it, and may have run a part of it. Nothing is ahead any more.
 */
void pool_worker_gone(struct pool *p, struct worker *w, const struct worker_report *report,
                      struct trine_future *f, bool begun);

#endif
