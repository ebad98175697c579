/* pool.h - inside of the process executor. Three files share it: processes.c is what any thread may
 * do (open, submit, cancel, close); supervisor.c is the pool's own thread, which decides; remote.c
 * is one worker process as that thread sees it, limits.c what it may use. Everything not under
 * `lock` belongs to that thread.
 */
#ifndef TRINE_EXEC_POOL_H
#define TRINE_EXEC_POOL_H

#include "base/list.h"
#include "core/executor.h"
#include "core/loop.h"
#include "exec/flag.h"
#include "exec/modules.h"
#include "exec/wire.h"
#include "exec/zygote.h"

#include <pthread.h>

/* --- a worker process (remote.c) --- */

enum worker_state {
    WORKER_STARTING, /* asked for; has not said hello */
    WORKER_IDLE,
    WORKER_BUSY,
    WORKER_LEAVING, /* its input was closed: it ends by itself, or is killed after a while */
    WORKER_KILLED   /* is only waited for */
};

/* A task that was sent to a worker. */
struct assignment {
    struct trine_future *future; /* NULL: none */
    struct frame frame;
};

struct worker {
    struct list node;      /* in pool->workers, or ->unused */
    struct list idle_node; /* in pool->idle */
    struct pool *pool;
    enum worker_state state;
    uint32_t number; /* never used twice in a pool */
    pid_t pid;
    int pidfd; /* -1 until the zygote has told it */
    int sock;
    int far_end; /* the worker's end, kept open, so that a dead worker's does not read as ready */
    int reports;
    unsigned zygote; /* which one forked it */
    struct watch frames_watch, reports_watch;
    struct timer deadline, memory_check;
    struct flags flags;
    bool terminated; /* it got SIGTERM for its task's sake: it takes no other */
    unsigned tasks;  /* that it has done */
    unsigned skips;  /* frames of tasks taken back that it has not come to, at the most */
    uint64_t last_sequence;
    bool greeted;         /* it got as far as taking tasks */
    bool used_up;         /* it is to be replaced when it has nothing to do */
    int64_t born, looked; /* when it was asked for, when its memory was looked at last */

    struct assignment task;  /* that it runs; none unless BUSY or KILLED */
    struct assignment ahead; /* that it finds when it is through; may be taken back */
    uint8_t out_header[WIRE_HEADER];
    uint64_t out_done; /* bytes sent, of header and body, of `ahead` or, if that is none, `task` */

    uint8_t in_header[WIRE_HEADER];
    struct frame reply; /* valid when in_done >= WIRE_HEADER */
    uint64_t in_done;   /* bytes received, of header and body */
    trine_buf scratch;  /* results of flat structs come here first */

    int verdict;             /* not 0: we killed it, and its task fails with this ... */
    struct failure *failure; /* ... and that */
};

/* Asks the zygote for a new worker: 0, or a negative errno; nothing is kept then. */
int worker_start(struct pool *p, struct worker **ret_worker);

/* Could it be sent a task while it runs another, so that it has the next one at once? */
bool worker_takes_ahead(const struct worker *w, const struct trine_future *f);

/* Sends an idle worker a task, or one that takes tasks ahead; `place` is its descriptor's. */
void worker_give_task(struct worker *w, struct trine_future *f, const struct place *place);

/* Kills it; its task, if it runs one, fails with `verdict`. */
void worker_kill(struct worker *w, int verdict, struct failure *failure);

/* Its zygote has died, and so it will: it gets no task any more. */
void worker_doom(struct worker *w);

/* Lets it go: it ends by itself once it has nothing more to do. */
void worker_leave(struct worker *w);

/* limits.c: is it to be replaced, now that it has done a task? */
bool worker_is_used_up(struct worker *w);

/* limits.c: its memory is looked at while it runs a task; fired by w->memory_check. */
#define MEMORY_CHECK_EVERY TRINE_MS(50)
void worker_check_memory(struct timer *memory_check);

/* Takes back what was sent ahead: NULL when there is none, or the worker has begun it. */
struct trine_future *worker_take_back(struct worker *w);

/* Asks one of its tasks that has begun to end, by steps (see grace); at the end kills the worker:
 * -ECANCELED. */
void worker_cancel_task(struct worker *w, const struct trine_future *f);

/* Frees the structs; no worker lives any more. */
void workers_free(struct pool *p);

/* --- the pool --- */

struct pool {
    struct trine_executor base;
    unsigned workers_wanted, max_tasks;
    int64_t task_timeout, grace;
    size_t limit_memory, max_result, max_resident;
    int64_t limit_cpu, max_age;

    pthread_mutex_t lock; /* the next four; nothing else is taken under it */
    unsigned queue_limit;
    unsigned queued; /* accepted and not handed to a worker yet */
    bool closed;
    struct list submitters; /* who waits for the queue; struct waiter */

    atomic_size_t live; /* accepted, not given back yet */
    pthread_t thread;
    struct loop *loop;
    struct strand *strand; /* the thread's own */
    int open_result;
    struct strand *waiter; /* of open or close */
    struct message opened, close, ended;

    bool closing, leaving; /* no more submissions come; the workers have been let go */
    struct list queue;     /* of futures */
    struct list again;     /* likewise: whose workers died; for new workers only */
    struct list workers;   /* all that live */
    struct list idle;
    struct list unused; /* worker structs, last in, first out */
    uint32_t last_number;
    unsigned failed_starts; /* in a row */
    char why_failed[160];   /* the last of them */
    struct timer retry;
    struct place_cache places;
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

/* processes.c: a task has left the queue: lets the next submitter in. Or one has come back. */
void pool_queue_shrunk(struct pool *p);
void pool_queue_grown(struct pool *p);

/* supervisor.c: the thread. */
void *pool_supervise(void *pool);

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

/* The worker is no more. `report` is NULL when the zygote died with it. `begun`: it had begun its
 * task, if it has one, and may have run a part of it. Nothing is ahead any more. */
void pool_worker_gone(struct pool *p, struct worker *w, const struct worker_report *report,
                      bool begun);

#endif
