/* parallel.c - see trine/parallel.h. Each thread runs one task that takes piece after piece from a
 * shared counter: pieces are as uneven as they like, and an item costs no more than fn itself.
 *
 * Rejected: a task a piece (a queue entry and a completion each); halves that are split when
 * somebody is idle (fairer for nested loops, but a counter is within a percent for flat ones). */
#include <trine/parallel.h>
#include <trine/task.h>

#include "base/panic.h"
#include "core/executor.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

enum { THREADS_MOST = 64, PIECES_PER_THREAD = 8, RESULT_MOST = 4096 };

struct range {
    _Alignas(64) _Atomic size_t next;
    _Alignas(64) size_t end, grain;
    int (*fn)(size_t from, size_t to, void *arg);
    int (*fn_into)(size_t from, size_t to, void *arg, void *into); /* of a reduce */
    void *arg;
};

struct part {
    struct range *range;
    void *into;
};

static int run_part(struct part *p) {
    struct range *r = p->range;
    while (!trine_cancelled()) { /* also when another part has failed */
        size_t from = atomic_fetch_add_explicit(&r->next, r->grain, memory_order_relaxed);
        if (from >= r->end)
            return 0;
        size_t to = r->end - from < r->grain ? r->end : from + r->grain;
        int status = r->fn ? r->fn(from, to, r->arg) : r->fn_into(from, to, r->arg, p->into);
        if (status < 0)
            return status;
    }
    return -ECANCELED;
}
TRINE_TASK(run_part, struct part);

/* How many threads share it; its grain is settled. 0: there is nothing to do. */
static size_t prepare(struct range *r, trine_executor *on, size_t begin) {
    REQUIRE(
        !on || !on->kind->other_memory,
        "a parallel loop was started on a process pool, whose workers do not share its data: use "
        "a thread pool, or trine_map");
    size_t count = r->end > begin ? r->end - begin : 0, threads = trine_usable_cpus();
    if (threads > THREADS_MOST)
        threads = THREADS_MOST;
    if (!r->grain)
        r->grain = count / (threads * PIECES_PER_THREAD) + 1;
    /* Each thread takes one piece too many: that must not wrap around. */
    REQUIRE(r->end <= SIZE_MAX - r->grain * (threads + 1),
            "a parallel loop ends too near to the largest number");
    size_t pieces = (count + r->grain - 1) / r->grain;
    return pieces < threads ? pieces : threads;
}

int trine_parallel_for(trine_executor *on, size_t begin, size_t end, size_t grain,
                       int (*fn)(size_t from, size_t to, void *arg), void *arg) {
    struct range r = {.next = begin, .end = end, .grain = grain, .fn = fn, .arg = arg};
    struct part parts[THREADS_MOST];
    size_t n = prepare(&r, on, begin);
    for (size_t i = 0; i < n; i++)
        parts[i] = (struct part){.range = &r};
    return n ? trine_map_all(on, run_part, parts, n) : 0;
}

int trine_parallel_reduce(trine_executor *on, size_t begin, size_t end, size_t grain,
                          int (*fn)(size_t from, size_t to, void *arg, void *into),
                          void (*combine)(void *into, const void *more), void *arg,
                          void *ret_result, size_t size) {
    REQUIRE(size <= RESULT_MOST, "trine_parallel_reduce takes results of at most %d bytes, not %zu",
            RESULT_MOST, size);
    struct range r = {.next = begin, .end = end, .grain = grain, .fn_into = fn, .arg = arg};
    struct part parts[THREADS_MOST];
    size_t n = prepare(&r, on, begin), apart = (size + 63) / 64 * 64;
    if (!n)
        return 0;
    trine_buf results = {NULL, 0, 0};
    int status = trine_buf_reserve(&results, n * apart + 64);
    if (status < 0)
        return status;
    char *first = (char *)(((uintptr_t)results.ptr + 63) & ~(uintptr_t)63);
    for (size_t i = 0; i < n; i++)
        parts[i] = (struct part){.range = &r, .into = memcpy(first + i * apart, ret_result, size)};
    status = trine_map_all(on, run_part, parts, n);
    for (size_t i = 0; status >= 0 && i < n; i++)
        combine(ret_result, parts[i].into);
    trine_buf_free(&results);
    return status;
}
