/* trine.h - the library on one page: tasks, scopes, futures, executors, channels, waiting.
 *
 * The idea in three sentences. A task is a plain function and a flat argument struct; the struct is
 * the frame: inputs and outputs are its fields, so results are typed and cost no allocation. An
 * executor says where the task runs: the loop of the caller (a coroutine), a thread pool, a process
 * pool. A scope owns every task started in it and cannot be left before they are done, so arguments
 * may live on the parent's stack.
 *
 * Errors   int-returning calls give >= 0 or a negative errno; outputs are untouched on failure.
 *          -ECANCELED and -ETIMEDOUT from a wait mean "the scope around you is ending: clean up
 *          and return"; every later wait in that scope fails the same way (level-triggered).
 *          -EAGAIN: the call would wait, and the caller is a callback on the loop's own stack.
 * [S]      the call may suspend: in a coroutine it suspends the coroutine, in any other thread it
 *          blocks the thread. Every [S] call may return -ECANCELED, -ETIMEDOUT and -EAGAIN.
 * Time     int64_t nanoseconds on CLOCK_MONOTONIC; deadlines are absolute, timeouts relative.
 * Threads  an object belongs to the thread that made it, unless its comment says otherwise.
 * Mistakes of the caller abort with a message that says what to do, in every build. */
#ifndef TRINE_H
#define TRINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

#define TRINE_VERSION "0.1.0"
#define TRINE_US(n) ((int64_t)(n)*1000)
#define TRINE_MS(n) ((int64_t)(n)*1000000)
#define TRINE_SEC(n) ((int64_t)((n)*1e9))

#if defined(__GNUC__)
#define TRINE_PUBLIC_ __attribute__((visibility("default")))
#define TRINE_MUST_USE_ TRINE_PUBLIC_ __attribute__((warn_unused_result))
#else
#error "trine.h needs a compiler with GNU attributes: gcc or clang"
#endif
#define TRINE_STRING_(x) #x
#define TRINE_LINE_(x) TRINE_STRING_(x)
/* The place of a call, for messages and dumps. */
#define TRINE_HERE_ (__FILE__ ":" TRINE_LINE_(__LINE__))

#ifdef __cplusplus
#define TRINE_ZERO_                                                                                \
    {} /* C++ warns of members left out unless they have a default */
#else
#define TRINE_ZERO_
#endif

/* Options for one call: trine_threads_open(&pool, TRINE_OPTS(trine_threads_opts, .workers = 4)).
 * The fields are named in the order of the struct; the rest is zero. */
#ifdef __cplusplus
extern "C++" {
template <class T> inline const T *trine_opts_(const T &opts) {
    return &opts;
}
}
#define TRINE_OPTS_(T, ...) trine_opts_(T{.size = sizeof(T), __VA_ARGS__})
#else
#define TRINE_OPTS_(T, ...) (&(const T){.size = sizeof(T), __VA_ARGS__})
#endif
#define TRINE_OPTS(...) TRINE_OPTS_(__VA_ARGS__, )

typedef struct trine_future trine_future;     /* handle of one task; see "futures" */
typedef struct trine_executor trine_executor; /* where tasks run; NULL is the caller's loop */
typedef struct trine_channel trine_channel;   /* hands items between tasks of one process */

/* Borrowed bytes: the callee does not keep them past the task that it was handed them for. */
typedef struct trine_bytes {
    const void *ptr;
    size_t len;
} trine_bytes;

/* Owned bytes, grown by the trine_buf calls; all zero is an empty one. Freed by trine_buf_free. */
typedef struct trine_buf {
    void *ptr;
    size_t len, cap;
} trine_buf;

/* Storage of a scope; its inside is private. Live on the stack of the block that it belongs to. */
typedef struct trine_scope {
    uint64_t priv_[44];
} trine_scope;

/* --- start of the program ------------------------------------------------------------------- */

/* First line of main, needed by programs that open a process pool: in a worker process it runs
 * tasks and never returns. Returns nothing; does nothing in the program itself but remember that it
 * was called. Does not suspend; call it before any thread is started. */
