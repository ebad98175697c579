/* limiter.c - a capacity limiter: tokens that are taken and come back, of which there may be more
 * or fewer later. Invariant, under the lock: somebody waits only while all tokens are taken. */
#include "base/panic.h"
#include "core/sync.h"

struct limiter {
    struct sync sync;
    unsigned tokens, taken;
};
_Static_assert(sizeof(struct limiter) <= sizeof(trine_limiter), "it must fit");

static struct limiter *inside(trine_limiter *l) {
    return (struct limiter *)l;
}

void trine_limiter_init(trine_limiter *public, unsigned tokens) {
    REQUIRE(tokens > 0, "a limiter needs at least one token");
    *inside(public) = (struct limiter){.tokens = tokens};
}

/* Under the lock: gives free tokens to who waits. */
static void let_in(struct limiter *l, struct taken *taken) {
    struct waiter *w;
    while (l->taken < l->tokens && (w = waitq_pop(&l->sync.waiters))) {
        l->taken++;
        taken_add(taken, w);
    }
}

void trine_limiter_set(trine_limiter *public, unsigned tokens) {
    REQUIRE(tokens > 0, "a limiter needs at least one token");
    struct limiter *l = inside(public);
    struct taken taken = {0};
    sync_lock(&l->sync);
    l->tokens = tokens;
    let_in(l, &taken);
    sync_unlock(&l->sync);
    taken_wake(&taken, 0);
}

int trine_limiter_acquire(trine_limiter *public) {
    struct limiter *l = inside(public);
    REQUIRE(l->tokens > 0, "a limiter was used before trine_limiter_init");
    struct strand *self;
    int r = strand_enter_here(&self);
    if (r < 0)
        return r;
    struct waiter w = {0};
    sync_lock(&l->sync);
    if (l->taken >= l->tokens)
        return sync_wait(&l->sync, &w, self, "capacity");
    l->taken++;
    sync_unlock(&l->sync);
    return 0;
}

void trine_limiter_release(trine_limiter *public) {
    struct limiter *l = inside(public);
    struct taken taken = {0};
    sync_lock(&l->sync);
    REQUIRE(l->taken > 0, "a limiter was given back a token that nobody had taken");
    l->taken--;
    let_in(l, &taken);
    sync_unlock(&l->sync);
    taken_wake(&taken, 0);
}

void trine_limiter_stats(trine_limiter *public, trine_sync_stats *ret_stats) {
    struct limiter *l = inside(public);
    sync_lock(&l->sync);
    *ret_stats = (trine_sync_stats){.waiters = sync_count(&l->sync), .held = l->taken};
    sync_unlock(&l->sync);
}
