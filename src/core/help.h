/* help.h - a thread that waits for tasks which a pool has not begun runs them itself, if the pool
 * lets it: a task that waits for tasks of its own full pool would else wait for ever. Only tasks of
 * the scope that it waits for: others may want what it holds. */
#ifndef TRINE_CORE_HELP_H
#define TRINE_CORE_HELP_H

#include "core/executor.h"
#include "core/loop.h"

/* May the loop's thread run tasks of this executor while it waits? */
static inline bool helps_here(const trine_executor *on, const struct loop *l) {
    return on->family && (on->help || l->works_for == on->family);
}

/* Runs the task, which has not come back, if nobody has begun it: true. It is done then. */
bool help_with(struct trine_future *f, struct strand *self);

/* Runs one of the scope's tasks, or finds that some have come back: true, look again. Or there is
 * none that it can have. */
bool help_in(struct scope *s, struct strand *self);

#endif
