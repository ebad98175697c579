/* worker.h - what a worker process does: takes tasks from its socket, one at a time, until that
 * closes. */
#ifndef TRINE_EXEC_WORKER_H
#define TRINE_EXEC_WORKER_H

struct fork_request;

/* Never returns. */
_Noreturn void worker_main(int sock, const struct fork_request *request);

#endif
