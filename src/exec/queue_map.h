/* queue_map.h - the queues that this process has mapped. */
#ifndef TRINE_EXEC_QUEUE_MAP_H
#define TRINE_EXEC_QUEUE_MAP_H

#include "exec/queue_memory.h"
#include "exec/queue_wait.h"

#include <trine/queue.h>

struct mapping {
    struct mapping *next;
    struct queue_memory *memory;
    uint64_t id;
    size_t bytes;
    int fd;         /* by which others find the memory; -1: another process has it */
    unsigned users; /* calls under way */
    struct bell bell;
};

/* Makes a queue, mapped here. Errors as trine_queue_open. */
int queue_map_new(size_t item_size, size_t capacity, trine_queue *ret_queue);

/* The queue's mapping, made at the first need; it stays until queue_map_leave. Errors as those of
 * reaching a queue in queue.h. */
int queue_map_enter(const trine_queue *q, struct mapping **ret_mapping);
void queue_map_leave(struct mapping *m);

/* Gives the mapping back, if there is one. */
void queue_map_free(const trine_queue *q);

#endif
