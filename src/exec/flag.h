/* flag.h - a page that the program writes and one worker reads: the number of the last task that
 * was asked to end. Being a number, it needs no reset between tasks. */
#ifndef TRINE_EXEC_FLAG_H
#define TRINE_EXEC_FLAG_H

#include <stdatomic.h>
#include <stdint.h>

typedef _Atomic uint64_t flag_page;

/* In the program: 0, the page in *ret_flag and the descriptor for the worker in *ret_fd, both the
 * caller's; or a negative errno. */
int flag_new(flag_page **ret_flag, int *ret_fd);

/* In the worker, for reading: the page, or NULL. The descriptor stays the caller's. */
const flag_page *flag_map(int fd);

/* Unmaps what flag_new gave. */
void flag_free(flag_page *flag);

#endif
