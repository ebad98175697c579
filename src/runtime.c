/* runtime.c - the only place that wires backends and executors together: the core knows them by
 * backend.h and executor.h alone. */
#include <trine.h>

#include "core/executor.h"
#include "core/loop.h"
#include "io/epoll.h"

int runtime_backend_open(struct backend **ret) {
    return epoll_backend_open(ret);
}

const char *trine_version(void) {
    return TRINE_VERSION;
}

void trine_executor_close(trine_executor **pool) {
    if (!*pool)
        return;
    (*pool)->kind->close(*pool);
    executor_let_go(*pool);
    *pool = NULL;
}
