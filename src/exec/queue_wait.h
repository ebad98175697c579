/* queue_wait.h - waiting for a queue between processes to change, as a strand: so that a coroutine
 * lets the others run, and cancellation ends the wait. */
#ifndef TRINE_EXEC_QUEUE_WAIT_H
#define TRINE_EXEC_QUEUE_WAIT_H

#include "base/list.h"
#include "core/strand.h"

#include <pthread.h>
#include <stdbool.h>

struct queue_memory;

/* What wakes the strands of this process that wait for one queue. */
struct bell {
    struct queue_memory *memory;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t work;
    struct list waiters; /* of struct waiter; `item` points at what its strand has seen */
    bool running, stop;
    pthread_t thread;
};

void bell_init(struct bell *b, struct queue_memory *memory);

/* Nobody waits any more. */
void bell_done(struct bell *b);

/* Waits until queue_changed() is not `seen`, or for no reason: 0; or why the wait ended; -EAGAIN or
 * -ENOMEM: no thread could be started. */
int bell_wait(struct bell *b, struct strand *self, unsigned seen, const char *what_for);

#endif
