/* supervisor.c - the pool's own thread. It holds the queue and the workers, pairs them, replaces
 * workers that died, and gives each task back once. It is an ordinary thread that parks until the
 * pool is closed; all is done in callbacks of its loop, or by another thread in its place while it
 * sleeps, so nothing here needs a lock but `driving`.
 *
 * Invariants: a future is in `queue`, or was sent to one worker, or was given back. There are
 * `workers_wanted` workers that are not on their way out, unless `retry` runs or the pool leaves.
 *
 * Rejected: the caller's loop as the supervisor (a coroutine that computes would hold up workers
 * and let time limits slip). */
#include "exec/pool.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

/* A pool whose workers do not start fails its tasks after so many attempts, and goes on trying. */
enum { FAILED_STARTS_MAX = 5, RETRY_DOUBLINGS = 8 };
#define RETRY_SOON TRINE_MS(1)
#define RETRY_FIRST TRINE_MS(10)
#define RETRY_LAST TRINE_SEC(2)

/* So long a worker without a task has lived that its end is no failed start. */
#define START_SETTLED TRINE_SEC(10)

/* So often a task goes to another worker because its worker died before it took the task. */
enum { LOST_MAX = 3 };
/* So many workers may die of a task that may be repeated. */
enum { DEATHS_MOST = 3 };

/* So many tasks wait at the most until the turn is over. */
enum { ARRIVED_MOST = 64 };

static void start_missing(struct pool *p);

/* --- tasks --- */

static struct trine_future *take_from(struct pool *p, struct list *queue) {
    struct list *node = list_pop(queue);
    if (!node)
        return NULL;
    p->left++;
    return container_of(node, struct trine_future, in_queue);
}

static struct trine_future *take_first(struct pool *p) {
    return take_from(p, &p->queue);
}

/* Where a task waits. */
static struct list *queue_of(struct pool *p, const struct trine_future *f) {
    return f->options && f->own.worker ? &p->seats[f->own.worker - 1].bound : &p->queue;
}

static struct trine_future *take_any(struct pool *p) {
    struct trine_future *f = take_first(p);
    for (unsigned i = 0; i < p->workers_wanted && !f; i++)
        f = take_from(p, &p->seats[i].bound);
    return f ? f : take_from(p, &p->again);
}

static unsigned ready_workers(const struct pool *p) {
    unsigned n = 0;
    LIST_EACH(node, &p->workers) {
        enum worker_state s = container_of(node, struct worker, node)->state;
        n += s == WORKER_IDLE || s == WORKER_BUSY;
    }
    return n;
}

static void fail_queue_if_broken(struct pool *p) {
    if (p->failed_starts < FAILED_STARTS_MAX || !p->retry.running || ready_workers(p) > 0)
        return;
    for (struct trine_future *f; (f = take_any(p));)
        pool_give_back(p, f, -EAGAIN,
                       failure_new(0, "no worker process could be started: %u attempts failed%s%s",
                                   p->failed_starts, p->why_failed[0] ? ", the last: " : "",
                                   p->why_failed));
}

static struct failure *explain_no_place(int error, const struct trine_future *f) {
    if (error == -ENOEXEC)
        return failure_new(0, "the module of %s has no build id: link it with -Wl,--build-id",
                           future_name(f));
    return failure_new(0, "the task's descriptor is in no module: define it with TRINE_TASK");
}

/* Takes back half of what is ahead of the worker that has most, into the queue, the last of it: the
 * first one is begun next. False: nothing could be had. */
static bool take_from_busy(struct pool *p) {
    struct worker *most = NULL;
    LIST_EACH(node, &p->workers) {
        struct worker *w = container_of(node, struct worker, node);
        if (w->state == WORKER_BUSY && !w->ended && w->count > (most ? most->count : 1))
            most = w;
    }
    bool got = false;
    for (unsigned i = most ? most->count : 0, keep = i / 2; i-- > (keep ? keep : 1);) {
        struct trine_future *f = i < most->count ? worker_take_back(most, i) : NULL;
        if (f)
            pool_task_returned(p, f);
        got |= f != NULL;
    }
    return got;
}

