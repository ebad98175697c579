/* shared_mutex.c - a mutex between processes: the kernel tells of a holder's death, by the robust
 * lock of pthreads; how one waits for it is ours, so that a coroutine lets others run and a
 * cancelled wait ends. Who unlocks rouses those who wait, in all processes, and they try again. A
 * holder that died rouses nobody: so who waits looks by itself every PATIENCE.
 *
 * Rejected: sleeping in pthread_mutex_lock (neither a coroutine nor a cancelled task can); a lock
 * of our own in the kernel's list of robust ones (a thread has one such list, which is libc's). */
#include <trine/shared.h>

#include "base/panic.h"
#include "exec/shared_map.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#define PATIENCE TRINE_MS(20)

struct mutex_memory {
    struct shared_head base;
    pthread_mutex_t lock; /* robust, shared between processes */
};

static struct mutex_memory *memory_of(const struct mapping *m) {
    return (struct mutex_memory *)m->memory;
}

int trine_shared_mutex_open(trine_shared_mutex *ret_mutex) {
    struct mapping *m;
    pthread_mutexattr_t robust;
    int r = shared_map_new(sizeof(struct mutex_memory), &ret_mutex->memory_, &m);
    if (r < 0)
        return r;
    pthread_mutexattr_init(&robust);
    pthread_mutexattr_setpshared(&robust, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&robust, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&memory_of(m)->lock, &robust);
    pthread_mutexattr_destroy(&robust);
    return 0;
}

/* 0, 1 or -EBUSY. */
static int try_lock(struct mapping *m, struct strand *self) {
    struct mutex_memory *memory = memory_of(m);
    int r = pthread_mutex_trylock(&memory->lock);
    if (r == EBUSY)
        return -EBUSY;
    if (r == EOWNERDEAD)
        pthread_mutex_consistent(&memory->lock);
    REQUIRE(r == 0 || r == EOWNERDEAD, "a mutex between processes was overwritten: it gives %s",
            strerrorname_np(r));
    atomic_store_explicit(&m->holder, self, memory_order_relaxed);
    return r == EOWNERDEAD;
}

/* It was busy: once more, after it was said that somebody waits. */
static int try_or_wait(struct mapping *m, struct strand *self) {
    atomic_store(&m->memory->awaited, true);
    unsigned seen = shared_changed(m->memory);
    int r = try_lock(m, self);
    if (r != -EBUSY)
        return r;
    r = bell_wait(&m->bell, self, seen, PATIENCE, "a mutex between processes");
    return r < 0 ? r : -EBUSY;
}

/* The mapping is in use as long as the mutex is held. */
static int enter(const trine_shared_mutex *mutex, struct mapping **ret_mapping,
                 struct strand **ret_self) {
    int r = strand_enter(ret_self);
    if (r < 0)
        return r;
    r = shared_map_enter(&mutex->memory_, ret_mapping);
    if (r < 0)
        return r;
    REQUIRE(atomic_load_explicit(&(*ret_mapping)->holder, memory_order_relaxed) != *ret_self,
            "a mutex between processes was locked by a task that holds it");
    return 0;
}

int trine_shared_mutex_lock(const trine_shared_mutex *mutex) {
    struct strand *self;
    struct mapping *m;
    int r = enter(mutex, &m, &self);
    if (r < 0)
        return r;
    r = try_lock(m, self);
    while (r == -EBUSY) {
        r = strand_reason(self);
        if (r == 0)
            r = try_or_wait(m, self);
    }
    if (r < 0)
        shared_map_leave(m);
    return r;
}

int trine_shared_mutex_try_lock(const trine_shared_mutex *mutex) {
    struct strand *self;
    struct mapping *m;
    int r = enter(mutex, &m, &self);
    if (r < 0)
        return r;
    r = try_lock(m, self);
    if (r < 0)
        shared_map_leave(m);
    return r;
}

void trine_shared_mutex_unlock(const trine_shared_mutex *mutex) {
    struct strand *self;
    struct mapping *m;
    int r = strand_enter(&self);
    if (r == 0)
        r = shared_map_enter(&mutex->memory_, &m);
    REQUIRE(r == 0 && atomic_load_explicit(&m->holder, memory_order_relaxed) == self,
            "a mutex between processes was unlocked by a task that does not hold it");
    atomic_store_explicit(&m->holder, NULL, memory_order_relaxed);
    pthread_mutex_unlock(&memory_of(m)->lock);
    if (atomic_exchange(&m->memory->awaited, false))
        shared_rouse(m->memory);
    shared_map_leave(m); /* of this call */
    shared_map_leave(m); /* of lock */
}

void trine_shared_mutex_free(trine_shared_mutex *m) {
    if (m->memory_.id_ != 0)
        shared_map_free(&m->memory_, NULL, "a mutex");
    *m = (trine_shared_mutex){0};
}
