/* select.c - waits for the first of several channels, futures, descriptors and a time.
 *
 * A select queues one waiter in each of its channels. Whoever can end the wait must claim it first
 * (struct selection): a channel's other side when it takes the waiter out of the queue, or the
 * select's own loop when a future, a descriptor, the time or a cancel comes. A claim by a channel
 * means that the item has moved: then the select waits for that wake-up, whatever else has come.
 *
 * Invariant: no waiter is left in any queue when the call returns; each was taken out under its
 * channel's lock. Lock order: the channels' locks, in order of their addresses.
 * Rejected: trying again after each wake-up without a claim (two receivers of one item, or a
 * wake-up that is lost with a cancelled select). */
#include <trine/select.h>

#include "base/panic.h"
#include "core/channel.h"
#include "core/enter.h"
#include "core/waitlist.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

struct select;

/* A case that is waited for. */
struct branch {
    struct waiter waiter; /* of a channel */
    struct future_waiter future;
    struct watch watch; /* of a descriptor */
    struct select *select;
    bool ready; /* the descriptor, with this: */
    int fd_status;
};

struct select {
    struct strand *self;
    trine_case *cases;
    size_t n;
    trine_channel *channels[TRINE_CASES_MOST]; /* each once, by address */
    bool quick[TRINE_CASES_MOST];
    size_t channel_count;
    struct branch branches[TRINE_CASES_MOST];
    struct selection selection;
    struct timer timer;
    bool expired;
};

static bool has_channel(const trine_case *c) {
    return c->kind == TRINE_CASE_IS_SEND || c->kind == TRINE_CASE_IS_RECV;
}

static bool has_fd(const trine_case *c) {
    return c->kind == TRINE_CASE_IS_READ || c->kind == TRINE_CASE_IS_WRITE;
}

/* --- the channels' locks --- */

static void sort_channels(struct select *s) {
    for (size_t i = 0; i < s->n; i++) {
        if (!has_channel(&s->cases[i]))
            continue;
        trine_channel *c = s->cases[i].channel;
        size_t at = 0;
        while (at < s->channel_count && s->channels[at] < c)
            at++;
        if (at < s->channel_count && s->channels[at] == c)
            continue;
        memmove(&s->channels[at + 1], &s->channels[at],
                (s->channel_count - at) * sizeof(s->channels[0]));
        s->channels[at] = c;
        s->channel_count++;
    }
}

static void lock_all(struct select *s) {
    for (size_t i = 0; i < s->channel_count; i++)
        s->quick[i] = channel_lock(s->channels[i]);
}

static void unlock_all(struct select *s) {
    for (size_t i = s->channel_count; i-- > 0;)
        channel_unlock(s->channels[i], s->quick[i]);
}

/* --- what can happen now --- */

static void fd_is(struct branch *b, int events) {
    b->ready = events != 0;
    b->fd_status = events & POLLNVAL ? -EBADF : 0;
}

/* Which descriptors are ready, by one look at all. */
static void look_at_descriptors(struct select *s) {
    struct pollfd polled[TRINE_CASES_MOST];
    nfds_t count = 0;
    for (size_t i = 0; i < s->n; i++)
        if (has_fd(&s->cases[i]))
            polled[count++] =
                (struct pollfd){.fd = s->cases[i].fd,
                                .events =
                                    s->cases[i].kind == TRINE_CASE_IS_READ ? POLLIN : POLLOUT};
    if (!count || poll(polled, count, 0) <= 0)
        return;
    count = 0;
    for (size_t i = 0; i < s->n; i++)
        if (has_fd(&s->cases[i]))
            fd_is(&s->branches[i], polled[count++].revents);
}

/* Lets a case happen if it can: true. */
static bool try_case(struct select *s, size_t i, struct waiter **ret_wake) {
    trine_case *c = &s->cases[i];
    int r;
    switch (c->kind) {
    case TRINE_CASE_IS_SEND:
        r = channel_try_send(c->channel, c->item, ret_wake);
        break;
    case TRINE_CASE_IS_RECV:
        r = channel_try_recv(c->channel, c->item, ret_wake);
        break;
    case TRINE_CASE_IS_DONE:
        if (c->future->state != FUTURE_DONE)
            return false;
        c->status = c->future->status; /* whatever it is, -EAGAIN too */
        return true;
    case TRINE_CASE_IS_READ:
    case TRINE_CASE_IS_WRITE:
        r = s->branches[i].ready ? s->branches[i].fd_status : -EAGAIN;
        break;
    default:
        return false;
    }
    if (r == -EAGAIN)
        return false;
    c->status = r;
    return true;
}

/* A number below n: xorshift, of the loop's own. */
static size_t some_index(struct loop *l, size_t n) {
    l->dice ^= l->dice << 13;
    l->dice ^= l->dice >> 7;
    l->dice ^= l->dice << 17;
    return (size_t)(l->dice % n);
}

/* Under the locks: the index of a case that has happened, -1: none can. */
static int try_all(struct select *s, struct waiter **ret_wake) {
    size_t first = some_index(s->self->loop, s->n);
    for (size_t k = 0; k < s->n; k++) {
        size_t i = (first + k) % s->n;
        *ret_wake = NULL;
        if (try_case(s, i, ret_wake))
            return (int)i;
    }
    return -1;
}

/* --- waiting --- */

/* On the loop's thread, for all that is not a channel. */
static void wake_self(struct select *s, int status) {
    if (selection_claim(&s->selection, -1))
        strand_unpark(s->self, status);
}

static void stop_select(struct strand *self, int reason) {
    wake_self(self->wait_arg, reason);
}

