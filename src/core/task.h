/* task.h - coroutines as the loop starts and ends them. */
#ifndef TRINE_CORE_TASK_H
#define TRINE_CORE_TASK_H

#include "core/future.h"
#include "core/strand.h"

#include <stdbool.h>

/* Makes a coroutine that will run the task, ready to go; NULL when there is no stack for it. */
struct strand *coroutine_new(struct loop *l, struct trine_future *f, int reason);

/* [S] trine_start_task for `n` > 0 flat structs as one future, on an executor that makes a batch of
 * them. NULL: no memory, the scope has ended with that. */
trine_future *task_start_batch(trine_scope *s, trine_executor *on, const trine_task *t, void *args,
                               size_t n, const char *site);

/* run.c: the main coroutine has returned. */
void main_done(struct trine_future *f, int status);

/* In a worker process: the task that now begins is cancelled once flag[0] is `sequence`, flag[1] is
 * then with what; the memory is written by the program. Call it on the thread that runs the tasks:
 * its loop looks at the flag in each turn, and its sleeps are short. */
void task_watch_flag(const _Atomic uint64_t flag[2], uint64_t sequence);

/* Is this thread such a one? Then what its waits, and its main coroutine, are to be told. */
extern _Thread_local bool task_flag_is_watched __attribute__((tls_model("initial-exec")));
void task_look_at_flag(struct loop *l);

/* With what the task of this process was cancelled; 0: it was not, or this is no worker. */
int task_flag_why(void);

#endif
