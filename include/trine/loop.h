/* trine/loop.h - a thread's loop for others: for other threads, which start coroutines on it, and
 * for another event loop, which runs it as one of its own sources. See trine.h for [S] and errors.
 *
 *     trine_executor *ui;                       // on the thread whose loop it is
 *     if (trine_loop_open(&ui) == 0) ...
 *     trine_submit(scope, ui, show, &picture);  // on any other: `show` runs as a coroutine there
 */
#ifndef TRINE_LOOP_H
#define TRINE_LOOP_H

#include <trine.h>
#ifdef __cplusplus
extern "C" {
#endif

/* Makes an executor of the calling thread's loop. Tasks that any thread submits to it run as
 * coroutines of that loop; cancellation, errors and join are as with every executor, and belong to
 * the scope that they were started in. At most 65,536 are on their way or run; a submission beyond
 * that waits. Close it with trine_executor_close on the same thread: that waits until its tasks are
 * done, and submitting to it gives -ESHUTDOWN. Error: -ENOMEM. Aborts where no loop runs. Does not
 * suspend. */
TRINE_MUST_USE_ int trine_loop_open(trine_executor **ret_loop);

/* Gives the calling thread, in which trine_run does not run, a loop that another event loop turns:
 * a descriptor that is readable when trine_loop_turn has something to do; it stays the library's.
 * From now on the thread may spawn coroutines in scopes that it opens. Errors: what epoll_create1
 * and eventfd give. Does not suspend. */
TRINE_MUST_USE_ int trine_loop_fd(void);

/* One turn of that loop, which never sleeps: runs coroutines, messages, timers and I/O that are
 * ready. Returns in how many ns it must be called again at the latest, unless the descriptor
 * becomes readable before: 0: at once; TRINE_NEVER (of trine/task.h): there is no timer. Call it
 * also after each other use of the library on that thread, before the other event loop waits again.
 * Does not suspend; aborts in a coroutine, and before trine_loop_fd. */
TRINE_MUST_USE_ int64_t trine_loop_turn(void);

#ifdef __cplusplus
}
#endif
#endif