static void send_to(struct pool *p, struct worker *w, struct trine_future *f) {
    const void *descriptor = f->task ? (const void *)f->task : f->bytes_task;
    struct place place;
    int r = modules_locate(&p->places, descriptor, &place);
    if (r < 0)
        pool_give_back(p, f, -ENOEXEC, explain_no_place(r, f));
    else
        worker_give_task(w, f, &place);
}

/* Of those who take the next task in the queue ahead the one who has least; NULL: none does. */
static struct worker *least_busy(struct pool *p) {
    struct trine_future *next = container_of(p->queue.next, struct trine_future, in_queue);
    struct worker *least = NULL;
    LIST_EACH(node, &p->workers) {
        struct worker *w = container_of(node, struct worker, node);
        if ((!least || w->count < least->count) && list_empty(&p->seats[w->seat].bound) &&
            worker_takes_ahead(w, next))
            least = w;
    }
    return least;
}

/* Pairs idle workers with tasks, the last that became idle first: its caches are warm. What is left
 * goes to those that are busy. */
static void dispatch(struct pool *p) {
    p->arrived = 0;
    p->places.fresh = false; /* all of the queue's modules are loaded by now */
    for (unsigned i = 0; i < p->workers_wanted; i++) {
        struct seat *seat = &p->seats[i];
        if (seat->taken && seat->taken->state == WORKER_IDLE && !list_empty(&seat->bound))
            send_to(p, seat->taken, take_from(p, &seat->bound));
    }
    while (!list_empty(&p->idle) && (!list_empty(&p->queue) || take_from_busy(p)))
        send_to(p, container_of(p->idle.next, struct worker, idle_node), take_first(p));
    for (struct worker *w; !list_empty(&p->queue) && (w = least_busy(p));) {
        struct trine_future *f = take_first(p);
        if (!list_empty(&p->queue))
            __builtin_prefetch(container_of(p->queue.next, struct trine_future, in_queue)->arg);
        send_to(p, w, f);
    }
}

/* Tasks whose workers died, for which no new worker is to come, or some do not start: any will do.
 */
static void release_again(struct pool *p) {
    if (list_empty(&p->again) || p->missing)
        return;
    LIST_EACH(node, &p->workers) {
        if (!p->retry.running && container_of(node, struct worker, node)->state == WORKER_STARTING)
            return;
    }
    list_append(&p->queue, &p->again);
}

void pool_settle(void *pool) {
    struct pool *p = pool;
    if (p->missing && loop_here() == p->loop) {
        p->missing = false;
        start_missing(p);
    }
    release_again(p);
    dispatch(p);
    LIST_EACH(node, &p->workers) {
        worker_wake_if_due(container_of(node, struct worker, node));
    }
    pool_hand_back(p);
    pool_make_room(p);
    pool_leave_if_done(p);
}

void pool_task_returned(struct pool *p, struct trine_future *f) {
    p->left--;
    list_push_front(queue_of(p, f), &f->in_queue);
}

void pool_task_arrived(struct pool *p, struct trine_future *f) {
    f->executor_data = NULL; /* see struct misfortunes */
    list_push(queue_of(p, f), &f->in_queue);
    fail_queue_if_broken(p);
    if (++p->arrived == ARRIVED_MOST) /* workers need not wait for all that were submitted */
        pool_settle(p);
}

static void cancel_sent(struct pool *p, struct worker *w, unsigned i, struct trine_future *f) {
    if (i == 0 || !worker_take_back(w, i)) {
        worker_cancel_task(w, f);
        return;
    }
    pool_give_back(p, f, -ECANCELED, NULL);
}

