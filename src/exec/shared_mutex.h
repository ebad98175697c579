/* shared_mutex.h - inside of the mutex between processes: as it lies in shared memory. Any process
 * that maps it may make these calls, and may be killed at any instruction of them. */
#ifndef TRINE_EXEC_SHARED_MUTEX_H
#define TRINE_EXEC_SHARED_MUTEX_H

#include "exec/shared_head.h"

#include <pthread.h>

struct mutex_memory {
    struct shared_head base;
    atomic_bool claimed;  /* somebody has waited for long */
    pthread_mutex_t lock; /* robust, shared between processes, knows its thread */
};

/* In memory that is all zero. */
void mutex_memory_init(struct mutex_memory *m);

/* 0; 1: its last holder died with it; -EBUSY; -EDEADLK: this thread has it. */
int mutex_memory_try_lock(struct mutex_memory *m);

/* Rouses those who wait. */
void mutex_memory_unlock(struct mutex_memory *m);

/* How many the calling thread holds. */
unsigned shared_mutexes_held(void);

#endif
