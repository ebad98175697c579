/* ring.h - the queue of a thread pool: a ring of slots that many threads put tasks into, under one
 * lock, and workers take them out of without any. Each worker claims a few places at a time with
 * one atomic operation, then takes them one by one; what it has claimed and not yet taken may be
 * taken by others (stolen), or taken back by who put it in. So a slot changes hands by compare and
 * swap, and the head of the ring is only a hint where to look. */
#ifndef TRINE_EXEC_RING_H
#define TRINE_EXEC_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct trine_future;

/* What a worker needs of a task, so that the task's record stays in its owner's cache. */
struct job {
    struct trine_future *task;
    int (*run)(void *arg); /* NULL: a bytes task, see the record */
    void *arg;
    struct loop *home;
};

struct slot {
    _Atomic(struct trine_future *) task; /* NULL: free; RING_TAKEN for a moment */
    int (*run)(void *arg);
    void *arg;
    struct loop *home;
};

struct ring {
    struct slot *slots;
    uint64_t mask;
    _Alignas(64) _Atomic uint64_t tail; /* where the next one is put in */
    _Alignas(64) _Atomic uint64_t head; /* from where on nobody has claimed */
};

/* Places that a worker has claimed: from `next` to before `end`. It writes them, others read. */
struct span {
    _Atomic uint64_t next, end;
    uint64_t tail_seen; /* the worker's: the ring's tail as it saw it last */
};

/* Makes a ring of at least `capacity` slots: 0 or -ENOMEM. */
int ring_init(struct ring *r, unsigned capacity);
void ring_done(struct ring *r);

/* Puts a task in: its slot, or NULL when that is not free yet. Under the putters' lock. Both the
 * end of a put and a look at the ring are in the one order of sequentially consistent operations,
 * so a putter that looks for sleepers after it, and a worker that looks here again after it has
 * said that it sleeps, cannot miss each other. */
struct slot *ring_put(struct ring *r, const struct job *job);

/* Puts in, or claimed by nobody: a hint. */
static inline uint64_t ring_unclaimed(struct ring *r) {
    uint64_t head = atomic_load(&r->head), tail = atomic_load(&r->tail);
    return tail > head ? tail - head : 0;
}

/* Claims places for the worker of `span`, which has none left: one `part`th of those that nobody
 * has claimed, at least one, at most `most`. How many; 0: there are none. */
unsigned ring_claim(struct ring *r, struct span *span, unsigned part, unsigned most);

/* Takes the task in place `at`, if there is one. *taking, the worker's own, says which task it is
 * about to take before the slot says that it is taken; it goes back to NULL when that fails. */
bool ring_take(struct ring *r, uint64_t at, _Atomic(uintptr_t) *taking, struct job *ret_job);

/* Takes the task out again; false: a worker was faster. */
bool ring_take_back(struct slot *slot, struct trine_future *task);

#endif
