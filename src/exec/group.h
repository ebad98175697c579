/* group.h - a control group (cgroup v2, Documentation/admin-guide/cgroup-v2.rst) for each worker of
 * a pool, in a directory that was given to the program. The supervisor's thread alone uses it. */
#ifndef TRINE_EXEC_GROUP_H
#define TRINE_EXEC_GROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What each worker may use; 0: no limit. */
struct group_limits {
    uint64_t memory;      /* bytes */
    unsigned cpu_percent; /* of one CPU */
};

/* The directory; all zero: none. */
struct groups {
    int dir;       /* valid when `pool` is not 0 */
    unsigned pool; /* in their names; 0: there is no directory */
    struct group_limits limits;
    uint32_t *left; /* numbers of workers whose groups are yet to be removed */
    size_t left_count, left_room;
};

/* Opens it, and has the kernel apply the limits to the groups in it. -ENOTSUP: it is no cgroup v2
 * directory, or has no controller for a limit; group_make also: a kernel before 5.14; -EBUSY: there
 * are processes in it; or what open, write give. */
int groups_open(struct groups *g, const char *path, const struct group_limits *limits);

/* Removes what is left, and waits a second for it at the most. */
void groups_close(struct groups *g);

static inline bool groups_are_used(const struct groups *g) {
    return g->pool != 0;
}

/* Makes the group of a worker: a descriptor to which it writes "0" to enter it, or a negative
 * errno; nothing is kept then. */
int group_make(struct groups *g, uint32_t worker);

/* Kills all that is in it, and removes it as soon as that is gone. */
void group_remove(struct groups *g, uint32_t worker);

/* Was something in it killed because it had no memory left? */
bool group_was_short_of_memory(struct groups *g, uint32_t worker);

#endif