TRINE_PUBLIC_ void trine_init(int argc, char **argv);

/* The version of the library that is linked, as TRINE_VERSION. */
TRINE_PUBLIC_ const char *trine_version(void);

/* --- tasks ---------------------------------------------------------------------------------- */

/* What makes a function runnable anywhere; written by TRINE_TASK. A process worker finds a task by
 * the build id of its module and the offset of this descriptor in it; the name is for messages. */
typedef struct trine_task {
    const char *name;
    int (*run)(void *arg);
    size_t size, first_out; /* bytes of the argument; where the bytes that come back begin */
} trine_task;

/* A task on bytes: for processes, where pointers mean nothing. `in` is valid during the call; what
 * it appends to `out` reaches the caller when it returns >= 0. */
typedef struct trine_bytes_task {
    const char *name;
    int (*run)(trine_bytes in, trine_buf *out);
} trine_bytes_task;

#define TRINE_TASK_AT_(fn, T, out)                                                                 \
    typedef T fn##_arg_;                                                                           \
    static int fn##_run_(void *arg) {                                                              \
        return fn((T *)arg);                                                                       \
    }                                                                                              \
    static const trine_task fn##_task __attribute__((unused)) = {#fn, fn##_run_, sizeof(T), out}

/* Makes `int fn(T *)` a task; written once after the function, in the same file. T is flat when the
 * task is to run in a process: no pointers that the task follows. */
#define TRINE_TASK(fn, T) TRINE_TASK_AT_(fn, T, 0)

/* The same, but only the bytes from `field` to the end come back from a process. */
#define TRINE_TASK_IO(fn, T, field) TRINE_TASK_AT_(fn, T, offsetof(T, field))

/* Makes `int fn(trine_bytes in, trine_buf *out)` a bytes task. */
#define TRINE_BYTES_TASK(fn)                                                                       \
    static const trine_bytes_task fn##_bytes_task __attribute__((unused)) = {#fn, fn}

#ifdef __cplusplus
#define TRINE_ARG_(fn, arg) static_cast<fn##_arg_ *>(arg)
#else /* a wrong type does not compile; NULL does */
#define TRINE_ARG_(fn, arg) _Generic((1 ? (arg) : (fn##_arg_ *)0), fn##_arg_ * : (arg))
#endif

/* --- run ------------------------------------------------------------------------------------ */

typedef enum trine_backend_kind {
    TRINE_AUTO, /* the best that this machine allows; today that is epoll */
    TRINE_EPOLL
} trine_backend_kind;

typedef struct trine_run_opts {
    uint32_t size; /* sizeof(trine_run_opts); every options struct begins so, to grow later */
    trine_backend_kind backend TRINE_ZERO_;
    size_t stack_size
        TRINE_ZERO_;          /* bytes of each coroutine's stack; 0: 64 KiB less the guard page */
    int64_t spin TRINE_ZERO_; /* ns that the thread, with nothing to do, looks on for what other
                               * threads send before it sleeps; meanwhile it looks at I/O every 20
                               * us, and for results of a process pool itself. 0: none */
} trine_run_opts;

/* Runs `task` as the main coroutine of a loop on this thread and returns when it has returned, with
 * its value. `opts` may be NULL. Where the thread runs a task of a pool, or has a scope open, and
 * that is cancelled, so is the main coroutine. Errors besides the task's own: -ENOMEM, and what
 * epoll_create1 or eventfd give. Call it from a plain thread; inside a loop it aborts. */
TRINE_PUBLIC_ int trine_run_task(const trine_task *task, void *arg, const trine_run_opts *opts);
#define trine_run(fn, arg) trine_run_task(&fn##_task, TRINE_ARG_(fn, arg), NULL)

/* --- scopes --------------------------------------------------------------------------------- */

typedef enum trine_policy {
    TRINE_FAIL_FAST, /* the first error cancels the siblings; join returns it (default) */
    TRINE_COLLECT,   /* errors cancel nobody; join waits for all and returns the first */
    TRINE_FIRST      /* the first success cancels the siblings; join returns 0 */
} trine_policy;

