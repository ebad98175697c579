/* task.h - coroutines as the loop starts and ends them. */
#ifndef TRINE_CORE_TASK_H
#define TRINE_CORE_TASK_H

#include "core/future.h"
#include "core/strand.h"

/* Makes a coroutine that will run the task, ready to go; NULL when there is no stack for it. */
struct strand *coroutine_new(struct loop *l, struct trine_future *f, int reason);

/* run.c: the main coroutine has returned. */
void main_done(struct trine_future *f, int status);

/* In a worker process: the task that now begins is cancelled once *flag is `sequence`; the memory
 * is written by the program. Call it on the thread that runs the tasks. */
void task_watch_flag(const _Atomic uint64_t *flag, uint64_t sequence);

#endif
