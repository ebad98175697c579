/* ring.c - see ring.h.
 *
 * Invariants: a slot is free (NULL), holds a task, or is TAKEN while its taker copies it; only a
 * putter makes a free slot hold a task, and only who swapped the task for TAKEN or NULL has it. All
 * places before `tail` have been filled; each is claimed once, but a slot may by then hold a later
 * task, put in a round later: whoever looks takes what is there, so none is lost, and none twice.
 * tests/unit/ring_interleavings.c runs this file through all interleavings of its atomics.
 *
 * Rejected: a queue a worker with stealing (one putter would have to choose whom to give to, and
 * idle workers to look everywhere); sequence numbers in the slots (taking back would leave a hole
 * that a worker has to wait for). */
#include "exec/ring.h"

#include "base/fault.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum { AHEAD = 8 }; /* places */
#define RING_TAKEN ((struct trine_future *)1)
#ifndef RING_WAIT
#define RING_WAIT() sched_yield()
#endif

int ring_init(struct ring *r, unsigned capacity) {
    uint64_t size = 2;
    while (size < capacity)
        size *= 2;
    r->slots = FAULT(aligned_alloc(64, size * sizeof(struct slot)), NULL, ENOMEM);
    if (!r->slots)
        return -ENOMEM;
    memset(r->slots, 0, size * sizeof(struct slot));
    r->mask = size - 1;
    atomic_init(&r->head, 0);
    atomic_init(&r->tail, 0);
    return 0;
}

void ring_done(struct ring *r) {
    free(r->slots);
}

struct slot *ring_put(struct ring *r, const struct job *job) {
    uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    struct slot *slot = &r->slots[tail & r->mask];
    struct trine_future *there;
    while ((there = atomic_load(&slot->task)) == RING_TAKEN)
        RING_WAIT(); /* its taker is copying it */
    if (there)
        return NULL;
    __builtin_prefetch(&r->slots[(tail + AHEAD) & r->mask], 1); /* its taker was there last */
    slot->run = job->run;
    slot->arg = job->arg;
    slot->home = job->home;
    atomic_store_explicit(&slot->task, job->task, memory_order_release);
    atomic_store(&r->tail, tail + 1); /* in one order with the sleepers' looks at it */
    return slot;
}

/* The tail is its putter's cache line: it is read when what was seen of it last has been claimed.
 */
unsigned ring_claim(struct ring *r, struct span *span, unsigned part, unsigned most) {
    uint64_t head = atomic_load(&r->head);
    uint64_t count;
    do {
        if (span->tail_seen <= head && (span->tail_seen = atomic_load(&r->tail)) <= head)
            return 0;
        count = (span->tail_seen - head) / part;
        count = count < 1 ? 1 : count > most ? most : count;
    } while (!atomic_compare_exchange_weak(&r->head, &head, head + count));
    atomic_store_explicit(&span->next, head, memory_order_relaxed);
    atomic_store(&span->end, head + count);
    return (unsigned)count;
}

bool ring_take(struct ring *r, uint64_t at, _Atomic(uintptr_t) *taking, struct job *ret_job) {
    struct slot *slot = &r->slots[at & r->mask];
    struct trine_future *task = atomic_load_explicit(&slot->task, memory_order_acquire);
    if (!task || task == RING_TAKEN)
        return false;
    atomic_store_explicit(taking, (uintptr_t)task, memory_order_relaxed);
    if (!atomic_compare_exchange_strong(&slot->task, &task, RING_TAKEN)) {
        atomic_store_explicit(taking, 0, memory_order_relaxed);
        return false;
    }
    *ret_job = (struct job){task, slot->run, slot->arg, slot->home};
    atomic_store_explicit(&slot->task, NULL, memory_order_release);
    return true;
}

bool ring_take_back(struct slot *slot, struct trine_future *task) {
    return atomic_compare_exchange_strong(&slot->task, &task, NULL);
}
