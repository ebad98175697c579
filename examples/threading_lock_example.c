/* threading_lock_example.c - a hundred threads raise one counter. Reading and writing it are two
 * steps; whoever comes between them loses a count, unless a lock makes them one. */
#include <trine.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

enum { THREADS = 100 };

struct counter {
    atomic_int value; /* atomic, so that the race is well-defined C; it is a race all the same */
    pthread_mutex_t *lock; /* NULL: none */
};

static int increment(struct counter *c) {
    if (c->lock)
        pthread_mutex_lock(c->lock);
    int value = atomic_load_explicit(&c->value, memory_order_relaxed);
    int status = trine_sleep(TRINE_US(100));
    atomic_store_explicit(&c->value, value + 1, memory_order_relaxed);
    if (c->lock)
        pthread_mutex_unlock(c->lock);
    return status;
}
TRINE_TASK(increment, struct counter);

static int count(trine_executor *threads, pthread_mutex_t *lock) {
    struct counter counter = {.lock = lock};
    TRINE_SCOPE(scope);
    for (int i = 0; i < THREADS; i++)
        trine_submit(scope, threads, increment, &counter);
    trine_join(scope);
    return atomic_load(&counter.value);
}

int main(void) {
    trine_executor *threads;
    if (trine_threads_open(&threads, TRINE_OPTS(trine_threads_opts, .workers = THREADS)) < 0)
        return 1;
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    printf("Unsafe result: %d (expected %d)\n", count(threads, NULL), THREADS);
    printf("Safe result: %d (expected %d)\n", count(threads, &lock), THREADS);
    trine_executor_close(&threads);
    return 0;
}
