/* wait.h - waiting for several futures of which this thread does not own all. */
#ifndef TRINE_CORE_WAIT_H
#define TRINE_CORE_WAIT_H

#include <trine.h>

/* As trine_await_any, for futures of any thread. */
int wait_for_any_elsewhere(trine_future *const *futures, size_t n);

#endif
