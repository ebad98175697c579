/* remote.c - one worker process as the supervisor sees it: frames to and from it, its limits, its
 * end. The worker is hostile: of what comes from it only a frame that answers its present task is
 * taken, at most of the size expected, and flat results go to memory of ours first.
 *
 * Which task dies with a worker: it runs one at a time, so it is the oldest without an answer,
 * unless the worker died before it began it, as one does that was killed while idle: it says in a
 * shared word what it begins. A task that had not begun is given to another worker. A worker can
 * lie about that; supervisor.c bounds the repetitions. That it has died is told by its report
 * alone, not by the end of its stream.
 *
 * While it runs one task it is sent the next one ahead, which saves it the round trip between two
 * (some 40 us). That one can be taken back by the same word, when another worker is idle or this
 * one is to end; its frame stays in the socket, and is skipped.
 *
 * Rejected: more than one ahead through a socket (each costs two system calls here and two there,
 * which is most of what a short task costs anyway). */
#include "exec/pool.h"

#include "base/fault.h"
#include "base/fdpass.h"
#include "base/sanitizer.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define START_TIMEOUT TRINE_SEC(30)
#define LEAVE_TIMEOUT TRINE_SEC(2)

/* More may not go into the socket at once, and what is half sent cannot be taken back. */
enum { AHEAD_MOST = 16 << 10 };

/* So often a task is taken back from behind one that takes long. */
enum { SKIPS_MOST = 64 };

#ifndef VALGRIND_DISABLE_ERROR_REPORTING
#define VALGRIND_DISABLE_ERROR_REPORTING
#define VALGRIND_ENABLE_ERROR_REPORTING
#endif

/* --- limits --- */

void worker_kill(struct worker *w, int verdict, struct failure *failure) {
    if (w->state == WORKER_KILLED) {
        free(failure);
        return;
    }
    struct loop *l = w->pool->loop;
    if (w->state == WORKER_IDLE)
        list_remove(&w->idle_node);
    w->state = WORKER_KILLED;
    w->verdict = verdict;
    w->failure = failure;
    loop_watch(l, &w->frames_watch, 0);
    loop_timer_stop(l, &w->deadline);
    loop_timer_stop(l, &w->memory_check);
    if (w->pidfd >= 0) /* otherwise when it comes */
        syscall(SYS_pidfd_send_signal, w->pidfd, SIGKILL, NULL, 0);
}

static bool receive(struct worker *w);

/* Of the task that it runs; 0: none. */
static int64_t time_limit(const struct worker *w) {
    const struct trine_future *f = w->task.future;
    return f->options && f->own.timeout ? f->own.timeout : w->pool->task_timeout;
}

/* The second step of a cancellation; the first was the flag, the third is the worker's end. What
 * was sent ahead must not meet the signal. */
static void terminate(struct worker *w) {
    struct trine_future *ahead = worker_take_back(w);
    if (!ahead && w->ahead.future) {
        loop_timer_start(w->pool->loop, &w->deadline, TRINE_MS(1)); /* the answer is on its way */
        return;
    }
    if (ahead)
        pool_task_returned(w->pool, ahead);
    w->terminated = w->used_up = true;
    if (w->pidfd >= 0)
        syscall(SYS_pidfd_send_signal, w->pidfd, SIGTERM, NULL, 0);
    loop_timer_start(w->pool->loop, &w->deadline, w->pool->grace - w->pool->grace / 2);
}

static void deadline_passed(struct timer *t) {
    struct worker *w = container_of(t, struct worker, deadline);
    if (w->state == WORKER_BUSY) {
        uint64_t late = w->task.frame.sequence;
        receive(w); /* we may be late, not the worker */
        if (w->state != WORKER_BUSY || w->task.frame.sequence != late)
            return;
        if (atomic_load(&w->task.future->cancel) && !w->terminated)
            terminate(w);
        else if (w->terminated)
            worker_kill(w, -ECANCELED, failure_new(0, "it was cancelled"));
        else
            worker_kill(w, -ETIME,
                        failure_new(SIGKILL, "time limit of %g s", (double)time_limit(w) / 1e9));
    } else {
        worker_kill(w, -ETIME, failure_new(SIGKILL, "worker %d did not start", (int)w->pid));
    }
}

