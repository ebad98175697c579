/* shared_map.h - the memory shared with other processes that this one has mapped. */
#ifndef TRINE_EXEC_SHARED_MAP_H
#define TRINE_EXEC_SHARED_MAP_H

#include "exec/shared_head.h"
#include "exec/shared_wait.h"

#include <trine/shared.h>

struct mapping {
    struct mapping *next;
    struct shared_head *memory;
    uint64_t id;
    size_t bytes;
    int fd;         /* by which others find the memory; -1: another process has it */
    unsigned users; /* calls under way */
    _Atomic(struct strand *) holder; /* of this process; of a mutex */
    struct bell bell;
};

/* Memory of so many bytes that begins with a head and is else all zero, mapped here. Errors as
 * trine_shared_open. */
int shared_map_new(size_t bytes, trine_shared *ret_name, struct mapping **ret_mapping);

/* The memory's mapping, made at the first need; it stays until shared_map_leave. Errors as those of
 * reaching memory in shared.h. */
int shared_map_enter(const trine_shared *name, struct mapping **ret_mapping);
void shared_map_leave(struct mapping *m);

/* Nobody can map it for writing from now on. Errors as trine_shared_seal. */
int shared_map_seal(struct mapping *m);

/* Gives the mapping back, if there is one; where it was made `last` is called before. What it is
 * called in messages: `what`. */
void shared_map_free(const trine_shared *name, void (*last)(struct shared_head *),
                     const char *what);

#endif
