/* io.c - a strand's I/O: it writes the operation, hands it to the backend, and waits. The operation
 * is the backend's until done(): a cancelled one is asked to end, and what it then reports counts,
 * so bytes that did arrive are not lost. */
#include "core/loop.h"

#include <errno.h>

struct waiting_op {
    struct io_op *op;
    struct strand *strand;
    int reason; /* of a cancellation that is under way */
};

static void op_done(struct io_op *op) {
    struct waiting_op *w = op->owner;
    strand_unpark(w->strand, 0);
}

static void cancel_op(struct strand *s, int reason) {
    struct waiting_op *w = s->wait_arg;
    w->reason = reason;
    s->loop->backend->kind->cancel(s->loop->backend, w->op);
}

int64_t loop_do_io(struct io_op *op) {
    static const struct wait_kind kind = {.name = "I/O", .abort = cancel_op};
    struct strand *self;
    int r = strand_enter(&self);
    if (r == 0)
        r = loop_open_backend(self->loop);
    if (r < 0)
        return r;
    struct waiting_op w = {.op = op, .strand = self};
    op->owner = &w;
    op->done = op_done;
    self->loop->backend->kind->submit(self->loop->backend, op);
    strand_park(self, &kind, &w);
    return op->result == -ECANCELED && w.reason ? w.reason : op->result;
}

struct fd_wait {
    struct watch watch;
    struct strand *strand;
};

static void fd_ready(struct watch *watch, unsigned events) {
    struct fd_wait *w = container_of(watch, struct fd_wait, watch);
    loop_watch(w->strand->loop, watch, 0);
    strand_unpark(w->strand, (int)events);
}

static void stop_fd_wait(struct strand *s, int reason) {
    struct fd_wait *w = s->wait_arg;
    loop_watch(s->loop, &w->watch, 0);
    strand_unpark(s, reason);
}

int loop_wait_fd(int fd, unsigned events) {
    static const struct wait_kind kind = {.name = "descriptor", .abort = stop_fd_wait};
    struct strand *self;
    int r = strand_enter(&self);
    if (r < 0)
        return r;
    struct fd_wait w = {.watch = {.fd = fd, .ready = fd_ready}, .strand = self};
    r = loop_watch(self->loop, &w.watch, events);
    return r < 0 ? r : strand_park(self, &kind, &w);
}
