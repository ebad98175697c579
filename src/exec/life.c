/* life.c - how a worker process comes and goes, as the supervisor sees it: what it is given, the
 * request to the zygote, the zygote's reports on it. What lies between is remote.c's. */
#include "exec/pool.h"

#include "base/fault.h"
#include "base/fdpass.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define START_TIMEOUT TRINE_SEC(30)

static void release(struct worker *w) {
    struct pool *p = w->pool;
    loop_watch(p->loop, &w->bell_watch, 0);
    loop_watch(p->loop, &w->reports_watch, 0);
    loop_timer_stop(p->loop, &w->deadline);
    loop_timer_stop(p->loop, &w->memory_check);
    loop_timer_stop(p->loop, &w->look);
    loop_timer_stop(p->loop, &w->offer);
    trine_buf_free(&w->piece);
    close(w->bell);
    close(w->reports);
    flags_free(&w->memory);
    if (groups_are_used(&p->groups))
        group_remove(&p->groups, w->number);
    if (w->pidfd >= 0)
        close(w->pidfd);
    free(w->failure);
    w->failure = NULL;
    list_remove(&w->node);
    list_push_front(&p->unused, &w->node);
}

/* The zygote may do it where we may not: it has the rights that the program had at its start. */
void worker_signal(struct worker *w, int signal) {
    if (w->pid <= 0) /* it is not told yet */
        return;
    if (w->pidfd < 0 ||
        (syscall(SYS_pidfd_send_signal, w->pidfd, signal, NULL, 0) < 0 && errno != ESRCH))
        zygote_signal(w->zygote, w->pid, signal);
}

/* All that it sent has been taken. What it has not begun is claimed: where its zygote has died it
 * may live for a moment yet. */
static void gone(struct worker *w) {
    const struct worker_report *report = w->end_told ? &w->end : NULL;
    if (w->state == WORKER_IDLE)
        list_remove(&w->idle_node);
    struct pool *p = w->pool;
    struct trine_future *f = worker_task(w);
    bool begun = f && !flag_take_back(&w->memory, worker_sent(w, 0)->frame.sequence);
    if (f && !f->task)
        f->out->len = 0;
    if (begun && future_is_batch(f) && w->verdict != -EPROTO)
        worker_take_batch(w);
    list_remove(&w->node);
    worker_leave_seat(w);
    for (unsigned i = w->count; i-- > 1;) {
        struct assignment *a = worker_sent(w, i);
        if (!a->future || !flag_take_back(&w->memory, a->frame.sequence))
            continue;
        pool_task_returned(p, a->future);
        a->future = NULL;
    }
    pool_worker_gone(p, w, report, f, begun);
    for (unsigned i = 1; i < w->count; i++)
        if (worker_sent(w, i)->future) /* begun, but the answer to the one before was not taken */
            pool_task_died_along(p, w, report, worker_sent(w, i)->future);
    w->count = 0;
    release(w);
}

void worker_end_goes_on(struct worker *w, bool drop_pieces) {
    if (worker_receive_last(w, drop_pieces))
        gone(w);
}

/* It takes no more tasks. The last of what it reported may wait for its follower, and its result
 * lies behind that. NULL: not told, because its zygote died. */
static void ended(struct worker *w, const struct worker_report *report) {
    struct loop *l = w->pool->loop;
    w->ended = w->used_up = true;
    w->end_told = report != NULL;
    if (report)
        w->end = *report;
    else
        worker_signal(w, SIGKILL); /* the zygote's death does too */
    loop_watch(l, &w->bell_watch, 0);
    loop_watch(l, &w->reports_watch, 0);
    loop_timer_stop(l, &w->memory_check);
    if (w->state == WORKER_BUSY)
        worker_return_ahead(w);
    worker_leave_seat(w);
    w->pool->missing = true;
    worker_end_goes_on(w, false);
}

static void reports_ready(struct watch *watch, unsigned events) {
    (void)events;
    struct worker *w = container_of(watch, struct worker, reports_watch);
    struct worker_report report;
    int pidfd;
    int r = fdpass_receive(w->reports, &report, sizeof(report), &pidfd, 1);
    if (r == -EAGAIN)
        return;
    if (r == -EMFILE) { /* there was no room for the pidfd; all else has come */
        pidfd = -1;
        r = 1;
    }
    if (r <= 0) {
        ended(w, NULL);
    } else if (report.kind != REPORT_STARTED) {
        ended(w, &report);
    } else {
        w->pid = report.pid;
        w->pidfd = pidfd;
        if (w->state == WORKER_KILLED)
            worker_signal(w, SIGKILL);
    }
}

