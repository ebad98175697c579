/* batch.h - many small structs of one map in one frame: a worker takes them from an area one after
 * the other, a task each, and leaves the results in their places. What is seen is a task an item:
 * its name, its error, the results of those that were done before a worker died. */
#ifndef TRINE_EXEC_BATCH_H
#define TRINE_EXEC_BATCH_H

#include <trine.h>

/* A worker begins no further one of a batch after that long. */
#define BATCH_LONGEST TRINE_MS(4)

struct pool;

/* [S] trine_map_all_task on a process pool. */
int batch_map_all(struct pool *p, const trine_task *t, void *args, size_t n, const char *site);

#endif
