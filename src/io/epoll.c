/* epoll.c - the backend that always works. An operation is tried at once; when it would wait, its
 * descriptor is registered edge-triggered for both directions, once for its life, and the operation
 * is tried again when an edge comes. Watches are level-triggered, with exactly the events asked
 * for.
 *
 * Invariants: an operation stands in `submitted` or in its descriptor's `reading` or `writing` list
 * until done() is called, once. A descriptor has operations or a watch, never both.
 *
 * Rejected: registering per operation (two system calls an operation); readiness callbacks in place
 * of operations (io_uring could not be put behind the same interface). */
#include "io/epoll.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/panic.h"
#include "core/timer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { EVENTS_PER_WAIT = 256 };

struct descriptor {
    struct list reading, writing; /* operations that wait */
    bool registered;
};

struct epoll_backend {
    struct backend base;
    int fd;
    struct list submitted;
    struct descriptor **descriptors; /* by number */
    size_t descriptor_count;
    struct epoll_event events[EVENTS_PER_WAIT];
    int event_next, event_count; /* the batch that is being handed out */
    size_t watches, operations;  /* under way */
};

static struct epoll_backend *of(struct backend *b) {
    return (struct epoll_backend *)b;
}

/* --- descriptors --- */

static struct descriptor *find(struct epoll_backend *b, int fd) {
    return (size_t)fd < b->descriptor_count ? b->descriptors[fd] : NULL;
}

static struct descriptor *find_or_add(struct epoll_backend *b, int fd) {
    if ((size_t)fd >= b->descriptor_count) {
        size_t count = (size_t)fd + 64;
        struct descriptor **grown =
            FAULT(realloc(b->descriptors, count * sizeof(*grown)), NULL, ENOMEM);
        if (!grown)
            return NULL;
        memset(grown + b->descriptor_count, 0, (count - b->descriptor_count) * sizeof(*grown));
        b->descriptors = grown;
        b->descriptor_count = count;
    }
    if (!b->descriptors[fd]) {
        struct descriptor *d = FAULT(calloc(1, sizeof(*d)), NULL, ENOMEM);
        if (!d)
            return NULL;
        list_init(&d->reading);
        list_init(&d->writing);
        b->descriptors[fd] = d;
    }
    return b->descriptors[fd];
}

/* --- operations --- */

static int finish_connect(int fd) {
    int error = 0;
    socklen_t size = sizeof(error);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        return -errno;
    return -error;
}

/* `again`: the descriptor has become ready since the first try. */
static int64_t try_op(struct io_op *op, bool again) {
    int64_t r;
    do {
        switch (op->code) {
        case IO_READ:
            r = read(op->fd, op->buf, op->len);
            break;
        case IO_WRITE:
            r = write(op->fd, op->buf, op->len);
            break;
        case IO_RECV:
            r = recv(op->fd, op->buf, op->len, op->flags);
            break;
        case IO_SEND:
            r = send(op->fd, op->buf, op->len, op->flags | MSG_NOSIGNAL);
            break;
        case IO_ACCEPT:
            r = accept4(op->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
            break;
        case IO_CONNECT:
            if (again)
                return finish_connect(op->fd);
            r = connect(op->fd, op->buf, (socklen_t)op->len);
            if (r < 0 && errno == EINPROGRESS)
                return -EAGAIN;
            break;
        default:
            panic("the I/O operation %d is unknown", (int)op->code);
        }
    } while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : r;
}

static void end_op(struct epoll_backend *b, struct io_op *op, int64_t result) {
    b->operations--;
    list_remove(&op->node);
    op->result = result;
    op->done(op);
}

static bool is_write(const struct io_op *op) {
    return op->code == IO_WRITE || op->code == IO_SEND || op->code == IO_CONNECT;
}

/* The operation has to wait: 0, or why it cannot. */
static int wait_for_edge(struct epoll_backend *b, struct io_op *op) {
    struct descriptor *d = find_or_add(b, op->fd);
    if (!d)
        return -ENOMEM;
    if (!d->registered) {
        struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                .data.u64 = (uint64_t)op->fd << 1 | 1};
        if (FAULT(epoll_ctl(b->fd, EPOLL_CTL_ADD, op->fd, &e), -1, ENOMEM, ENOSPC) < 0)
            return -errno;
        d->registered = true;
    }
    list_remove(&op->node);
    list_push(is_write(op) ? &d->writing : &d->reading, &op->node);
    return 0;
}

