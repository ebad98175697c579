/* waitlist.c - see waitlist.h. A waiter leaves its list when it is woken, or by itself after the
 * wait, whichever comes first; list_remove of a detached node is harmless. */
#include "core/waitlist.h"

#include "core/enter.h"
#include "core/notice.h"

static void wake(struct list *node) {
    struct future_waiter *w = container_of(node, struct future_waiter, node);
    if (__builtin_expect(w->strand != NULL, 1))
        strand_unpark_here(w->strand, 0);
    else
        notice_done(w);
}

void waitlist_wake_one(struct list *waiters) {
    struct list *node = list_pop(waiters);
    if (node)
        wake(node);
}

void waitlist_wake_all(struct list *waiters) {
    for (struct list *node; (node = list_pop(waiters));)
        wake(node);
}

void waitlist_abort(struct strand *s, int reason) {
    strand_unpark_here(s, reason);
}

int waitlist_park(struct list *waiters, struct strand *self, const char *what_for) {
    struct wait_kind kind = {.name = what_for, .abort = waitlist_abort};
    struct future_waiter w = {.strand = self};
    list_push(waiters, &w.node);
    int r = strand_park_here(self, &kind, NULL);
    list_remove(&w.node);
    return r;
}
