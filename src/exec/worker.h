/* worker.h - what a worker process does: takes tasks from its socket, one after the other, until
 * that closes. */
#ifndef TRINE_EXEC_WORKER_H
#define TRINE_EXEC_WORKER_H

#include "exec/flag.h"

struct fork_request;

/* Never returns. Handles the signals of crashes, once each, to leave what is known of them. `flags`
 * tell that a task is cancelled, and that it was taken back. */
_Noreturn void worker_main(int sock, const struct fork_request *request, struct flags flags);

#endif
