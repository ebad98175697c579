/* shared_mutex.c - a mutex between processes: the kernel tells of a holder's death, by the robust
 * lock of pthreads; how one waits for it is ours, so that a coroutine lets others run and a
 * cancelled wait ends. Who unlocks rouses those who wait, in all processes, and they try again. A
 * holder that died rouses nobody: so who waits looks by itself every PATIENCE.
 *
 * Who has waited for FAIR_AFTER claims the mutex: who comes then lets others go first, once. A
 * claim may be of a process that is gone: it is forgotten by who has waited for nothing.
 *
 * `holder` says which strand of this process holds it. It is read and written by who has the lock,
 * but for the question whether that is the caller; a holder that is found there by who has just got
 * the lock has ended with it.
 *
 * Rejected: sleeping in pthread_mutex_lock (neither a coroutine nor a cancelled task can); a lock
 * of our own in the kernel's list of robust ones (a thread has one such list, which is libc's). */
#include "exec/shared_mutex.h"

#include "base/clock.h"
#include "base/panic.h"
#include "exec/shared_map.h"

#include <trine/shared.h>

#include <errno.h>
#include <string.h>

#define PATIENCE TRINE_MS(20)
#define FAIR_AFTER TRINE_US(500)

static _Thread_local unsigned held;

unsigned shared_mutexes_held(void) {
    return held;
}

static struct mutex_memory *memory_of(const struct mapping *m) {
    return (struct mutex_memory *)m->memory;
}

/* --- the memory --- */

void mutex_memory_init(struct mutex_memory *m) {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutex_init(&m->lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
}

static void require_whole(bool whole, int r) {
    REQUIRE(whole, "a mutex between processes was overwritten: it gives %s", strerrorname_np(r));
}

int mutex_memory_try_lock(struct mutex_memory *m) {
    int r = pthread_mutex_trylock(&m->lock);
    if (r == EDEADLK || r == EBUSY)
        return -r;
    if (r == EOWNERDEAD)
        pthread_mutex_consistent(&m->lock);
    require_whole(r == 0 || r == EOWNERDEAD, r);
    return r == EOWNERDEAD;
}

void mutex_memory_unlock(struct mutex_memory *m) {
    int r = pthread_mutex_unlock(&m->lock);
    require_whole(r == 0, r);
    if (atomic_exchange(&m->base.awaited, false))
        shared_rouse(&m->base);
}

/* --- open --- */

int trine_shared_mutex_open(trine_shared_mutex *ret_mutex) {
    struct mapping *m;
    int r = shared_map_new(sizeof(struct mutex_memory), &ret_mutex->memory_, &m);
    if (r == 0)
        mutex_memory_init(memory_of(m));
    return r;
}

/* --- lock --- */

/* 0, 1 or -EBUSY. The mapping is in use as long as the mutex is held. */
static int try_lock(struct mapping *m, struct strand *self) {
    int r = mutex_memory_try_lock(memory_of(m));
    REQUIRE(r != -EDEADLK || atomic_load_explicit(&m->holder, memory_order_relaxed) != self,
            "a mutex between processes was locked by a task that holds it");
    if (r < 0) /* -EDEADLK: another strand of this thread has it */
        return -EBUSY;
    if (atomic_exchange_explicit(&m->holder, self, memory_order_relaxed))
        shared_map_leave(m); /* of the thread that ended with it */
    held++;
    return r;
}

/* Once more, after it was said that somebody waits: who unlocks after that rouses us. */
static int try_or_wait(struct mapping *m, struct strand *self, bool let_others) {
    unsigned seen = shared_changed(m->memory);
    atomic_store(&m->memory->awaited, true);
    int r = let_others ? -EBUSY : try_lock(m, self);
    if (r == -EBUSY) {
        r = bell_wait(&m->bell, self, seen, PATIENCE, "a mutex between processes");
        r = r < 0 ? r : -EBUSY;
    }
    return r;
}

static int lock(struct mapping *m, struct strand *self) {
    atomic_bool *claimed = &memory_of(m)->claimed;
    bool let_others = atomic_load(claimed);
    int r = let_others ? -EBUSY : try_lock(m, self);
    int64_t began = r == -EBUSY ? clock_monotonic() : 0;
    while (r == -EBUSY && (r = strand_reason(self)) == 0) {
        r = try_or_wait(m, self, let_others);
        if (let_others)
            atomic_store(claimed, false);
        else if (r == -EBUSY && clock_monotonic() - began >= FAIR_AFTER)
            atomic_store(claimed, true);
        let_others = false;
    }
    if (r >= 0 && began)
        atomic_store(claimed, false);
    return r;
}

static int enter(const trine_shared_mutex *mutex, struct mapping **ret_mapping,
                 struct strand **ret_self) {
    int r = strand_enter(ret_self);
    return r < 0 ? r : shared_map_enter(&mutex->memory_, ret_mapping);
}

int trine_shared_mutex_lock(const trine_shared_mutex *mutex) {
    struct strand *self;
    struct mapping *m;
    int r = enter(mutex, &m, &self);
    if (r < 0)
        return r;
    r = lock(m, self);
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

/* --- unlock --- */

void trine_shared_mutex_unlock(const trine_shared_mutex *mutex) {
    struct strand *self = strand_self();
    struct mapping *m;
    bool holds = self && shared_map_enter(&mutex->memory_, &m) == 0 &&
                 atomic_load_explicit(&m->holder, memory_order_relaxed) == self;
    REQUIRE(holds, "a mutex between processes was unlocked by a task that does not hold it");
    atomic_store_explicit(&m->holder, NULL, memory_order_relaxed);
    held--;
    mutex_memory_unlock(memory_of(m));
    shared_map_leave(m); /* of this call */
    shared_map_leave(m); /* of lock */
}

void trine_shared_mutex_free(trine_shared_mutex *m) {
    if (m->memory_.id_ != 0)
        shared_map_free(&m->memory_, NULL, "a mutex");
    *m = (trine_shared_mutex){0};
}
