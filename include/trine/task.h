/* trine/task.h - what a task knows of itself and of the scope around it: its name, why it is to
 * end, the deadline, values that it inherits; and two more ways to start one. See trine.h for [S]
 * and errors. */
#ifndef TRINE_TASK_H
#define TRINE_TASK_H

#include <trine.h>
#ifdef __cplusplus
extern "C" {
#endif

/* --- the running task ----------------------------------------------------------------------- */

/* The name of the task that calls: its function's. NULL in a plain thread and in callbacks. Lives
 * as long as the program. Never waits; any thread. */
TRINE_PUBLIC_ const char *trine_task_name(void);

/* Why the caller's waits fail: 0 while they do not; the reason that trine_scope_cancel or
 * trine_cancel was given, in whichever scope further out; -ETIMEDOUT when a deadline did it,
 * -ECANCELED when a task's error, or a scope that was left, did. The waits themselves give no more
 * than -ECANCELED and -ETIMEDOUT, so that a task need not know the reasons of its callers. Never
 * waits; any thread. */
TRINE_PUBLIC_ int trine_cancel_reason(void);

/* What a negative errno means where the calls of this library return it, as the end of a sentence;
 * "success" for 0 and above. Lives as long as the program. Never waits; any thread. */
TRINE_PUBLIC_ const char *trine_strerror(int code);

/* --- deadlines ------------------------------------------------------------------------------ */

/* No deadline. */
#define TRINE_NEVER INT64_MAX

/* When the scope will end with -ETIMEDOUT, in ns of trine_now, rounded up to 16 us; TRINE_NEVER.
 * Deadlines of scopes further out are not looked at. Never waits; the owner's thread and its
 * coroutines. */
TRINE_PUBLIC_ int64_t trine_scope_deadline(trine_scope *s);

/* Moves the deadline, to either side; TRINE_NEVER takes it away, a time that has passed ends the
 * scope at the loop's next turn. A scope that is ending stays so. A shielded scope must keep a
 * deadline: TRINE_NEVER aborts. Never waits; the owner's thread and its coroutines. */
TRINE_PUBLIC_ void trine_scope_set_deadline(trine_scope *s, int64_t deadline);

/* Whether it was the scope's own deadline that ended it. For a scope opened with `.move_on`, whose
 * trine_join then gives 0, this is how to tell. Never waits; the owner's thread. */
TRINE_PUBLIC_ bool trine_scope_timed_out(trine_scope *s);

/* --- more ways to start a task -------------------------------------------------------------- */

/* trine_submit on a copy of the argument, freed when the task is done: *arg may change or go at
 * once, as in a loop that accepts connections. What the task writes to its copy is lost. Errors and
 * [S] as trine_submit; -ENOMEM also when there is no room for the copy. */
TRINE_PUBLIC_ int trine_submit_copy_task(trine_scope *s, trine_executor *on, const trine_task *t,
                                         const void *arg, const char *site);
#define trine_submit_copy(s, on, fn, arg)                                                          \
    trine_submit_copy_task(s, on, &fn##_task, TRINE_ARG_(fn, arg), TRINE_HERE_)
#define trine_spawn_copy(s, fn, arg) trine_submit_copy(s, NULL, fn, arg)

/* A value for all that is called below, found by the address of its key; see TRINE_LET. `outer` is
 * private. */
typedef struct trine_value {
    const void *key;
    void *value;
    const struct trine_value *outer;
} trine_value;

/* What one task has of its own. */
typedef struct trine_task_opts {
    uint32_t size;
    const char *name TRINE_ZERO_;  /* for messages and dumps, in place of the function's; borrowed
                                    * until the scope closes */
    size_t stack_size TRINE_ZERO_; /* bytes of stack that a coroutine can use at least; 0: as all.
                                    * On other executors it does nothing */
    int64_t timeout TRINE_ZERO_; /* ns from the task's start in a worker process, then it is killed:
                                  * in place of the pool's task_timeout; elsewhere it does nothing.
                                  * 0: the pool's */
    bool repeat TRINE_ZERO_;     /* it may be run again: when its worker process dies of it, it goes
                                  * to a new one (to any other if none is to come, or new ones do
                                  * not start); after the third it has failed for good */
    trine_value *values TRINE_ZERO_; /* found by trine_value_get before those of its scope, the
                                      * first one before the next; the task's until it is done, of
                                      * one task at a time. Worker processes do not get them */
    size_t value_count TRINE_ZERO_;
    unsigned worker TRINE_ZERO_; /* 1 to the number of workers: in this one of a process pool alone,
                                  * or, if it dies before, in its successor; elsewhere it does
                                  * nothing. 0: any */
    trine_channel *progress TRINE_ZERO_; /* of trine_buf: gets what the task reports by
                                          * trine_progress, each for the receiver to free. Must
                                          * stay until the task is done */
} trine_task_opts;

/* trine_submit and trine_start with options: trine_spawn_opts(s, parse, &arg, .name = "parser",
 * .stack_size = 1 << 20). A stack of its own size is kept for the next one that asks for about as
 * much. Errors and [S] as trine_submit and trine_start; -ENOMEM also when there is no such stack.
 */
TRINE_PUBLIC_ int trine_submit_opts_task(trine_scope *s, trine_executor *on, const trine_task *t,
                                         void *arg, const trine_task_opts *opts, const char *site);
TRINE_PUBLIC_ trine_future *trine_start_opts_task(trine_scope *s, trine_executor *on,
                                                  const trine_task *t, void *arg,
                                                  const trine_task_opts *opts, const char *site);
#define trine_spawn_opts(s, fn, arg, ...)                                                          \
    trine_submit_opts_task(s, NULL, &fn##_task, TRINE_ARG_(fn, arg),                               \
                           TRINE_OPTS(trine_task_opts, __VA_ARGS__), TRINE_HERE_)
#define trine_submit_opts(s, on, fn, arg, ...)                                                     \
    trine_submit_opts_task(s, on, &fn##_task, TRINE_ARG_(fn, arg),                                 \
                           TRINE_OPTS(trine_task_opts, __VA_ARGS__), TRINE_HERE_)
#define trine_start_opts(s, on, fn, arg, ...)                                                      \
    trine_start_opts_task(s, on, &fn##_task, TRINE_ARG_(fn, arg),                                  \
                          TRINE_OPTS(trine_task_opts, __VA_ARGS__), TRINE_HERE_)

/* trine_start_bytes with options, of which a bytes task has no use for stack_size. */
TRINE_PUBLIC_ trine_future *trine_start_bytes_opts_task(trine_scope *s, trine_executor *on,
                                                        const trine_bytes_task *t, trine_bytes in,
                                                        trine_buf *ret_out,
                                                        const trine_task_opts *opts,
                                                        const char *site);
#define trine_start_bytes_opts(s, on, fn, in, ret_out, ...)                                        \
    trine_start_bytes_opts_task(s, on, &fn##_bytes_task, in, ret_out,                              \
                                TRINE_OPTS(trine_task_opts, __VA_ARGS__), TRINE_HERE_)

/* In a task, wherever it runs: hands a copy of `len` bytes to who follows it (`progress` of its
 * options), before its result; 0 and nothing else where nobody does. The pieces come in order, all
 * of them before the task is done. A task that is run again (`repeat`) reports again. In a worker
 * process also what the task runs on its own thread, as a loop of its own, reports for it.
 * Errors: -ENOMEM, -EPIPE or what the channel was closed with (not in a worker process, where it is
 * as if nobody followed), -EMSGSIZE (more than max_result of the pool). [S] while the channel is
 * full, which holds up the task and, of a worker process, its time limit goes on. */
TRINE_MUST_USE_ int trine_progress(const void *bytes, size_t len);

/* trine_spawn, and then waits until the task says trine_ready (a server that listens, a connection
 * that is open): 0. When it ends before that: its error, which reaches join as well; -EPROTO when
 * it returned >= 0 without having said so. When the wait itself is ended, by -ECANCELED or
 * -ETIMEDOUT, the task goes on as any other of its scope. [S] the scope's thread. */
TRINE_MUST_USE_ int trine_spawn_ready_task(trine_scope *s, const trine_task *t, void *arg,
                                           const char *site);
#define trine_spawn_ready(s, fn, arg)                                                              \
    trine_spawn_ready_task(s, &fn##_task, TRINE_ARG_(fn, arg), TRINE_HERE_)

/* In a coroutine: lets the caller of trine_spawn_ready go on. Harmless when nobody waits, or said
 * again. Never waits; aborts elsewhere than in a coroutine. */
TRINE_PUBLIC_ void trine_ready(void);

/* --- callbacks ------------------------------------------------------------------------------ */

/* Asks to be told of a future's end; its inside is private. */
typedef struct trine_notice {
    uint64_t priv_[18];
} trine_notice;

/* Has fn(arg, status) called once the future is done, soon if it is already: on the calling thread,
 * on its loop's own stack, where nothing may wait, while the thread waits in a call of this library
 * or runs its loop. The future may be any thread's; then that thread must do so too, and the handle
 * not be dropped, nor its scope be closed, before. *n is the caller's again once fn is called, or
 * after trine_notice_stop. Never waits. */
TRINE_PUBLIC_ void trine_on_done(trine_future *f, trine_notice *n,
                                 void (*fn)(void *arg, int status), void *arg);

/* After this fn will not be called, if it was not before. [S] the thread that asked, its
 * coroutines; a cancellation does not end the wait, which is for a message there and back at the
 * most. */
TRINE_PUBLIC_ void trine_notice_stop(trine_notice *n);

/* --- values --------------------------------------------------------------------------------- */

/* Sets a value, which lives on the stack of the block that sets it, until trine_value_pop, in the
 * caller's task; pop in the reverse order, else it aborts. Prefer TRINE_LET. Never wait; not in
 * callbacks. */
TRINE_PUBLIC_ trine_value *trine_value_push(trine_value *v);
TRINE_PUBLIC_ void trine_value_pop(trine_value **v);

/* The value that was set last for the key, NULL when there is none. A task finds those that were
 * in force where its scope was opened, so they outlive it; a later TRINE_LET reaches the scopes
 * opened after it. Tasks of thread pools find them too; worker processes and trine_blocking do not.
 * Never waits; any thread. */
TRINE_PUBLIC_ void *trine_value_get(const void *key);

#define TRINE_LET_AT_(key, value, line) TRINE_LET_NAMED_(key, value, line)
#define TRINE_LET_NAMED_(key, value, line)                                                         \
    trine_value trine_value_##line##_ = {key, value, NULL};                                        \
    trine_value *trine_let_##line##_ __attribute__((cleanup(trine_value_pop), unused)) =           \
        trine_value_push(&trine_value_##line##_)

/* Sets a value until the end of the block: TRINE_LET(&request_id, id); */
#define TRINE_LET(key, value) TRINE_LET_AT_(key, value, __LINE__)

#ifdef __cplusplus
}
#endif
#endif