static void time_is_up(struct timer *t) {
    struct select *s = container_of(t, struct select, timer);
    s->expired = true;
    wake_self(s, 0);
}

static void fd_is_ready(struct watch *w, unsigned events) {
    (void)events;
    struct branch *b = container_of(w, struct branch, watch);
    fd_is(b, POLLIN);
    loop_watch(b->select->self->loop, w, 0);
    wake_self(b->select, 0);
}

/* Queues in all futures and descriptors; the channels' queues come under their locks. */
static int watch_descriptors(struct select *s) {
    for (size_t i = 0; i < s->n; i++) {
        trine_case *c = &s->cases[i];
        struct branch *b = &s->branches[i];
        if (!has_fd(c))
            continue;
        b->ready = false;
        b->watch = (struct watch){.fd = c->fd, .ready = fd_is_ready};
        int r = loop_watch(s->self->loop, &b->watch,
                           c->kind == TRINE_CASE_IS_READ ? WATCH_READ : WATCH_WRITE);
        if (r < 0)
            return r;
    }
    return 0;
}

static void leave_descriptors(struct select *s) {
    for (size_t i = 0; i < s->n; i++)
        if (has_fd(&s->cases[i]) && s->branches[i].watch.watching)
            loop_watch(s->self->loop, &s->branches[i].watch, 0);
}

static void queue_in_channels(struct select *s) {
    for (size_t i = 0; i < s->n; i++) {
        trine_case *c = &s->cases[i];
        if (!has_channel(c))
            continue;
        struct waiter *w = &s->branches[i].waiter;
        *w = (struct waiter){.item = c->item, .index = (int)i, .selection = &s->selection};
        waitq_add(c->kind == TRINE_CASE_IS_SEND ? &c->channel->senders : &c->channel->receivers, w,
                  s->self, NULL);
    }
}

static void leave_channels(struct select *s) {
    lock_all(s);
    for (size_t i = 0; i < s->n; i++)
        if (has_channel(&s->cases[i]))
            list_remove(&s->branches[i].waiter.node);
    unlock_all(s);
}

static void queue_in_futures(struct select *s) {
    for (size_t i = 0; i < s->n; i++)
        if (s->cases[i].kind == TRINE_CASE_IS_DONE) {
            s->branches[i].future.strand = s->self;
            list_push(&s->cases[i].future->waiters, &s->branches[i].future.node);
        }
}

static void leave_futures(struct select *s) {
    for (size_t i = 0; i < s->n; i++)
        if (s->cases[i].kind == TRINE_CASE_IS_DONE)
            list_remove(&s->branches[i].future.node);
}

static const struct wait_kind selecting = {.name = "select", .abort = stop_select};
static const struct wait_kind handing_over = {.name = "select, which has been decided"};

/* Parks until one case has been claimed for us by a channel (its index), or something of our own
 * loop has come (-1); < -1: the reason of a cancellation. */
static int park(struct select *s) {
    int r = strand_park(s->self, &selecting, s);
    /* A future's end wakes without a claim. */
    bool own = selection_claim(&s->selection, -1) ||
               atomic_load_explicit(&s->selection.claimed, memory_order_acquire) == -1;
    if (own)
        return r < 0 ? r : -1;
    while (!s->selection.arrived)
        strand_park(s->self, &handing_over, s);
    int index = atomic_load_explicit(&s->selection.claimed, memory_order_relaxed) - 1;
    s->cases[index].status = s->branches[index].waiter.status;
    return index;
}

enum { CAME = -1, NOTHING = -2 };

/* One round: a case that can happen happens; else waits for one. Its index; CAME: look again. */
static int round_of(struct select *s, int64_t timeout) {
    struct waiter *wake = NULL;
    look_at_descriptors(s);
    lock_all(s);
    int which = try_all(s, &wake);
    bool wait = which < 0 && timeout != 0 && !s->expired;
    if (wait) {
        atomic_store(&s->selection.claimed, 0);
        s->selection.arrived = false;
        queue_in_channels(s);
    }
    unlock_all(s);
    if (wake)
        waitq_wake(wake, 0);
    if (!wait)
        return which >= 0 ? which : -ETIME;
    queue_in_futures(s);
    int r = watch_descriptors(s);
    if (r == 0 || !selection_claim(&s->selection, -1)) /* a channel was quicker than the error */
        r = park(s);
    leave_futures(s);
    leave_descriptors(s);
    leave_channels(s);
    return r;
}

int trine_select(trine_case *cases, size_t n, int64_t timeout) {
    REQUIRE(n >= 1 && n <= TRINE_CASES_MOST, "trine_select takes 1 to %d cases, not %zu",
            TRINE_CASES_MOST, n);
    struct strand *self;
    int r = strand_enter_here(&self);
    if (r < 0)
        return r;
    struct select s; /* 5 KB, of which few cases need little */
    s.self = self;
    s.cases = cases;
    s.n = n;
    s.channel_count = 0;
    s.expired = false;
    for (size_t i = 0; i < n; i++) {
        s.branches[i].select = &s;
        s.branches[i].ready = s.branches[i].watch.watching = false;
        REQUIRE(cases[i].kind != TRINE_CASE_IS_DONE || cases[i].future->home == self->loop,
                "a future in trine_select is of another thread");
    }
    sort_channels(&s);
    timer_init(&s.timer, time_is_up);
    if (timeout > 0)
        loop_timer_start(self->loop, &s.timer, timeout);
    do
        r = round_of(&s, timeout);
    while (r == CAME);
    loop_timer_stop(self->loop, &s.timer);
    return r;
}