void worker_cancel_task(struct worker *w, const struct trine_future *f) {
    bool ahead = w->ahead.future == f;
    if (w->state != WORKER_BUSY)
        return;
    atomic_store(w->flags.cancel, (ahead ? &w->ahead : &w->task)->frame.sequence);
    if (ahead || w->terminated)
        return; /* the steps begin when it is its turn; or its time was over as well */
    loop_timer_stop(w->pool->loop, &w->deadline);
    loop_timer_start(w->pool->loop, &w->deadline, w->pool->grace / 2);
}

void worker_doom(struct worker *w) {
    if (w->state == WORKER_IDLE)
        worker_kill(w, 0, NULL);
}

void worker_leave(struct worker *w) {
    if (w->state == WORKER_KILLED || w->state == WORKER_LEAVING)
        return;
    if (w->state == WORKER_IDLE)
        list_remove(&w->idle_node);
    w->state = WORKER_LEAVING;
    shutdown(w->sock, SHUT_WR);
    loop_watch(w->pool->loop, &w->frames_watch, 0);
    loop_timer_stop(w->pool->loop, &w->deadline);
    loop_timer_start(w->pool->loop, &w->deadline, LEAVE_TIMEOUT);
}

/* --- to the worker --- */

static struct iovec body_of(const struct trine_future *f) {
    if (f->task)
        return (struct iovec){f->arg, f->task->size};
    return (struct iovec){(void *)f->in.ptr, f->in.len};
}

static const struct assignment *newest(const struct worker *w) {
    return w->ahead.future ? &w->ahead : &w->task;
}

static bool all_sent(const struct worker *w) {
    const struct assignment *a = newest(w);
    return !a->future || w->out_done == WIRE_HEADER + a->frame.body;
}

