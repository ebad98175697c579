/* home_lock.c - see home_lock.h.
 *
 * Invariant: `shared` is set once, under the mutex, and stays; whoever finds it unset and is not
 * the home sets it and waits until the home is out. Where the kernel has no membarrier, and under
 * ThreadSanitizer, which knows nothing of it, a lock is shared from the start. */
#include "core/home_lock.h"

#include "base/sanitizer.h"

#include <linux/membarrier.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

static int barrier(int command) {
    return (int)syscall(SYS_membarrier, command, 0, 0);
}

static bool barriers_work(void) {
#ifdef __SANITIZE_THREAD__
    return false;
#else
    enum { UNKNOWN, YES, NO };
    static atomic_int known;
    int answer = atomic_load_explicit(&known, memory_order_relaxed);
    if (answer == UNKNOWN) {
        answer = barrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0 ? YES : NO;
        atomic_store_explicit(&known, answer, memory_order_relaxed);
    }
    return answer == YES;
#endif
}

void home_lock_init(struct home_lock *l) {
    atomic_init(&l->home, NULL);
    atomic_init(&l->busy, false);
    atomic_init(&l->shared, !barriers_work());
    home_lock_mutex_init(&l->mutex);
}

void home_lock_mutex_init(pthread_mutex_t *mutex) {
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
#ifdef PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP
    /* It is held for some nanoseconds: a look or two more are cheaper than the kernel. */
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
#endif
    pthread_mutex_init(mutex, &attr);
    pthread_mutexattr_destroy(&attr);
}

void home_lock_done(struct home_lock *l) {
    pthread_mutex_destroy(&l->mutex);
}

bool home_lock_take_slowly(struct home_lock *l, struct loop *me) {
    struct loop *nobody = NULL;
    if (!atomic_load_explicit(&l->shared, memory_order_relaxed) &&
        atomic_compare_exchange_strong(&l->home, &nobody, me))
        return home_lock_take(l);
    pthread_mutex_lock(&l->mutex);
    if (!atomic_load_explicit(&l->shared, memory_order_relaxed)) {
        atomic_store(&l->shared, true);
        barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
        while (atomic_load_explicit(&l->busy, memory_order_acquire))
            sched_yield();
    }
    return false;
}
