/* follow.c - what a task in a worker reports on its way goes into its follower's channel. While
 * that is full nothing more is taken from the worker, so its stream fills and the task waits; its
 * result lies behind what it reported, and comes after it.
 *
 * The supervisor must not wait in the channel, so it offers the piece again after a while.
 * Rejected: a thread a follower; a queue here (it would have no bound). */
#include "exec/pool.h"

#include <errno.h>

#define OFFER_FIRST TRINE_MS(1)
#define OFFER_LAST TRINE_MS(20)

/* True: it is the follower's now, or nobody's. */
static bool hand_over(struct worker *w) {
    int r = trine_channel_try_send(worker_task(w)->own.progress, &w->piece);
    if (r == -EAGAIN)
        return false;
    if (r < 0) /* closed */
        trine_buf_free(&w->piece);
    w->piece = (trine_buf){0};
    return true;
}

void worker_offer_piece(struct worker *w) {
    struct loop *l = w->pool->loop;
    bool waited = w->piece_waits;
    w->piece_waits = !hand_over(w);
    if (!w->piece_waits)
        return;
    int64_t next = waited ? 2 * w->offer_every : OFFER_FIRST;
    w->offer_every = next < OFFER_LAST ? next : OFFER_LAST;
    loop_timer_stop(l, &w->offer);
    loop_timer_start(l, &w->offer, w->offer_every);
}

void worker_drop_piece(struct worker *w) {
    if (!w->piece_waits)
        return;
    trine_buf_free(&w->piece);
    w->piece_waits = false;
    loop_timer_stop(w->pool->loop, &w->offer);
}

void worker_offer_again(struct timer *offer) {
    struct worker *w = container_of(offer, struct worker, offer);
    if (w->ended) {
        worker_end_goes_on(w, w->state == WORKER_KILLED);
        return;
    }
    worker_offer_piece(w);
    if (!w->piece_waits)
        worker_receive(w);
}