typedef struct trine_scope_opts {
    uint32_t size;
    trine_policy policy TRINE_ZERO_;
    const char *name TRINE_ZERO_; /* for messages; borrowed */
    int64_t timeout TRINE_ZERO_;  /* 0: none. Bounds the tasks and the owner's waits: -ETIMEDOUT */
    unsigned limit TRINE_ZERO_;   /* at most this many tasks run at once; 0: no limit */
    unsigned pending TRINE_ZERO_; /* tasks that wait for the limit, stackless; 0: 1,024 */
    bool shield TRINE_ZERO_;      /* outer cancellation stays outside; needs a timeout: cleanup */
    bool move_on TRINE_ZERO_; /* the timeout is no error of the scope: trine_join gives 0 then */
} trine_scope_opts;

/* Opens a scope in `memory` and gives it back. Never fails: mistakes abort. `site` is TRINE_HERE_;
 * `opts` may be NULL. Prefer TRINE_SCOPE, which closes it when the block is left. */
TRINE_PUBLIC_ trine_scope *trine_scope_open(trine_scope *memory, const trine_scope_opts *opts,
                                            const char *site);

/* Leaves a scope: cancels what still runs in it, waits until that is done, sets *scope to NULL.
 * Close the scopes of a task in the reverse order of opening. [S], but never fails: it drains also
 * when the scope around it is cancelled. */
TRINE_PUBLIC_ void trine_scope_close(trine_scope **scope);

/* Asks all tasks of the scope, and the owner's waits in it, to end: they get -ECANCELED. `reason`
 * is a negative errno that trine_join returns; 0 means -ECANCELED. The first reason decided stays.
 * Does not suspend; any thread may call it while the scope is open. */
TRINE_PUBLIC_ void trine_scope_cancel(trine_scope *scope, int reason);

/* Waits until no task of the scope runs, and returns its outcome: 0, the first error as the policy
 * has it, -ETIMEDOUT after the deadline, the reason of a cancellation. Drains: cancellation makes
 * the tasks end, but does not cut the wait itself short. The scope stays open.
 * [S] owner's thread. */
TRINE_PUBLIC_ int trine_join(trine_scope *scope);