void pool_task_cancelled(struct pool *p, struct trine_future *f) {
    LIST_EACH(node, &p->workers) {
        struct worker *w = container_of(node, struct worker, node);
        for (unsigned i = 0; i < w->count; i++)
            if (worker_sent(w, i)->future == f) {
                cancel_sent(p, w, i, f);
                return;
            }
    }
    list_remove(&f->in_queue);
    p->left++;
    pool_give_back(p, f, -ECANCELED, NULL);
}

void pool_task_done(struct pool *p, struct worker *w, struct trine_future *f, int status,
                    struct failure *failure) {
    p->failed_starts = 0;
    /* Also when it got SIGTERM for this task, which may strike later: no other must meet it. */
    if (worker_is_used_up(w) && w->state == WORKER_BUSY)
        worker_return_ahead(w);
    if (w->used_up && w->state == WORKER_IDLE) {
        worker_leave(w);
        p->missing = true;
    }
    pool_give_back(p, f, status, failure);
}

/* --- workers --- */

static void start_failed(struct pool *p, const char *why) {
    snprintf(p->why_failed, sizeof(p->why_failed), "%s", why);
    if (p->retry.running)
        return; /* of the same attempt: workers are started together */
    unsigned doublings = p->failed_starts < RETRY_DOUBLINGS ? p->failed_starts : RETRY_DOUBLINGS;
    int64_t pause = RETRY_FIRST << doublings;
    p->failed_starts++;
    loop_timer_start(p->loop, &p->retry, pause < RETRY_LAST ? pause : RETRY_LAST);
    fail_queue_if_broken(p);
}

static void start_missing(struct pool *p) {
    unsigned n = 0, waiting = 0; /* for their followers, when they have ended */
    LIST_EACH(node, &p->workers) {
        const struct worker *w = container_of(node, struct worker, node);
        n += w->state <= WORKER_BUSY && !w->ended;
        waiting += w->state <= WORKER_BUSY && w->ended;
    }
    if (waiting > p->workers_wanted) /* so many are not replaced at once: they keep descriptors */
        n += waiting - p->workers_wanted;
    for (; n < p->workers_wanted && !p->leaving && !p->retry.running; n++) {
        struct worker *w;
        int r = worker_start(p, &w);
        if (r == -ENOBUFS) /* the zygote has yet to come to those before it */
            loop_timer_start(p->loop, &p->retry, RETRY_SOON);
        else if (r < 0)
            start_failed(p, strerrordesc_np(-r));
    }
}

static void retry(struct timer *t) {
    start_missing(container_of(t, struct pool, retry));
}

void pool_worker_ready(struct pool *p, struct worker *w) {
    w->greeted = true;
    struct trine_future *f = w->ended ? NULL : take_from(p, &p->again);
    if (f)
        send_to(p, w, f);
}

/* What became of a worker, as the end of a sentence. */
static void describe_end(char *text, size_t size, const struct worker *w,
                         const struct worker_report *report) {
    int pid = (int)w->pid;
    if (w->start_error)
        snprintf(text, size, "its set-up (on_start, sandbox, cgroup) failed: %s",
                 strerrordesc_np(-w->start_error));
    else if (!report && !pid)
        snprintf(text, size, "the zygote, which was to fork it, died, or had no descriptors left");
    else if (!report)
        snprintf(text, size, "worker %d was lost: the zygote, its parent process, died", pid);
    else if (report->kind == REPORT_FAILED)
        snprintf(text, size, "fork: %s", strerrordesc_np(-report->status));
    else if (!WIFSIGNALED(report->status))
        snprintf(text, size, "worker %d exited with code %d", pid, WEXITSTATUS(report->status));
    else if (sigabbrev_np(WTERMSIG(report->status)))
        snprintf(text, size, "worker %d was killed by SIG%s (%s, at most %lld KiB resident)", pid,
                 sigabbrev_np(WTERMSIG(report->status)), sigdescr_np(WTERMSIG(report->status)),
                 (long long)report->most_memory / 1024);
    else
        snprintf(text, size, "worker %d was killed by signal %d", pid, WTERMSIG(report->status));
}

