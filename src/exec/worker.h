/* worker.h - what a worker process does: takes tasks from its stream, one after the other, until
 * that is closed. */
#ifndef TRINE_EXEC_WORKER_H
#define TRINE_EXEC_WORKER_H

#include "exec/flag.h"

struct fork_request;

/* Never returns. Handles the signals of crashes, once each, to leave what is known of them. The
 * memory brings tasks, takes replies, tells that a task is cancelled or was taken back; `bell`
 * wakes the program. `status` < 0: what went wrong so far; it only says so. */
_Noreturn void worker_main(int bell, const struct fork_request *request, struct flags memory,
                           int status);

/* In a worker: what it shares with the program, and of that its stream of replies. For tests that
 * do what no worker would. */
struct flags *worker_memory(void);
struct stream *worker_replies(void);

#endif