/* Carries out what was submitted; true when something ended. */
static bool try_submitted(struct epoll_backend *b) {
    bool ended = false;
    struct list batch;
    list_init(&batch);
    list_append(&batch, &b->submitted);
    while (!list_empty(&batch)) {
        struct io_op *op = container_of(batch.next, struct io_op, node);
        int64_t r = try_op(op, false);
        if (r == -EAGAIN && (r = wait_for_edge(b, op)) == 0)
            continue;
        end_op(b, op, r);
        ended = true;
    }
    return ended;
}

static void retry(struct epoll_backend *b, struct list *waiting) {
    while (!list_empty(waiting)) {
        struct io_op *op = container_of(waiting->next, struct io_op, node);
        int64_t r = try_op(op, true);
        if (r == -EAGAIN)
            return;
        end_op(b, op, r);
    }
}

/* --- events --- */

static unsigned watch_events(uint32_t e) {
    return ((e & EPOLLIN) ? WATCH_READ : 0u) | ((e & EPOLLOUT) ? WATCH_WRITE : 0u) |
           ((e & (EPOLLERR | EPOLLHUP)) ? WATCH_ERROR : 0u);
}

static void hand_out(struct epoll_backend *b, struct epoll_event *e) {
    if (!(e->data.u64 & 1)) {
        struct watch *w = e->data.ptr;
        if (w)
            w->ready(w, watch_events(e->events));
        return;
    }
    struct descriptor *d = find(b, (int)(e->data.u64 >> 1));
    if (!d)
        return;
    if (e->events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP))
        retry(b, &d->reading);
    if (e->events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
        retry(b, &d->writing);
}

static int wait_events(struct epoll_backend *b, int64_t deadline) {
    if (deadline == NEVER)
        return epoll_wait(b->fd, b->events, EVENTS_PER_WAIT, -1);
    if (deadline == 0)
        return epoll_wait(b->fd, b->events, EVENTS_PER_WAIT, 0);
    struct timespec left = clock_left(deadline, clock_monotonic());
    int n = epoll_pwait2(b->fd, b->events, EVENTS_PER_WAIT, &left, NULL);
    if (n >= 0 || errno != ENOSYS)
        return n;
    int64_t ms = (int64_t)left.tv_sec * 1000 + (left.tv_nsec + 999999) / 1000000;
    return epoll_wait(b->fd, b->events, EVENTS_PER_WAIT, ms > 1000000 ? 1000000 : (int)ms);
}

/* Events, or a negative errno. */
static int wait_events_lent(struct epoll_backend *b, int64_t deadline) {
    pthread_mutex_t *lent = deadline ? b->base.lent : NULL;
    if (lent)
        pthread_mutex_unlock(lent);
    int n = wait_events(b, deadline);
    n = n < 0 ? -errno : n;
    if (lent && pthread_mutex_trylock(lent) != 0) {
        atomic_store(&b->base.lent_wanted, true);
        pthread_mutex_lock(lent);
        atomic_store(&b->base.lent_wanted, false);
    }
    return n;
}

static int epoll_submit_and_wait(struct backend *base, int64_t deadline) {
    struct epoll_backend *b = of(base);
    if (try_submitted(b))
        deadline = 0;
    int n = wait_events_lent(b, deadline);
    if (n < 0)
        return n == -EINTR ? 0 : n;
    b->event_count = n;
    for (b->event_next = 0; b->event_next < b->event_count;)
        hand_out(b, &b->events[b->event_next++]);
    b->event_count = 0;
    return 0;
}

/* --- the rest of the interface --- */