#define TRINE_SCOPE_(scope, ...)                                                                   \
    const trine_scope_opts scope##_opts_ = {.size = sizeof(trine_scope_opts), __VA_ARGS__};        \
    trine_scope scope##_memory_;                                                                   \
    trine_scope *scope __attribute__((cleanup(trine_scope_close), unused)) =                       \
        trine_scope_open(&scope##_memory_, &scope##_opts_, TRINE_HERE_)

/* Opens a scope that ends with the enclosing block: TRINE_SCOPE(s); or, with options in the order
 * of trine_scope_opts, TRINE_SCOPE(s, .timeout = TRINE_SEC(5), .limit = 10); */
#define TRINE_SCOPE(...) TRINE_SCOPE_(__VA_ARGS__, )

/* --- start tasks ---------------------------------------------------------------------------- */

/* Start a task in the scope on an executor (NULL: a coroutine of the caller's loop). The argument
 * must live until the task is done: the scope sees to that when it is a variable of the block.
 * submit gives no handle: the task's error, also of starting it, reaches join. map starts one task
 * for each of `n` elements of an array of arguments. start gives a future, which is to be awaited,
 * or dropped, or left to the scope's close.
 * All are [S]: when the scope's limit and pending places, or the executor's queue, are full, the
 * caller waits. submit and map return 0, or the error that kept the task from starting; it reaches
 * join as well. start always gives a future, which carries the error instead. Errors: -ENOMEM,
 * -ECANCELED and -ETIMEDOUT (the scope is ending), -EDEADLK (a task of a scope would wait for that
 * scope's own limit), -ESHUTDOWN (the executor is closing), -EAGAIN (callback on the loop's stack).
 * The owner's thread and its coroutines may call them. */
TRINE_PUBLIC_ int trine_submit_task(trine_scope *s, trine_executor *on, const trine_task *t,
                                    void *arg, const char *site);
TRINE_PUBLIC_ int trine_map_task(trine_scope *s, trine_executor *on, const trine_task *t,
                                 void *args, size_t n, const char *site);
TRINE_PUBLIC_ trine_future *trine_start_task(trine_scope *s, trine_executor *on,
                                             const trine_task *t, void *arg, const char *site);

/* map in a fail-fast scope of its own: returns when all `n` tasks are done, with 0 or the first
 * error. A pool takes short tasks some at a time, so they must not wait for one another. Errors as
 * trine_join and trine_map_task. [S] any thread. */
TRINE_PUBLIC_ int trine_map_all_task(trine_executor *on, const trine_task *t, void *args, size_t n,
                                     const char *site);

/* Starts a bytes task in a process pool (elsewhere it runs as well, without a copy). `in` must stay
 * valid until the task is done; `ret_out`, all zero or reused, is filled when the future's status
 * is >= 0, and stays the caller's to free. */
TRINE_PUBLIC_ trine_future *trine_start_bytes_task(trine_scope *s, trine_executor *on,
                                                   const trine_bytes_task *t, trine_bytes in,
                                                   trine_buf *ret_out, const char *site);

/* A future that is done, with status 0, after `ns` nanoseconds of the loop's turns, never less; it
 * has no task and no stack, so a million of them are cheap. trine_cancel, or the end of the scope,
 * makes it done at once with -ECANCELED or -ETIMEDOUT. It is awaited, dropped and handed out by
 * trine_next_done as any other; but trine_join does not wait for it, and closing the scope just
 * stops it. Aborts when memory is short. Does not suspend; owner's thread and its coroutines. */
TRINE_PUBLIC_ trine_future *trine_start_after(trine_scope *s, int64_t ns, const char *site);
#define trine_after(s, ns) trine_start_after(s, ns, TRINE_HERE_)

#define trine_spawn(s, fn, arg)                                                                    \
    trine_submit_task(s, NULL, &fn##_task, TRINE_ARG_(fn, arg), TRINE_HERE_)
#define trine_submit(s, on, fn, arg)                                                               \
    trine_submit_task(s, on, &fn##_task, TRINE_ARG_(fn, arg), TRINE_HERE_)
#define trine_map(s, on, fn, args, n)                                                              \
    trine_map_task(s, on, &fn##_task, TRINE_ARG_(fn, args), n, TRINE_HERE_)
#define trine_map_all(on, fn, args, n)                                                             \
    trine_map_all_task(on, &fn##_task, TRINE_ARG_(fn, args), n, TRINE_HERE_)
#define trine_start(s, on, fn, arg)                                                                \
    trine_start_task(s, on, &fn##_task, TRINE_ARG_(fn, arg), TRINE_HERE_)
#define trine_start_bytes(s, on, fn, in, ret_out)                                                  \
    trine_start_bytes_task(s, on, &fn##_bytes_task, in, ret_out, TRINE_HERE_)

/* --- futures -------------------------------------------------------------------------------- */

/* What is known of a task that failed. The strings belong to the future (or the scope) and live as
 * long as it does; `detail` is never NULL and reads as the end of a sentence. */
typedef struct trine_error {
    int code;   /* the negative errno */
    int signal; /* that killed the worker process; 0: none did */
    const char *task, *site, *detail;
    const char *backtrace; /* of a worker process that crashed: its calls, the innermost first, a
                            * line each: function and place in its module; NULL: none is known */
    uint64_t address;      /* that it accessed in vain, of SIGSEGV and SIGBUS; else 0 */
} trine_error;

/* Waits for the task. Returns 0 and puts what the task returned into *ret_status (may be NULL), or
 * why the wait itself ended; a future that is done gives its status even in a cancelled scope.
 * [S] any thread: on another one than the scope's it learns of the end from that thread, once that
 * waits in a call of this library or runs its loop, and leaves the wait, if its own scope ends,
 * only then too; the handle must not be dropped, nor its scope be closed, meanwhile. */
TRINE_MUST_USE_ int trine_await(trine_future *f, int *ret_status);

/* Waits until one of `n` (1 to 64) futures is done and returns its index; they may be of several
 * scopes and threads. -ENOMEM (only with another thread's among them). [S] as trine_await. */
TRINE_MUST_USE_ int trine_await_any(trine_future *const *futures, size_t n);

/* Hands out the scope's futures (of trine_start) in order of completion, each once: 1 and the
 * future; 0 when none is left. [S] as trine_await_any. */
TRINE_MUST_USE_ int trine_next_done(trine_scope *s, trine_future **ret_future);

/* What the task returned; -EINPROGRESS until it is done. Never waits. */
TRINE_PUBLIC_ int trine_status(const trine_future *f);

/* Asks one task to end: its waits give -ECANCELED, trine_cancelled() turns true in it; a task that
 * had not begun never runs. `reason` as in trine_scope_cancel. Never waits; owner's thread. */
TRINE_PUBLIC_ void trine_cancel(trine_future *f, int reason);

/* Gives the handle back before its scope closes; the task goes on, and its errors reach join. */
TRINE_PUBLIC_ void trine_future_drop(trine_future *f);

/* In a task: has it been asked to end? For long computations to poll; any executor. */
TRINE_PUBLIC_ bool trine_cancelled(void);

/* Detail of a failed future; NULL when it is not done or did not fail. */
TRINE_PUBLIC_ const trine_error *trine_error_of(const trine_future *f);

/* Copies out the first errors of a scope (it keeps 16), at most `n`; returns how many errors there
 * were in all. The strings live until the scope closes. */
TRINE_PUBLIC_ size_t trine_errors(trine_scope *s, trine_error *ret_errors, size_t n);

/* --- executors ------------------------------------------------------------------------------ */

/* What a submission to a thread pool does when its queue is full. */
typedef enum trine_full {
    TRINE_FULL_WAIT,    /* waits for room: [S] (default) */
    TRINE_FULL_FAIL,    /* gives -EBUSY */
    TRINE_FULL_RUN_HERE /* runs the task itself, before it returns; in a coroutine that holds up the
                         * loop as long */
} trine_full;

typedef struct trine_threads_opts {
    uint32_t size;
    unsigned workers TRINE_ZERO_; /* threads at the most; 0: min(32, usable CPUs + 4) */
    unsigned queue TRINE_ZERO_;   /* tasks that wait for a thread at the most; 0: 4,096 */
    const char *name TRINE_ZERO_; /* threads are called NAME-0 ...; NULL: "trine"; borrowed */
    trine_full when_full TRINE_ZERO_;
    /* Called in each thread before its first and after its last task; may be NULL. */
    void (*on_start)(void *hook_arg) TRINE_ZERO_;
    void (*on_stop)(void *hook_arg) TRINE_ZERO_;
    void *hook_arg TRINE_ZERO_;
    int64_t idle TRINE_ZERO_; /* ns without a task after which a thread ends; 0: 10 s; negative:
                               * never */
    int64_t spin TRINE_ZERO_; /* ns that one thread without a task looks on before it sleeps, so
                               * that the next one begins at once; 0: 20 us; negative: none */
    bool help TRINE_ZERO_;    /* a plain thread that awaits a task of the pool which has not begun
                               * runs it itself; a thread of the pool does so in any case */
} trine_threads_opts;

typedef struct trine_processes_opts {
    uint32_t size;
    unsigned workers TRINE_ZERO_;     /* processes; 0: usable CPUs */
    unsigned queue TRINE_ZERO_;       /* tasks that wait for a process at the most; 0: 4,096 */
    int64_t task_timeout TRINE_ZERO_; /* ns from a task's start, then it is killed; 0: none.
                                       * It is handed over in that time */
    size_t limit_memory TRINE_ZERO_;  /* bytes a worker may use; 0: no limit */
    size_t max_result TRINE_ZERO_;    /* bytes that a bytes task may return; 0: 64 MiB */
    unsigned max_tasks TRINE_ZERO_;   /* replace a worker after so many tasks; 0: never */
    int64_t grace TRINE_ZERO_; /* ns that a running task has to end after it was cancelled: at once
                                * trine_cancelled() turns true in it, after half of the time its
                                * worker gets SIGTERM, at the end SIGKILL; 0: 100 ms */
    int64_t limit_cpu TRINE_ZERO_;  /* ns of CPU time that a worker may use in its life, rounded up
                                     * to seconds; then SIGXCPU ends it and its task; 0: no limit */
    const char *cgroup TRINE_ZERO_; /* a cgroup v2 directory that was given to the program and has
                                     * no process in it; borrowed. Each worker gets a group in it:
                                     * limit_memory then holds for all that it starts as well, and
                                     * by the kernel; all of that ends with it. NULL: none */
    unsigned cpu_percent TRINE_ZERO_; /* of one CPU that a worker may use; needs cgroup; 0: all */
    int64_t max_age TRINE_ZERO_; /* replace a worker that is so many ns old, when it has done its
                                  * task; 0: never */
    size_t max_resident TRINE_ZERO_; /* likewise one of whose own memory more bytes than that are
                                      * resident, looked at ten times a second; 0: never */
    const trine_task *on_start TRINE_ZERO_; /* &NAME_task of what each worker runs before its first
                                             * task; < 0: it could not be started */
    const trine_task *on_stop TRINE_ZERO_;  /* likewise when it is let go, for 2 s at the most; not
                                             * when it dies or is killed */
    const void *hook_arg TRINE_ZERO_; /* of which each worker has a copy that both get; at most
                                       * 256 bytes; NULL: all zero */
    int64_t spin TRINE_ZERO_; /* ns that a worker without a task looks on before it sleeps; 0: about
                               * 1 us; negative: none */
    bool pin TRINE_ZERO_;     /* each worker runs on one of the usable CPUs alone, evenly */
    bool sandbox TRINE_ZERO_; /* after on_start, a worker can compute on what it is handed, start
                               * threads, write to standard error, and nothing else: no file,
                               * socket, process, signal to others, no new code; such calls give
                               * EPERM. So a module with tasks that the program has loaded by
                               * itself must be that of on_start, or be loaded by it */
} trine_processes_opts;

/* Open a pool. `opts` may be NULL. Threads are started when tasks come, worker processes at once.
 * Errors: -ENOMEM, -EAGAIN (no thread or process to be had), and for processes -ENOTSUP (a sandbox,
 * and the kernel or this library has no seccomp; or cgroup is no cgroup v2 directory, or has no
 * controller for the limit), what opening and writing there gives (-ENOENT, -EACCES, -EBUSY: it has
 * processes), -ENOEXEC
 * (the program has no build id: link with -Wl,--build-id). A process pool without trine_init
 * aborts. Any thread may submit to a pool; close it where it was opened. [S] */
TRINE_MUST_USE_ int trine_threads_open(trine_executor **ret_pool, const trine_threads_opts *opts);
TRINE_MUST_USE_ int trine_processes_open(trine_executor **ret_pool,
                                         const trine_processes_opts *opts);

/* How many workers a process pool has. Any thread. */
TRINE_PUBLIC_ unsigned trine_processes_count(trine_executor *pool);

/* Runs a task once in each worker of a process pool, on args[0] to args[count - 1], each with its
 * own, and waits for all: to hand all of them something, or ask what each holds. A worker that
 * takes another's place later has not run it: that is what on_start is for. 0, or the first error.
 * [S] any thread. */
TRINE_PUBLIC_ int trine_processes_each_task(trine_executor *pool, const trine_task *t, void *args,
                                            const char *site);
#define trine_processes_each(pool, fn, args)                                                       \
    trine_processes_each_task(pool, &fn##_task, TRINE_ARG_(fn, args), TRINE_HERE_)

/* The same thread pool for work that can wait: its tasks begin when none of the others does. It
 * goes with the pool, and is not to be closed. Never waits; any thread. */
TRINE_PUBLIC_ trine_executor *trine_threads_background(trine_executor *pool);

/* Closes a pool and sets *pool to NULL; waits until its tasks are done: to drop them, cancel their
 * scope before. Submitting to it from now on gives -ESHUTDOWN. [S], never fails. */
TRINE_PUBLIC_ void trine_executor_close(trine_executor **pool);

/* CPUs that this process may use: affinity and cgroup quota counted, at least 1. */
TRINE_PUBLIC_ unsigned trine_usable_cpus(void);

/* Runs a call that blocks, on a thread of the library's own, and waits for it: `task` works on a
 * copy of *arg, which is copied back when it is done. In a scope that ends the call is abandoned:
 * it goes on alone on its copy, and the caller gets -ECANCELED or -ETIMEDOUT at once; 256 abandoned
 * calls at the most, then -EBUSY. Returns what the task returned. [S] any thread. */
TRINE_MUST_USE_ int trine_blocking_task(const trine_task *task, void *arg);
#define trine_blocking(fn, arg) trine_blocking_task(&fn##_task, TRINE_ARG_(fn, arg))

/* --- channels ------------------------------------------------------------------------------- */

/* A bounded queue of items of one size, first in, first out, between coroutines and threads of one
 * process; any thread may use it. `capacity` 0: a sender waits until a receiver takes the item.
 * NULL when memory is short. */
TRINE_PUBLIC_ trine_channel *trine_channel_new(size_t item_size, size_t capacity);

/* Copies one item in; waits while the channel is full. -EPIPE, or what it was closed with: it is
 * closed. [S] */
TRINE_MUST_USE_ int trine_channel_send(trine_channel *c, const void *item);

/* Takes one item out; waits while the channel is empty. -EPIPE, or what it was closed with: closed,
 * and nothing is left. [S] */
TRINE_MUST_USE_ int trine_channel_recv(trine_channel *c, void *ret_item);

/* The same without waiting: -EAGAIN when the channel is full, or empty. Any thread, callbacks too.
 */
TRINE_MUST_USE_ int trine_channel_try_send(trine_channel *c, const void *item);
TRINE_MUST_USE_ int trine_channel_try_recv(trine_channel *c, void *ret_item);

/* No more items: senders get -EPIPE, receivers take what is left and then get -EPIPE. Never waits;
 * closing twice is harmless. */
TRINE_PUBLIC_ void trine_channel_close(trine_channel *c);

/* The same with another error in place of -EPIPE, a negative errno; the first close stays. */
TRINE_PUBLIC_ void trine_channel_close_error(trine_channel *c, int error);

/* Items in the channel now; a hint, since other threads go on. */
TRINE_PUBLIC_ size_t trine_channel_count(trine_channel *c);

/* Frees the channel and sets *c to NULL; nobody may wait in it any more. */
TRINE_PUBLIC_ void trine_channel_free(trine_channel **c);

/* --- waiting -------------------------------------------------------------------------------- */

/* The clock: nanoseconds of CLOCK_MONOTONIC, read at the call. Never waits. */
TRINE_PUBLIC_ int64_t trine_now(void);

/* Waits for `ns` nanoseconds, never less; <= 0 only tests for cancellation. [S] */
TRINE_MUST_USE_ int trine_sleep(int64_t ns);

/* Lets the other runnable coroutines run. [S] */
TRINE_MUST_USE_ int trine_yield(void);

/* --- owned bytes ---------------------------------------------------------------------------- */

/* Append bytes, growing the buffer; -ENOMEM when memory is short, the buffer is then unchanged. */
TRINE_MUST_USE_ int trine_buf_append(trine_buf *b, const void *bytes, size_t len);

/* Makes room for `more` bytes after the present ones; -ENOMEM. */
TRINE_MUST_USE_ int trine_buf_reserve(trine_buf *b, size_t more);

/* Frees the memory; the buffer is an empty one again. */
TRINE_PUBLIC_ void trine_buf_free(trine_buf *b);

#ifdef __cplusplus
}
#endif
#endif