/* How often a task's worker died before the task began, and of the task; in f->executor_data. */
struct misfortunes {
    uint16_t lost, deaths;
};

static struct misfortunes misfortunes_of(const struct trine_future *f) {
    uintptr_t word = (uintptr_t)f->executor_data;
    return (struct misfortunes){(uint16_t)(word & 0xffff), (uint16_t)(word >> 16)};
}

static void note_misfortunes(struct trine_future *f, struct misfortunes m) {
    f->executor_data = (void *)((uintptr_t)m.lost | (uintptr_t)m.deaths << 16);
}

static struct failure *explain_death(const struct worker *w, const struct worker_report *report,
                                     const char *text, unsigned deaths) {
    bool told = report && report->kind == REPORT_ENDED;
    int signal = told && WIFSIGNALED(report->status) ? WTERMSIG(report->status) : 0;
    uint64_t address = 0;
    char *backtrace = signal ? crash_describe(w->memory.crash, signal, &address) : NULL;
    struct failure *failure =
        deaths == DEATHS_MOST
            ? failure_new(signal, "%s; it is the third that died of it: it is not tried again",
                          text)
            : failure_new(signal, "%s", text);
    if (backtrace)
        failure = failure_add_crash(failure, address, backtrace);
    free(backtrace);
    return failure;
}

/* Of its cgroup. A process that the worker had started may have been the one, earlier. */
static bool was_short_of_memory(struct worker *w, const struct worker_report *report) {
    struct pool *p = w->pool;
    return groups_are_used(&p->groups) && p->limit_memory && report &&
           report->kind == REPORT_ENDED && WIFSIGNALED(report->status) &&
           WTERMSIG(report->status) == SIGKILL && group_was_short_of_memory(&p->groups, w->number);
}

/* A task of a worker that is gone: given back, or to be run elsewhere. */
static void settle_task(struct pool *p, struct worker *w, struct trine_future *f,
                        const struct worker_report *report, bool begun, const char *text) {
    struct misfortunes m = misfortunes_of(f);
    m.lost += !begun;
    m.deaths += begun;
    note_misfortunes(f, m);
    if (!begun && atomic_load(&f->cancel)) {
        pool_give_back(p, f, -ECANCELED, NULL);
    } else if (w->terminated && atomic_load(&f->cancel)) {
        pool_give_back(p, f, -ECANCELED, failure_new(0, "it was cancelled"));
    } else if (!begun && m.lost < LOST_MAX) {
        pool_task_returned(p, f);
    } else if (begun && f->repeat && m.deaths < DEATHS_MOST && !atomic_load(&f->cancel)) {
        struct list *queue = queue_of(p, f);
        p->left--;
        list_push(queue == &p->queue ? &p->again : queue, &f->in_queue);
    } else if (was_short_of_memory(w, report)) {
        pool_give_back(p, f, -ENOMEM,
                       failure_new(SIGKILL, "memory limit of %g MiB, in its cgroup",
                                   (double)p->limit_memory / (1 << 20)));
    } else {
        pool_give_back(p, f, -EOWNERDEAD, explain_death(w, report, text, f->repeat ? m.deaths : 0));
    }
}

void pool_task_died_along(struct pool *p, struct worker *w, const struct worker_report *report,
                          struct trine_future *f) {
    char text[160];
    if (w->verdict)
        snprintf(text, sizeof(text), "worker %d was killed for a task that it had run before this",
                 (int)w->pid);
    else
        describe_end(text, sizeof(text), w, report);
    settle_task(p, w, f, report, true, text);
}

/* What the zygote of this worker had forked dies with it, and is told one after the other: those
 * that are idle yet must not be given a task. */