/* Sends what the socket takes; watches for room while something is left. */
static void send_more(struct worker *w) {
    while (w->state == WORKER_BUSY && !all_sent(w)) {
        struct iovec parts[2] = {{w->out_header, WIRE_HEADER}, body_of(newest(w)->future)};
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
        uint64_t skip = w->out_done;
        for (int i = 0; i < 2; i++) {
            uint64_t part = skip < parts[i].iov_len ? skip : parts[i].iov_len;
            parts[i].iov_base = (char *)parts[i].iov_base + part;
            parts[i].iov_len -= part;
            skip -= part;
        }
        VALGRIND_DISABLE_ERROR_REPORTING; /* a struct's padding and outputs may have no value yet */
        ssize_t n = sendmsg(w->sock, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        VALGRIND_ENABLE_ERROR_REPORTING;
        if (n >= 0)
            w->out_done += (uint64_t)n;
        else if (errno == EAGAIN)
            break;
        else if (errno != EINTR)
            worker_kill(w, -EOWNERDEAD,
                        failure_new(0, "worker %d could not be reached: %s", (int)w->pid,
                                    strerrordesc_np(errno)));
    }
    if (w->state != WORKER_BUSY)
        return;
    unsigned events = WATCH_READ | (all_sent(w) ? 0u : WATCH_WRITE);
    if (w->frames_watch.events != events)
        loop_watch(w->pool->loop, &w->frames_watch, events);
}

/* The limits of the task that it runs now count from now. */
static void start_limits(struct worker *w) {
    struct pool *p = w->pool;
    int64_t timeout = time_limit(w);
    if (timeout)
        loop_timer_start(p->loop, &w->deadline, timeout);
    if (p->limit_memory)
        loop_timer_start(p->loop, &w->memory_check, MEMORY_CHECK_EVERY);
}

bool worker_takes_ahead(const struct worker *w, const struct trine_future *f) {
    unsigned most = w->pool->max_tasks;
    return w->state == WORKER_BUSY && !w->ahead.future && !w->used_up && all_sent(w) &&
           w->skips < SKIPS_MOST && body_of(f).iov_len <= AHEAD_MOST &&
           (!most || w->tasks + 1 < most);
}

void worker_give_task(struct worker *w, struct trine_future *f, const struct place *place) {
    struct pool *p = w->pool;
    struct assignment a = {.future = f,
                           .frame = {.type = FRAME_TASK,
                                     .bytes = !f->task,
                                     .worker = w->number,
                                     .sequence = ++w->last_sequence,
                                     .body = body_of(f).iov_len,
                                     .offset = place->offset,
                                     .first_out = f->task ? f->task->first_out : 0,
                                     .limit = f->task ? 0 : p->max_result,
                                     .module = place->module}};
    wire_encode(&a.frame, w->out_header);
    w->out_done = 0;
    if (!f->task)
        f->out->len = 0;
    if (w->state == WORKER_IDLE) {
        list_remove(&w->idle_node);
        w->state = WORKER_BUSY;
        w->task = a;
        w->in_done = 0;
        start_limits(w);
    } else {
        w->ahead = a;
    }
    send_more(w);
}

struct trine_future *worker_take_back(struct worker *w) {
    struct trine_future *f = w->ahead.future;
    if (!f || !all_sent(w) || !flag_take_back(&w->flags, w->ahead.frame.sequence))
        return NULL;
    w->ahead.future = NULL;
    w->out_done = WIRE_HEADER + w->task.frame.body;
    w->skips++;
    return f;
}

/* --- from the worker --- */

static void violation(struct worker *w, const char *what) {
    worker_kill(w, -EPROTO,
                failure_new(SIGKILL, "worker %d was killed because it sent %s", (int)w->pid, what));
}

/* Where the body of the present reply goes, and how much room there is: known before the header for
 * flat structs, and for bytes as far as the caller's buffer has room already. */
static struct iovec body_room(struct worker *w) {
    if (w->state != WORKER_BUSY)
        return (struct iovec){NULL, 0};
    const struct frame *sent = &w->task.frame;
    trine_buf *b = sent->bytes ? w->task.future->out : &w->scratch;
    size_t room = sent->bytes ? b->cap : sent->body - sent->first_out;
    if (w->in_done >= WIRE_HEADER)
        room = w->reply.body;
    else if (w->ahead.future)
        room = 0; /* behind a short reply the next one may have come already */
    return (struct iovec){b->ptr, room < b->cap ? room : b->cap};
}

/* The header is complete: 0, or the worker was killed. */
static int take_header(struct worker *w) {
    const char *wrong = wire_decode(w->in_header, &w->reply);
    if (!wrong && w->state == WORKER_STARTING) {
        if (w->reply.type != FRAME_HELLO || w->reply.worker != w->number)
            wrong = "no greeting";
    } else if (!wrong) {
        wrong = wire_check_reply(&w->reply, &w->task.frame);
    }
    if (!wrong && w->in_done > WIRE_HEADER + w->reply.body)
        wrong = "more than it announced";
    if (wrong) {
        violation(w, wrong);
        return -EPROTO;
    }
    if (w->reply.body == 0)
        return 0;
    trine_buf *b = w->task.frame.bytes ? w->task.future->out : &w->scratch;
    b->len = w->in_done - WIRE_HEADER;
    int r = trine_buf_reserve(b, w->reply.body - b->len);
    if (r < 0)
        worker_kill(w, r,
                    failure_new(0, "no memory for its result of %llu bytes",
                                (unsigned long long)w->reply.body));
    return r;
}

static struct failure *refusal(const struct worker *w) {
    const struct frame *r = &w->reply;
    unsigned long long value = r->value, limit = w->task.frame.limit;
    switch (r->status) {
    case -EMSGSIZE:
        return failure_new(0, "its result of %llu bytes is over the limit of %llu (max_result)",
                           value, limit);
    case -ENOMEM:
        return failure_new(0, "the worker has no memory for its argument of %llu bytes", value);
    case -ENOEXEC:
        return failure_new(0, "the worker does not know the task: its module was loaded or changed "
                              "after the program's start");
    default:
        return failure_new(0, "the worker's runtime refused it");
    }
}

/* It is through with its task: what was sent ahead is the next. */
static void next_task(struct worker *w) {
    w->task = w->ahead;
    w->ahead.future = NULL;
    w->skips = 0;
    if (!w->task.future) {
        w->state = WORKER_IDLE;
        list_push_front(&w->pool->idle, &w->idle_node);
        return;
    }
    start_limits(w);
    if (atomic_load(&w->task.future->cancel))
        worker_cancel_task(w, w->task.future);
}

/* The frame is complete. */
static void take_frame(struct worker *w) {
    struct pool *p = w->pool;
    loop_timer_stop(p->loop, &w->deadline);
    loop_timer_stop(p->loop, &w->memory_check);
    w->in_done = 0;
    if (w->state == WORKER_STARTING) {
        w->state = WORKER_IDLE;
        list_push_front(&p->idle, &w->idle_node);
        pool_worker_ready(p, w);
        return;
    }
    struct trine_future *f = w->task.future;
    int status = w->reply.status;
    struct failure *failure = NULL;
    if (w->reply.type == FRAME_REFUSED)
        failure = refusal(w);
    else if (status >= 0 && f->task && w->reply.body > 0)
        memcpy((char *)f->arg + f->task->first_out, w->scratch.ptr, w->reply.body);
    else if (status >= 0 && !f->task)
        f->out->len = w->reply.body;
    w->tasks++;
    next_task(w);
    pool_task_done(p, w, f, status, failure);
}

/* Takes one frame, or what is there of it: true if it was complete. */
static bool receive(struct worker *w) {
    while (w->state <= WORKER_BUSY) {
        struct iovec parts[2] = {{w->in_header, WIRE_HEADER}, body_room(w)};
        uint64_t skip = w->in_done;
        for (int i = 0; i < 2; i++) {
            uint64_t part = skip < parts[i].iov_len ? skip : parts[i].iov_len;
            parts[i].iov_base = (char *)parts[i].iov_base + part;
            parts[i].iov_len -= part;
            skip -= part;
        }
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
        ssize_t n = recvmsg(w->sock, &message, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false; /* nothing more for now; its end is told by its report */
        if (w->state == WORKER_IDLE) {
            violation(w, "bytes without a task");
            return false;
        }
        bool had_header = w->in_done >= WIRE_HEADER;
        w->in_done += (uint64_t)n;
        if (w->in_done < WIRE_HEADER || (!had_header && take_header(w) < 0))
            continue;
        if (w->in_done == WIRE_HEADER + w->reply.body) {
            take_frame(w);
            return true; /* the next readiness brings the next frame: workers take turns */
        }
    }
    return false;
}

static void frames_ready(struct watch *watch, unsigned events) {
    struct worker *w = container_of(watch, struct worker, frames_watch);
    if (events & WATCH_WRITE)
        send_more(w);
    if (events & (WATCH_READ | WATCH_ERROR))
        receive(w);
}

/* --- start and end --- */

static void release(struct worker *w) {
    struct pool *p = w->pool;
    loop_watch(p->loop, &w->frames_watch, 0);
    loop_watch(p->loop, &w->reports_watch, 0);
    loop_timer_stop(p->loop, &w->deadline);
    loop_timer_stop(p->loop, &w->memory_check);
    close(w->sock);
    close(w->far_end);
    close(w->reports);
    flags_free(&w->flags);
    if (w->pidfd >= 0)
        close(w->pidfd);
    free(w->failure);
    w->failure = NULL;
    list_remove(&w->node);
    list_push_front(&p->unused, &w->node);
}

static void gone(struct worker *w, const struct worker_report *report) {
    while (receive(w))
        ; /* it may have answered before it died */
    if (!report && w->pidfd >= 0)
        syscall(SYS_pidfd_send_signal, w->pidfd, SIGKILL, NULL,
                0); /* the zygote's death does too */
    if (w->state == WORKER_IDLE)
        list_remove(&w->idle_node);
    struct pool *p = w->pool;
    struct trine_future *f = w->task.future;
    bool begun = f && flag_has_begun(&w->flags, w->task.frame.sequence);
    if (f && !f->task)
        f->out->len = 0;
    list_remove(&w->node);
    struct trine_future *ahead = w->ahead.future;
    w->ahead.future = NULL;
    if (ahead)
        pool_task_returned(p, ahead);
    pool_worker_gone(p, w, report, begun);
    release(w);
}

static void reports_ready(struct watch *watch, unsigned events) {
    (void)events;
    struct worker *w = container_of(watch, struct worker, reports_watch);
    struct worker_report report;
    int pidfd;
    int r = fdpass_receive(w->reports, &report, sizeof(report), &pidfd, 1);
    if (r == -EAGAIN)
        return;
    if (r <= 0) {
        gone(w, NULL);
    } else if (report.kind != REPORT_STARTED) {
        gone(w, &report);
    } else {
        w->pid = report.pid;
        w->pidfd = pidfd;
        if (w->state == WORKER_KILLED)
            syscall(SYS_pidfd_send_signal, w->pidfd, SIGKILL, NULL, 0);
    }
}

static void close_pair(const int pair[2]) {
    close(pair[0]);
    close(pair[1]);
}

/* The sockets of a worker, and the request for it. */
static int request_worker(struct worker *w) {
    int frames[2], reports[2];
    if (FAULT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, frames), -1, EMFILE, ENFILE) < 0)
        return -errno;
    if (FAULT(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, reports), -1, EMFILE) < 0) {
        int error = -errno;
        close_pair(frames);
        return error;
    }
    uint64_t second = 1000000000;
    struct fork_request request = {
        .worker = w->number,
        .limit_memory = w->pool->limit_memory,
        .limit_cpu = ((uint64_t)w->pool->limit_cpu + second - 1) / second,
    };
    int fds[REQUEST_FDS] = {[REQUEST_FRAMES] = frames[1], [REQUEST_REPORTS] = reports[1]};
    int made = flags_new(&w->flags, fds + REQUEST_FLAGS);
    if (made < 0) {
        close_pair(frames);
        close_pair(reports);
        return made;
    }
    struct loop *l = w->pool->loop;
    w->frames_watch = (struct watch){.fd = frames[0], .ready = frames_ready};
    w->reports_watch = (struct watch){.fd = reports[0], .ready = reports_ready};
    int r = loop_watch(l, &w->frames_watch, WATCH_READ);
    if (r >= 0)
        r = loop_watch(l, &w->reports_watch, WATCH_READ);
    if (r >= 0)
        r = zygote_fork(&request, fds, &w->zygote);
    for (int i = 0; i < FLAGS; i++)
        close(fds[REQUEST_FLAGS + i]);
    if (r < 0) {
        loop_watch(l, &w->frames_watch, 0);
        loop_watch(l, &w->reports_watch, 0);
        close_pair(frames);
        close_pair(reports);
        flags_free(&w->flags);
        return r;
    }
    close(reports[1]);
    w->sock = frames[0];
    w->far_end = frames[1];
    w->reports = reports[0];
    return 0;
}

int worker_start(struct pool *p, struct worker **ret_worker) {
    struct list *old = list_pop(&p->unused);
    struct worker *w =
        old ? container_of(old, struct worker, node) : FAULT(calloc(1, sizeof(*w)), NULL, ENOMEM);
    if (!w)
        return -ENOMEM;
    *w = (struct worker){.pool = p,
                         .number = ++p->last_number,
                         .pidfd = -1,
                         .born = p->loop->now,
                         .scratch = w->scratch}; /* WORKER_STARTING */
    list_init(&w->idle_node);
    timer_init(&w->deadline, deadline_passed);
    timer_init(&w->memory_check, worker_check_memory);
    int r = request_worker(w);
    if (r < 0) {
        list_push_front(&p->unused, &w->node);
        return r;
    }
    list_push(&p->workers, &w->node);
    loop_timer_start(p->loop, &w->deadline, START_TIMEOUT);
    *ret_worker = w;
    return 0;
}

void workers_free(struct pool *p) {
    for (struct list *node; (node = list_pop(&p->unused));) {
        struct worker *w = container_of(node, struct worker, node);
        trine_buf_free(&w->scratch);
        free(w);
    }
}
