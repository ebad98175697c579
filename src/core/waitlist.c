/* waitlist.c - see waitlist.h. A waiter leaves its list when it is woken, or by itself after the
 * wait, whichever comes first; list_remove of a detached node is harmless. */
#include "core/waitlist.h"

void waitlist_wake_one(struct list *waiters) {
    struct list *node = list_pop(waiters);
    if (node)
        strand_unpark(container_of(node, struct future_waiter, node)->strand, 0);
}

void waitlist_wake_all(struct list *waiters) {
    while (!list_empty(waiters))
        waitlist_wake_one(waiters);
}

void waitlist_abort(struct strand *s, int reason) {
    strand_unpark(s, reason);
}

int waitlist_park(struct list *waiters, struct strand *self, const char *what_for) {
    struct wait_kind kind = {.name = what_for, .abort = waitlist_abort};
    struct future_waiter w = {.strand = self};
    list_push(waiters, &w.node);
    int r = strand_park(self, &kind, NULL);
    list_remove(&w.node);
    return r;
}

void waitlist_park_drain(struct list *waiters, struct strand *self, const struct wait_kind *kind) {
    struct future_waiter w = {.strand = self};
    list_push(waiters, &w.node);
    strand_park(self, kind, NULL);
    list_remove(&w.node);
}
