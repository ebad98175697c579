/* progress.h - what a task reports before it is done: see trine_progress. */
#ifndef TRINE_CORE_PROGRESS_H
#define TRINE_CORE_PROGRESS_H

#include <stddef.h>

/* In a worker process, on the thread that runs its tasks: takes what they report there, 0 or a
 * negative errno. */
void progress_goes_to(int (*take)(const void *bytes, size_t len));

#endif
