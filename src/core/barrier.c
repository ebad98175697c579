/* barrier.c - lets a number of parties go when all have come. Invariant, under the lock: who has
 * come and was not let go waits in the queue; so who is cancelled has not come. */
#include "base/panic.h"
#include "core/sync.h"

#include <errno.h>

struct barrier {
    struct sync sync;
    unsigned parties;
    bool broken;
};
_Static_assert(sizeof(struct barrier) <= sizeof(trine_barrier), "it must fit");

static struct barrier *inside(trine_barrier *b) {
    return (struct barrier *)b;
}

void trine_barrier_init(trine_barrier *public, unsigned parties) {
    REQUIRE(parties > 0, "a barrier needs at least one party");
    *inside(public) = (struct barrier){.parties = parties};
}

int trine_barrier_wait(trine_barrier *public) {
    struct barrier *b = inside(public);
    REQUIRE(b->parties > 0, "a barrier was used before trine_barrier_init");
    struct strand *self;
    int r = strand_enter_here(&self);
    if (r < 0)
        return r;
    struct waiter w = {0};
    struct taken taken = {0};
    sync_lock(&b->sync);
    if (b->broken) {
        sync_unlock(&b->sync);
        return -ECONNABORTED;
    }
    if (sync_count(&b->sync) + 1 < b->parties)
        return sync_wait(&b->sync, &w, self, "barrier");
    taken_add_all(&taken, &b->sync.waiters);
    sync_unlock(&b->sync);
    taken_wake(&taken, 0);
    return 1;
}

void trine_barrier_break(trine_barrier *public) {
    struct barrier *b = inside(public);
    struct taken taken = {0};
    sync_lock(&b->sync);
    b->broken = true;
    taken_add_all(&taken, &b->sync.waiters);
    sync_unlock(&b->sync);
    taken_wake(&taken, -ECONNABORTED);
}

void trine_barrier_stats(trine_barrier *public, trine_sync_stats *ret_stats) {
    struct barrier *b = inside(public);
    sync_lock(&b->sync);
    size_t count = sync_count(&b->sync);
    sync_unlock(&b->sync);
    *ret_stats = (trine_sync_stats){.waiters = count, .held = count};
}
