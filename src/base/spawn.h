/* spawn.h - starts a program with exactly the descriptors that it is meant to have. */
#ifndef TRINE_BASE_SPAWN_H
#define TRINE_BASE_SPAWN_H

#include <stddef.h>
#include <sys/types.h>

enum { SPAWN_NULL = -1, SPAWN_FDS_MAX = 8 };

/* Runs the program at `path` in a process group of its own. fds[i] becomes its descriptor i
 * (SPAWN_NULL, or one that is not open: /dev/null); it gets no other one. Its signal mask is empty,
 * all signals have their default action. 0 and the child in *ret_pid, or what posix_spawn gives;
 * -EINVAL: more than SPAWN_FDS_MAX descriptors. */
int spawn_process(const char *path, char *const *argv, const int *fds, size_t n, pid_t *ret_pid);

#endif
