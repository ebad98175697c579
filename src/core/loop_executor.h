/* loop_executor.h - a loop as the place where other threads' tasks run, as coroutines of it. */
#ifndef TRINE_CORE_LOOP_EXECUTOR_H
#define TRINE_CORE_LOOP_EXECUTOR_H

struct trine_future;

/* Such a coroutine is through; on its loop's thread, no strand current. */
void loop_task_ended(struct trine_future *f, int status);

#endif
