/* trine/shared.h - memory, counters and a mutex between the processes of one program: its own
 * threads and coroutines, and tasks of worker processes. See trine.h for [S] and errors.
 *
 * Each is named by plain data: copy it, or make it a field of the argument of a task that runs in a
 * worker process, where it works as it is. The process that opened it keeps it for the others: free
 * it there when they are done. For processes that trust each other: a sandboxed worker gets -EPERM.
 *
 *     struct visit { trine_counter visits; };
 *
 *     static int visit(struct visit *v) {
 *         return trine_counter_add(&v->visits, 1, NULL);
 *     }
 *     TRINE_TASK(visit, struct visit);
 *
 * Reaching one, at a process's first use, may fail with -ESTALE (freed or never opened, or the
 * process that opened it is gone), -EACCES (/proc does not let us look at that process, which may
 * also be so just after its death), -ENOENT (no /proc), -EPERM, -ENOMEM, -EMFILE, -ENFILE. */
#ifndef TRINE_SHARED_H
#define TRINE_SHARED_H

#include <trine.h>
#ifdef __cplusplus
extern "C" {
#endif

/* --- memory --------------------------------------------------------------------------------- */

/* Names memory; its inside is private. All zero is none. */
typedef struct trine_shared {
    uint64_t id_;
    uint64_t bytes_;
    int32_t owner_, fd_;
} trine_shared;

/* Opens memory of `size` >= 1 bytes, all zero, that begins on a page of its own; it takes a page
 * more, and one descriptor. What is in it is between those who use it: atomic objects work as
 * between threads. Errors: -ENOMEM, -EMFILE, -ENFILE. Does not suspend; any thread. */
TRINE_MUST_USE_ int trine_shared_open(size_t size, trine_shared *ret_shared);

/* Where it lies in this process, the same at each call, until it is freed. Errors: those of
 * reaching it. Does not suspend; any thread. */
TRINE_MUST_USE_ int trine_shared_map(const trine_shared *s, void **ret_memory);

/* Makes a table of it that is only read: by the process that opened it, when it has filled it. Who
 * writes to it then dies of SIGSEGV; only a process that had mapped it before may write on. Sealing
 * twice is harmless. Errors: those of reaching it, -EPERM (another process opened it), -EINVAL (a
 * kernel before 5.1). Does not suspend; any thread. */
TRINE_MUST_USE_ int trine_shared_seal(const trine_shared *s);

/* Its bytes, as they were asked for. */
TRINE_PUBLIC_ size_t trine_shared_size(const trine_shared *s);

/* Gives back what this process holds of it, and sets *s to zero; all zero is fine. Its address in
 * this process is none from then on. In a worker process it is not needed, as for all that is named
 * here: what is left there goes when the worker ends, or, once it was freed by who opened it, when
 * the worker maps the next one. Does not suspend; any thread. */
TRINE_PUBLIC_ void trine_shared_free(trine_shared *s);

/* --- counter -------------------------------------------------------------------------------- */

/* A number that all count on. (For many: an array of atomic ones in a trine_shared.) */
typedef struct trine_counter {
    trine_shared memory_;
} trine_counter;

/* Opens one that is 0. Errors as trine_shared_open. Does not suspend; any thread. */
TRINE_MUST_USE_ int trine_counter_open(trine_counter *ret_counter);

/* Adds `n`, which may be 0 or negative, at once for all: *ret_value, unless that is NULL, is what
 * it is then. It wraps round at the ends of int64_t. A process that dies has added or not. Errors:
 * those of reaching it. Does not suspend; any thread. */
TRINE_PUBLIC_ int trine_counter_add(const trine_counter *c, int64_t n, int64_t *ret_value);

/* As trine_shared_free. */
TRINE_PUBLIC_ void trine_counter_free(trine_counter *c);

/* --- mutex ---------------------------------------------------------------------------------- */

/* One at a time, of all tasks and threads of all processes. */
typedef struct trine_shared_mutex {
    trine_shared memory_;
} trine_shared_mutex;

/* Opens one that nobody holds. Errors as trine_shared_open. Does not suspend; any thread. */
TRINE_MUST_USE_ int trine_shared_mutex_open(trine_shared_mutex *ret_mutex);

/* Takes the mutex: 0; or 1: its last holder died with it, so what it guards may be half changed; it
 * is the caller's all the same, and as good as new for the next one. Who waits is served in no
 * particular order, but nobody passes by for longer than half a millisecond. After a death it takes
 * up to 20 ms. Taking one that the caller holds aborts, and so does a task in a worker process that
 * returns with it. Errors: those of reaching it; -EAGAIN, where a coroutine would have to wait and
 * no thread can be had to wake it. With an error it is not taken. [S] any thread. */
TRINE_MUST_USE_ int trine_shared_mutex_lock(const trine_shared_mutex *m);

/* Takes it if that needs no wait: 0 or 1, likewise. Errors: -EBUSY, those of reaching it, why the
 * scope around ends. Any thread; not in callbacks. */
TRINE_MUST_USE_ int trine_shared_mutex_try_lock(const trine_shared_mutex *m);

/* Gives it back; aborts when the caller does not hold it. Never waits. */
TRINE_PUBLIC_ void trine_shared_mutex_unlock(const trine_shared_mutex *m);

/* As trine_shared_free; nobody in this process holds it, or waits for it. */
TRINE_PUBLIC_ void trine_shared_mutex_free(trine_shared_mutex *m);

#ifdef __cplusplus
}
#endif
#endif
