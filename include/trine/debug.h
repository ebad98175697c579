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

/* --- what the library says ------------------------------------------------------------------ */

/* Gets each line, without its end, that the library has to say while the program goes on: a scope
 * that waits for a task that does not end, a loop that is held up. `line` ends with a zero and
 * lives during the call. It may be called on any thread, one call at a time; it must not wait for
 * the library. */
typedef void (*trine_log_fn)(void *arg, const char *line, size_t length);

/* Has lines go to `fn`; NULL: to standard error, as in the beginning. The former function is not
 * called any more when this returns. Messages of calls that abort go to standard error in any case.
 * Never waits, but for a line that is being written; any thread. */
TRINE_PUBLIC_ void trine_log_to(trine_log_fn fn, void *arg);

/* Has a thread look at all loops, and say when one has been held up in one turn for longer than
 * `limit` ns: by which coroutine, with the addresses of its calls (of a function that the module
 * does not export, addr2line -e MODULE OFFSET knows the line). It says that while the coroutine
 * still blocks, once a turn. 0 ends it. The blocked thread is asked for its calls by SIGURG, which
 * may end a system call with EINTR. Before the first loop of the process starts, the environment's
 * TRINE_WATCHDOG=100ms (s, ms, us) does the same. Errors: -EINVAL (limit negative), -EAGAIN (no
 * thread to be had). Any thread. */
TRINE_MUST_USE_ int trine_watchdog(int64_t limit);

/* How many calls of trine_blocking, and look-ups of names, were abandoned and still run. Any
 * thread. */
TRINE_PUBLIC_ size_t trine_abandoned_calls(void);

/* --- stacks --------------------------------------------------------------------------------- */

/* From now on measures how deep each new coroutine's stack is used, which takes some 10 us a task:
 * for a run that is to find out which `.stack_size` is enough. Any thread. */
TRINE_PUBLIC_ void trine_census_start(void);

/* Writes what was found to a descriptor, a line for each place where coroutines were started, the
 * deepest first: bytes of stack that the deepest of them used, how large its stack was, how many
 * coroutines there were, the task, the place. Of 512 places at the most. Any thread. */
TRINE_PUBLIC_ void trine_census(int fd);

#ifdef __cplusplus
}
#endif
#endif