static void zygote_died(struct pool *p, unsigned zygote) {
    LIST_EACH(node, &p->workers) {
        struct worker *w = container_of(node, struct worker, node);
        if (w->zygote == zygote)
            worker_doom(w);
    }
}

/* It did not get as far as a task, or died by itself soon after, of none: its successor would, too.
 */
static bool is_no_start(const struct pool *p, const struct worker *w,
                        const struct worker_report *report, bool begun) {
    bool young = loop_read_clock(p->loop) - w->born < START_SETTLED;
    return !w->greeted || (report && report->kind == REPORT_FAILED) ||
           (report && !w->tasks && !begun && young && (!w->verdict || w->verdict == -EPROTO));
}

void pool_worker_gone(struct pool *p, struct worker *w, const struct worker_report *report,
                      struct trine_future *f, bool begun) {
    char text[160];
    if (!report && (w->pid || zygote_has_died(w->zygote)))
        zygote_died(p, w->zygote);
    describe_end(text, sizeof(text), w, report);
    if (f && w->verdict) {
        pool_give_back(p, f, w->verdict, w->failure);
        w->failure = NULL;
    } else if (f) {
        settle_task(p, w, f, report, begun, text);
    }
    if (!is_no_start(p, w, report, begun))
        p->failed_starts = 0;
    else if (w->state != WORKER_LEAVING && !p->leaving)
        start_failed(p, w->failure ? w->failure->detail : text); /* why we killed it, if we did */
    start_missing(p);
}

/* --- the end --- */

void pool_leave_if_done(struct pool *p) {
    if (!p->closing || atomic_load(&p->live) > 0)
        return;
    if (!p->leaving) {
        p->leaving = true;
        loop_timer_stop(p->loop, &p->retry);
        LIST_EACH(node, &p->workers) {
            worker_leave(container_of(node, struct worker, node));
        }
    }
    if (list_empty(&p->workers))
        strand_unpark(p->strand, 0);
}

void pool_close_arrived(struct pool *p) {
    static const atomic_size_t workers_end = 1; /* which somebody waits for */
    atomic_store(&p->loop->serves, &workers_end);
    p->closing = true;
}

/* --- the thread --- */

static int locate_hook(struct pool *p, const trine_task *task, struct hook *ret_hook) {
    if (!task)
        return 0;
    if (modules_path(task, ret_hook->path) < 0)
        ret_hook->path[0] = 0; /* the worker may know its module all the same */
    return modules_locate(&p->places, task, &ret_hook->place) < 0 ? -ENOEXEC : 0;
}

static int locate_all(struct pool *p) {
    int r = modules_program(&p->program);
    if (r >= 0)
        r = locate_hook(p, p->on_start, &p->request.on_start);
    return r < 0 ? r : locate_hook(p, p->on_stop, &p->request.on_stop);
}

void *pool_supervise(void *pool) {
    static const struct wait_kind supervising = {.name = "supervise processes"};
    struct pool *p = pool;
    pthread_mutex_lock(&p->driving);
    p->loop = loop_self();
    p->strand = strand_self();
    timer_init(&p->retry, retry);
    atomic_store(&p->loop->serves, &p->live);
    int r = loop_open_backend(p->loop);
    if (r >= 0)
        r = locate_all(p);
    if (r >= 0)
        r = zygote_ref();
    p->open_result = r;
    if (r >= 0) {
        p->loop->backend->lent = &p->driving;
        p->loop->settle_arg = p;
        p->loop->settle = pool_settle;
        start_missing(p);
    }
    loop_post(p->waiter->loop, &p->opened);
    if (r >= 0) {
        strand_park(p->strand, &supervising, NULL);
        p->loop->backend->lent = NULL;
        p->loop->settle = NULL;
        p->ended_for_good = true;
        zygote_unref();
        workers_free(p);
        groups_close(&p->groups);
    }
    pthread_mutex_unlock(&p->driving);
    if (r >= 0)
        loop_post(p->waiter->loop, &p->ended);
    return NULL;
}
