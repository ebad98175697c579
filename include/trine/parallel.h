/* trine/parallel.h - loops over ranges on a pool, and waiting for several futures. See trine.h for
 * [S] and errors.
 *
 *     static int scale(size_t from, size_t to, void *arg) {
 *         double *v = arg;
 *         for (size_t i = from; i < to; i++)
 *             v[i] *= 2;
 *         return 0;
 *     }
 *     ...
 *     r = trine_parallel_for(pool, 0, n, 0, scale, v); */
#ifndef TRINE_PARALLEL_H
#define TRINE_PARALLEL_H

#include <trine.h>
#ifdef __cplusplus
extern "C" {
#endif

/* Calls fn(from, to, arg) for pieces that cover begin .. end - 1, each index once, in any order, on
 * as many threads of the pool as there are usable CPUs, and waits for all. `grain`: indexes a piece
 * at the most; 0: eight pieces a thread. An error of fn (< 0), or the end of the scope around,
 * keeps the pieces that have not begun from beginning; long ones may ask trine_cancelled. Returns
 * 0, the first error, or why the scope around ends. Aborts for a process pool, whose workers have
 * no part of arg. [S] any thread. */
TRINE_MUST_USE_ int trine_parallel_for(trine_executor *on, size_t begin, size_t end, size_t grain,
                                       int (*fn)(size_t from, size_t to, void *arg), void *arg);

/* The same where each piece has a result: fn(from, to, arg, into) adds its piece to *into, `size`
 * bytes that began as a copy of *ret_result, one for each thread; combine(into, more) adds another
 * one's to *into. *ret_result is the neutral value (0 for a sum) when called, and all together on
 * success; else untouched. `size` is 4,096 bytes at the most. The order in which pieces are
 * combined differs from run to run: sums of floating-point numbers do too. Errors, [S] as
 * trine_parallel_for. */
TRINE_MUST_USE_ int trine_parallel_reduce(trine_executor *on, size_t begin, size_t end,
                                          size_t grain,
                                          int (*fn)(size_t from, size_t to, void *arg, void *into),
                                          void (*combine)(void *into, const void *more), void *arg,
                                          void *ret_result, size_t size);

/* Where a trine_map_from gets its items from, and where they go. */
typedef struct trine_map_opts {
    uint32_t size;
    /* Fills *item, the next task's argument, which is all zero: 1; 0: there is no more; < 0: an
     * error, which ends the map. */
    int (*next)(void *arg, void *item);
    /* The item as its task left it, and what that returned; < 0 ends the map. NULL: an error of a
     * task ends it. */
    int (*done)(void *arg, void *item, int status) TRINE_ZERO_;
    void *arg TRINE_ZERO_;          /* of both; both are called by the caller of trine_map_from */
    unsigned in_flight TRINE_ZERO_; /* items between the two at the most; 0: 64 */
    bool as_completed TRINE_ZERO_;  /* `done` gets them as they come; else in the order of `next` */
} trine_map_opts;

/* Runs a task for each item that `next` gives, without having all of them at a time:
 *
 *     r = trine_map_from(pool, parse, .next = read_line, .done = store, .arg = &files);
 *
 * Returns 0 after the last; or the error that ended it, of `next`, `done` or a task, -ENOMEM, or
 * why the scope around ends: tasks in flight are cancelled and waited for then. [S] any thread. */
TRINE_MUST_USE_ int trine_map_from_task(trine_executor *on, const trine_task *t,
                                        const trine_map_opts *opts, const char *site);
#define trine_map_from(on, fn, ...)                                                                \
    trine_map_from_task(on, &fn##_task, TRINE_OPTS(trine_map_opts, __VA_ARGS__), TRINE_HERE_)

/* What trine_wait waits for. */
typedef enum trine_until {
    TRINE_UNTIL_ALL,   /* all are done */
    TRINE_UNTIL_FIRST, /* one is done */
    TRINE_UNTIL_ERROR  /* one has failed, or all are done */
} trine_until;

/* Waits for `n` futures (1 to 64; one may stand there twice; of several scopes and threads),
 * `timeout` ns at the most: negative: no limit; 0: only looks, which for another thread's future
 * takes a message there and back. Returns 0; -ENOMEM (only for those); -ETIME when the time is
 * over, which cancels nothing and may be tried again. The status of another thread's future is had
 * by trine_await. [S] as trine_await. */
TRINE_MUST_USE_ int trine_wait(trine_future *const *futures, size_t n, trine_until until,
                               int64_t timeout);

#ifdef __cplusplus
}
#endif
#endif
