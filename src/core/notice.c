/* notice.c - see notice.h. The asker posts `ask` to the future's thread, which queues the notice
 * with those that wait for the future, or, if that is done, posts `answer` back at once. To give up
 * it posts `withdraw`: messages of one thread arrive in order, so the notice is queued by then, or
 * answered; if it is queued it is taken out. `settle` comes back for it in either case. So a notice
 * is its asker's again after the answer, or, if it was withdrawn, after `settle`.
 *
 * Rejected: a lock in each future (a future of the scope's own thread would pay for it). */
#include "core/notice.h"

#include "base/panic.h"
#include "core/enter.h"

_Static_assert(sizeof(struct notice) <= sizeof(trine_notice), "trine_notice is too small");

/* --- on the asker's thread --- */

static void answered(struct message *m) {
    struct notice *n = container_of(m, struct notice, answer);
    n->over = true;
    if (n->waits)
        strand_unpark_here(n->waits, 0);
    if (n->fn)
        n->fn(n->arg, n->status); /* *n may be gone after it */
}

static void settled(struct message *m) {
    struct notice *n = container_of(m, struct notice, settle);
    n->settled = true;
    strand_unpark_here(n->waits, 0);
}

/* --- on the future's --- */

static void answer(struct notice *n, int status) {
    n->status = status;
    n->queued = false;
    n->answer.handle = answered;
    loop_post(n->asker, &n->answer);
}

void notice_done(struct future_waiter *w) {
    struct notice *n = container_of(w, struct notice, waiter);
    answer(n, n->f->status);
}

static void asked(struct message *m) {
    struct notice *n = container_of(m, struct notice, ask);
    if (n->f->state == FUTURE_DONE) {
        answer(n, n->f->status);
        return;
    }
    n->queued = true;
    list_push(&n->f->waiters, &n->waiter.node);
}

static void withdrawn(struct message *m) {
    struct notice *n = container_of(m, struct notice, withdraw);
    if (n->queued) { /* else the answer is on its way, or there */
        list_remove(&n->waiter.node);
        n->queued = false;
        n->withdrawn = true;
    }
    n->settle.handle = settled;
    loop_post(n->asker, &n->settle);
}

/* --- the asker --- */

void notice_ask(struct notice *n, struct trine_future *f, void (*fn)(void *, int), void *arg) {
    *n = (struct notice){.f = f, .home = f->home, .asker = loop_here(), .fn = fn, .arg = arg};
    list_init(&n->waiter.node);
    n->ask.handle = asked;
    if (n->home == n->asker)
        asked(&n->ask);
    else
        loop_post(n->home, &n->ask);
}

/* Waits for what is on its way, whatever comes. */
static void give_up(struct notice *n, struct strand *self) {
    static const struct wait_kind kind = {.name = "the end of a notice"};
    n->waits = self;
    n->withdraw.handle = withdrawn;
    if (n->home == n->asker)
        withdrawn(&n->withdraw);
    else
        loop_post(n->home, &n->withdraw);
    while (!n->settled || !(n->over || n->withdrawn))
        strand_park_here(self, &kind, n);
}

void notice_end(struct notice *n, struct strand *self) {
    if (!n->over)
        give_up(n, self);
}

static void stop_waiting(struct strand *self, int reason) {
    strand_unpark_here(self, reason);
}

int notice_await(struct trine_future *f, struct strand *self, int *ret_status) {
    static const struct wait_kind kind = {.name = "await", .abort = stop_waiting};
    int r = self ? strand_reason_here(self) : -EAGAIN;
    if (r < 0)
        return r;
    struct notice n;
    notice_ask(&n, f, NULL, NULL);
    n.waits = self;
    while (r == 0 && !n.over)
        r = strand_park_here(self, &kind, &n);
    notice_end(&n, self);
    if (n.withdrawn)
        return r;
    if (ret_status)
        *ret_status = n.status;
    return 0;
}

void trine_on_done(trine_future *f, trine_notice *notice, void (*fn)(void *arg, int status),
                   void *arg) {
    REQUIRE(fn, "trine_on_done has no function");
    notice_ask((struct notice *)notice, f, fn, arg);
}

void trine_notice_stop(trine_notice *notice) {
    struct notice *n = (struct notice *)notice;
    struct strand *self = strand_self();
    REQUIRE(n->asker == loop_here() && self,
            "a notice was stopped by another thread than asked for it, or in a callback");
    n->fn = NULL;
    notice_end(n, self);
}
