/*
 * A process and all that descend from it, as /proc shows them.
 */
#ifndef BENCH_TREE_H
#define BENCH_TREE_H

#include <stddef.h>
#include <sys/types.h>

enum { TREE_MOST = 4096 };

/*
 * The pids, the process itself first, at most `most` of them; how many.
 */
size_t tree_find(pid_t root, pid_t *ret_pids, size_t most);

struct tree_use {
    double memory; /* bytes, what several share counted once (PSS) */
    long processes, threads;
};

void tree_measure(pid_t root, struct tree_use *ret_use);

#endif
