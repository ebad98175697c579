/* rwlock.c - many readers or one writer, in the order of their coming.
 *
 * Invariants, under the lock: somebody waits only while the first of them could not be let in;
 * readers that stand together at the front go in together. `item` of a waiter says that it writes.
 * Rejected: readers past waiting writers (they starve), and the other way round. */
#include "base/panic.h"
#include "core/sync.h"

struct rwlock {
    struct sync sync;
    unsigned readers;
    bool written;
    const char *writer; /* its name, for statistics: it may have ended, holding the lock */
};
_Static_assert(sizeof(struct rwlock) <= sizeof(trine_rwlock), "it must fit");

static struct rwlock *inside(trine_rwlock *l) {
    return (struct rwlock *)l;
}

static bool admit(struct rwlock *l, const struct strand *who, bool writes) {
    if (l->written || (writes && l->readers))
        return false;
    l->written = writes;
    l->writer = writes ? sync_name(who) : NULL;
    l->readers += !writes;
    return true;
}

/* Under the lock: lets in whoever may, from the front. */
static void let_in(struct rwlock *l, struct taken *taken) {
    while (!list_empty(&l->sync.waiters)) {
        struct waiter *w = container_of(l->sync.waiters.next, struct waiter, node);
        if (!admit(l, w->strand, w->item != NULL))
            break;
        list_remove(&w->node);
        taken_add(taken, w);
    }
}

static int enter(struct rwlock *l, bool writes) {
    struct strand *self;
    int r = strand_enter_here(&self);
    if (r < 0)
        return r;
    sync_lock(&l->sync);
    if (list_empty(&l->sync.waiters) && admit(l, self, writes)) {
        sync_unlock(&l->sync);
        return 0;
    }
    struct waiter w = {.item = writes ? l : NULL};
    r = sync_wait(&l->sync, &w, self, writes ? "write lock" : "read lock");
    if (r < 0) { /* who stood behind us may go in now */
        struct taken taken = {0};
        sync_lock(&l->sync);
        let_in(l, &taken);
        sync_unlock(&l->sync);
        taken_wake(&taken, 0);
    }
    return r;
}

int trine_rwlock_read(trine_rwlock *l) {
    return enter(inside(l), false);
}

int trine_rwlock_write(trine_rwlock *l) {
    return enter(inside(l), true);
}

void trine_rwlock_unlock(trine_rwlock *public) {
    struct rwlock *l = inside(public);
    struct taken taken = {0};
    sync_lock(&l->sync);
    REQUIRE(l->written || l->readers, "a readers-writer lock was unlocked that nobody holds");
    if (l->written)
        l->written = false;
    else
        l->readers--;
    l->writer = l->written ? l->writer : NULL;
    let_in(l, &taken);
    sync_unlock(&l->sync);
    taken_wake(&taken, 0);
}

void trine_rwlock_stats(trine_rwlock *public, trine_sync_stats *ret_stats) {
    struct rwlock *l = inside(public);
    sync_lock(&l->sync);
    *ret_stats = (trine_sync_stats){.waiters = sync_count(&l->sync),
                                    .held = l->written ? 1 : l->readers,
                                    .owner = l->writer};
    sync_unlock(&l->sync);
}
