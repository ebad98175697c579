/* worker.h - what a worker process does: takes tasks from its socket, one at a time, until that
 * closes. */
#ifndef TRINE_EXEC_WORKER_H
#define TRINE_EXEC_WORKER_H

#include "exec/flag.h"

struct fork_request;

/* Never returns. `flag` tells tasks that they are cancelled. */
_Noreturn void worker_main(int sock, const struct fork_request *request, const flag_page *flag);

#endif
