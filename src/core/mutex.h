/* mutex.h - the inside of a mutex, for conditions: taking it again there is no place to end. */
#ifndef TRINE_CORE_MUTEX_H
#define TRINE_CORE_MUTEX_H

#include <trine/sync.h>

struct strand;

/* Takes the mutex, cancelled or not. */
void mutex_lock_drain(trine_mutex *m, struct strand *self);

/* Does the strand hold it? */
bool mutex_is_held(trine_mutex *m, const struct strand *self);

#endif
