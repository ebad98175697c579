/* waitlist.h - strands of one loop that wait for a change of something that belongs to that loop.
 * They are woken to look again, so a wake-up more does no harm. (Between threads: waitq.h.) */
#ifndef TRINE_CORE_WAITLIST_H
#define TRINE_CORE_WAITLIST_H

#include "core/future.h"
#include "core/strand.h"

/* Ends the wait of the longest waiting one, or of all, with 0. */
void waitlist_wake_one(struct list *waiters);
void waitlist_wake_all(struct list *waiters);

/* Waits until woken (0), or cancelled (the reason). */
int waitlist_park(struct list *waiters, struct strand *self, const char *what_for);

/* For several lists at a time: join each with a waiter of its own, then park with a kind of this
 * abort, then leave all. */
void waitlist_abort(struct strand *s, int reason);

#endif
