/* chunks.h - a map whose items are too short for a task each. */
#ifndef TRINE_EXEC_CHUNKS_H
#define TRINE_EXEC_CHUNKS_H

#include <trine.h>

/* [S] trine_map_all_task on a pool of so many threads. */
int chunks_map_all(trine_executor *on, unsigned workers, const trine_task *t, void *args, size_t n,
                   const char *site);

#endif