/* Has the zygote fork it; the descriptors stay the caller's. */
static int ask_for_worker(struct worker *w, const int fds[REQUEST_FDS]) {
    uint64_t second = 1000000000;
    struct fork_request request = w->pool->request;
    request.worker = w->number;
    request.limit_memory = w->pool->limit_memory;
    request.limit_cpu = ((uint64_t)w->pool->limit_cpu + second - 1) / second;
    request.cpu = w->cpu;
    struct loop *l = w->pool->loop;
    w->reports_watch = (struct watch){.fd = w->reports, .ready = reports_ready};
    int r = loop_watch(l, &w->bell_watch, WATCH_READ);
    if (r >= 0)
        r = loop_watch(l, &w->reports_watch, WATCH_READ);
    if (r >= 0)
        r = zygote_fork(&request, fds, &w->zygote);
    if (r < 0) {
        loop_watch(l, &w->bell_watch, 0);
        loop_watch(l, &w->reports_watch, 0);
    }
    return r;
}

static int ask_in_group(struct worker *w, int fds[REQUEST_FDS]) {
    struct groups *g = &w->pool->groups;
    if (!groups_are_used(g))
        return ask_for_worker(w, fds);
    int r = fds[REQUEST_GROUP] = group_make(g, w->number);
    if (r < 0)
        return r;
    r = ask_for_worker(w, fds);
    close(fds[REQUEST_GROUP]);
    if (r < 0)
        group_remove(g, w->number);
    return r;
}

/* Its bell, its report socket, its memory, and the request for it. */
static int request_worker(struct worker *w) {
    int reports[2];
    w->bell = FAULT(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), -1, EMFILE, ENFILE);
    if (w->bell < 0)
        return -errno;
    if (FAULT(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, reports), -1, EMFILE) < 0) {
        int error = -errno;
        close(w->bell);
        return error;
    }
    w->reports = reports[0];
    int fds[REQUEST_FDS] = {
        [REQUEST_BELL] = w->bell, [REQUEST_REPORTS] = reports[1], [REQUEST_GROUP] = -1};
    int r = flags_new(&w->memory, fds + REQUEST_FLAGS);
    if (r >= 0) {
        worker_init(w);
        r = ask_in_group(w, fds);
        for (int i = 0; i < FLAGS; i++)
            close(fds[REQUEST_FLAGS + i]);
        if (r < 0)
            flags_free(&w->memory);
    }
    close(reports[1]);
    if (r < 0) {
        close(w->bell);
        close(w->reports);
    }
    return r;
}

/* The usable CPU that has fewest workers; -1: it cannot be told. */
static int emptiest_cpu(const struct pool *p) {
    cpu_set_t usable;
    int best = -1;
    unsigned least = 0;
    if (sched_getaffinity(0, sizeof(usable), &usable) < 0)
        return -1;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        unsigned there = 0;
        if (!CPU_ISSET(cpu, &usable))
            continue;
        LIST_EACH(node, &p->workers)
        there += container_of(node, struct worker, node)->cpu == cpu;
        if (best < 0 || there < least) {
            best = cpu;
            least = there;
        }
    }
    return best;
}

static unsigned free_seat(const struct pool *p) {
    unsigned i = 0;
    while (p->seats[i].taken)
        i++;
    return i;
}

void worker_leave_seat(struct worker *w) {
    struct seat *seat = &w->pool->seats[w->seat];
    if (seat->taken == w)
        seat->taken = NULL;
}

int worker_start(struct pool *p, struct worker **ret_worker) {
    struct list *old = list_pop(&p->unused);
    struct worker *w =
        old ? container_of(old, struct worker, node) : FAULT(calloc(1, sizeof(*w)), NULL, ENOMEM);
    if (!w)
        return -ENOMEM;
    *w = (struct worker){.pool = p,
                         .number = ++p->last_number,
                         .seat = free_seat(p),
                         .pidfd = -1,
                         .cpu = p->pin ? emptiest_cpu(p) : -1,
                         .born = loop_read_clock(p->loop),
                         .scratch = w->scratch, /* WORKER_STARTING */
                         .introduced = {p->program},
                         .introductions = 1};
    list_init(&w->idle_node);
    int r = request_worker(w);
    if (r < 0) {
        list_push_front(&p->unused, &w->node);
        return r;
    }
    list_push(&p->workers, &w->node);
    p->seats[w->seat].taken = w;
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
