/* queue_memory.h - a queue as it lies in shared memory. These calls never wait for items or for
 * room; who must wait is told what to wait for. Any process that maps the memory may make them, and
 * may be killed at any instruction of them. */
#ifndef TRINE_EXEC_QUEUE_MEMORY_H
#define TRINE_EXEC_QUEUE_MEMORY_H

#include "exec/shared_head.h"

#include <trine.h>

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct queue_memory {
    struct shared_head base;
    uint64_t item_size, capacity; /* of bytes messages: 0; a multiple of MESSAGE_ALIGNMENT */
    pthread_mutex_t lock;         /* robust, shared between processes */
    _Atomic uint64_t head, tail;  /* items, or bytes, taken and put since the queue was opened */
    _Atomic uint64_t ticket;      /* what head or tail will be when the call under way is done */
    _Atomic uint64_t ledger;      /* items lost * LEDGER_ITEM + what call is under way */
    atomic_bool closed;
    alignas(64) unsigned char items[];
};

/* Bytes of memory; 0 when that is too much. item_size 0: for messages that differ in length, and
 * take `capacity` bytes together, each with MESSAGE_HEADER and rounded up to MESSAGE_ALIGNMENT. */
enum { MESSAGE_HEADER = 8, MESSAGE_ALIGNMENT = 8 };
size_t queue_memory_size(uint64_t item_size, uint64_t capacity);

/* In memory that is all zero. */
void queue_memory_init(struct queue_memory *m, size_t item_size, size_t capacity);

/* 0; -EPIPE (closed, and for get: empty); -EAGAIN (full, empty): try again once
 * shared_changed(&m->base) is not *ret_seen. */
int queue_memory_put(struct queue_memory *m, const void *item, unsigned *ret_seen);
int queue_memory_get(struct queue_memory *m, void *ret_item, unsigned *ret_seen);

/* Likewise a message; and -EMSGSIZE: it never fits. get leaves it there when it is longer than
 * `room`: -ENOBUFS, and its length. */
int queue_memory_put_bytes(struct queue_memory *m, trine_bytes message, unsigned *ret_seen);
int queue_memory_get_bytes(struct queue_memory *m, void *ret_bytes, size_t room, size_t *ret_len,
                           unsigned *ret_seen);

void queue_memory_close(struct queue_memory *m);
uint64_t queue_memory_count(struct queue_memory *m);
uint64_t queue_memory_lost(struct queue_memory *m);

#endif