static void epoll_submit(struct backend *b, struct io_op *op) {
    of(b)->operations++;
    list_push(&of(b)->submitted, &op->node);
}

static void epoll_cancel(struct backend *b, struct io_op *op) {
    end_op(of(b), op, -ECANCELED);
}

static void end_all(struct epoll_backend *b, struct list *ops) {
    while (!list_empty(ops))
        end_op(b, container_of(ops->next, struct io_op, node), -EBADF);
}

static void epoll_forget(struct backend *base, int fd) {
    struct epoll_backend *b = of(base);
    LIST_EACH(node, &b->submitted) {
        struct io_op *op = container_of(node, struct io_op, node);
        if (op->fd == fd)
            end_op(b, op, -EBADF);
    }
    struct descriptor *d = find(b, fd);
    if (!d)
        return;
    if (d->registered) /* explicitly: a duplicate elsewhere would keep the registration alive */
        epoll_ctl(b->fd, EPOLL_CTL_DEL, fd, NULL);
    d->registered = false;
    end_all(b, &d->reading);
    end_all(b, &d->writing);
}

/* Events of an ended watch that are still to be handed out must not reach it. */
static void drop_events(struct epoll_backend *b, struct watch *w) {
    for (int i = b->event_next; i < b->event_count; i++)
        if (b->events[i].data.ptr == w)
            b->events[i].data.ptr = NULL;
}

static int epoll_watch(struct backend *base, struct watch *w, unsigned events) {
    struct epoll_backend *b = of(base);
    if (!events) {
        if (!w->watching)
            return 0;
        w->watching = false;
        w->events = 0;
        b->watches--;
        drop_events(b, w);
        return epoll_ctl(b->fd, EPOLL_CTL_DEL, w->fd, NULL) < 0 ? -errno : 0;
    }
    struct epoll_event e = {.events = ((events & WATCH_READ) ? EPOLLIN : 0u) |
                                      ((events & WATCH_WRITE) ? EPOLLOUT : 0u),
                            .data.ptr = w};
    int verb = w->watching ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (FAULT(epoll_ctl(b->fd, verb, w->fd, &e), -1, ENOMEM, ENOSPC) < 0)
        return -errno;
    b->watches += !w->watching;
    w->watching = true;
    w->events = events;
    return 0;
}

/* The loop's own wake-up is one watch. */
static bool epoll_idle(const struct backend *base) {
    const struct epoll_backend *b = (const struct epoll_backend *)base;
    return b->watches <= 1 && b->operations == 0;
}

static int epoll_descriptor(const struct backend *b) {
    return ((const struct epoll_backend *)b)->fd;
}

static int64_t epoll_now(struct backend *b) {
    (void)b;
    return clock_monotonic();
}

static void epoll_close(struct backend *base) {
    struct epoll_backend *b = of(base);
    for (size_t i = 0; i < b->descriptor_count; i++)
        free(b->descriptors[i]);
    free(b->descriptors);
    close(b->fd);
    free(b);
}

static const struct backend_kind epoll_kind = {.name = "epoll",
                                               .open = epoll_backend_open,
                                               .close = epoll_close,
                                               .now = epoll_now,
                                               .submit = epoll_submit,
                                               .cancel = epoll_cancel,
                                               .forget = epoll_forget,
                                               .watch = epoll_watch,
                                               .submit_and_wait = epoll_submit_and_wait,
                                               .idle = epoll_idle,
                                               .descriptor = epoll_descriptor};

int epoll_backend_open(struct backend **ret) {
    struct epoll_backend *b = FAULT(calloc(1, sizeof(*b)), NULL, ENOMEM);
    if (!b)
        return -ENOMEM;
    b->base.kind = &epoll_kind;
    list_init(&b->submitted);
    b->fd = FAULT(epoll_create1(EPOLL_CLOEXEC), -1, EMFILE, ENFILE, ENOMEM);
    if (b->fd < 0) {
        int r = -errno;
        free(b);
        return r;
    }
    *ret = &b->base;
    return 0;
}
