/* shared_wait.h - waiting for memory between processes to change, as a strand: so that a coroutine
 * lets the others run, and cancellation ends the wait. */
#ifndef TRINE_EXEC_SHARED_WAIT_H
#define TRINE_EXEC_SHARED_WAIT_H

#include "base/list.h"
#include "core/strand.h"

#include <pthread.h>
#include <stdbool.h>

struct shared_head;

/* What wakes the strands of this process that wait for one change. */
struct bell {
    struct shared_head *memory;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t work;
    struct list waiters; /* of struct waiter; `item` points at what its strand has seen */
    int64_t patience;    /* of them all */
    bool running, stop;
    pthread_t thread;
};

void bell_init(struct bell *b, struct shared_head *memory);

/* Nobody waits any more. */
void bell_done(struct bell *b);

/* Waits until shared_changed() is not `seen`, or for no reason, for some `patience` ns at the most
 * (INT64_MAX: no limit; the same for all that wait for the memory): 0; or why the wait ended;
 * -EAGAIN or -ENOMEM: no thread could be started. */
int bell_wait(struct bell *b, struct strand *self, unsigned seen, int64_t patience,
              const char *what_for);

#endif
