/* trine/debug.h - a look at what runs and what it waits for. See trine.h for [S] and errors.
 *
 *     static int dumper(void *unused) {
 *         return trine_dump_on(SIGUSR2); // kill -USR2 PID shows where everybody is
 *     } */
#ifndef TRINE_DEBUG_H
#define TRINE_DEBUG_H

#include <trine.h>
#ifdef __cplusplus
extern "C" {
#endif

/* Writes the tree of scopes and tasks of the calling thread's loop to a descriptor, a line each:
 * of a task its name, where it was started, what it waits for and since when, or that it is ready
 * or runs; of a scope where it was opened, how many of its tasks run and wait for its limit, its
 * deadline, why it ends. Tasks on other threads and in other processes are named, not looked
 * into. Never waits, but for the descriptor; allocates nothing; any thread. */
TRINE_PUBLIC_ void trine_dump(int fd);

/* Dumps to standard error each time the signal comes, until the scope around it ends. Errors as
 * trine_signal_open. [S] any thread; of use in a coroutine of the loop that is to be seen. */
TRINE_MUST_USE_ int trine_dump_on(int signal);

#ifdef __cplusplus
}
#endif
#endif
