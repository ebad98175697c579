/* queue_memory.h - a queue as it lies in shared memory. These calls never wait for items or for
 * room; who must wait is told what to wait for. Any process that maps the memory may make them, and
 * may be killed at any instruction of them. */
#ifndef TRINE_EXEC_QUEUE_MEMORY_H
#define TRINE_EXEC_QUEUE_MEMORY_H

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct queue_memory {
    uint64_t id; /* as in trine_queue */
    uint64_t item_size, capacity;
    pthread_mutex_t lock;        /* robust, shared between processes */
    _Atomic uint64_t head, tail; /* items taken, items put, since the queue was opened */
    _Atomic uint64_t ticket;     /* what head or tail will be when the call under way is done */
    _Atomic uint64_t ledger;     /* items lost * LEDGER_ITEM + what call is under way */
    atomic_bool closed;
    atomic_bool freed;   /* by who opened it: nobody finds it any more */
    atomic_bool awaited; /* somebody may sleep on `changed` */
    atomic_uint changed; /* a futex */
    alignas(64) unsigned char items[];
};

/* Bytes of memory; 0 when that is too much. */
size_t queue_memory_size(uint64_t item_size, uint64_t capacity);

/* In memory that is all zero. */
void queue_memory_init(struct queue_memory *m, uint64_t id, size_t item_size, size_t capacity);

/* 0; -EPIPE (closed, and for get: empty); -EAGAIN (full, empty): try again once queue_changed(m) is
 * not *ret_seen. */
int queue_memory_put(struct queue_memory *m, const void *item, unsigned *ret_seen);
int queue_memory_get(struct queue_memory *m, void *ret_item, unsigned *ret_seen);

void queue_memory_close(struct queue_memory *m);
uint64_t queue_memory_count(struct queue_memory *m);
uint64_t queue_memory_lost(struct queue_memory *m);

static inline unsigned queue_changed(struct queue_memory *m) {
    return atomic_load_explicit(&m->changed, memory_order_acquire);
}

/* Sleeps until queue_changed(m) is not `seen`, or for no reason. */
void queue_memory_sleep(struct queue_memory *m, unsigned seen);

/* Ends the sleep of all, for them to look again. */
void queue_memory_rouse(struct queue_memory *m);

#endif
