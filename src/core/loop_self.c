/* loop_self.c - which loop is this thread's: made at the first need, kept in a thread-local
 * pointer. A loop is never freed: when its thread ends, it is emptied and handed to the next new
 * thread, its eventfd with it. A late loop_post can so do no more harm than a needless wake-up.
 *
 * Lock order: `pool_lock` alone. Rejected: freeing loops under a reference count (an atomic on
 * every message). */
#include "base/clock.h"
#include "base/fault.h"
#include "base/panic.h"
#include "base/sanitizer.h"
#include "core/loop.h"
#include "core/overflow.h"
#include "core/scope.h"
#include "core/stack.h"
#include "core/stuck.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

__thread struct loop *loop_of_thread;

static pthread_mutex_t pool_lock = PTHREAD_MUTEX_INITIALIZER;
static struct loop *unused;
static struct loop *all; /* for loops_each; and leak checkers see the loops of live threads */
static pthread_key_t at_thread_end;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool forked; /* in a child of the user's own fork */

void loops_each(void (*visit)(struct loop *, void *), void *arg) {
    pthread_mutex_lock(&pool_lock);
    for (struct loop *l = all; l; l = l->next_of_all)
        visit(l, arg);
    pthread_mutex_unlock(&pool_lock);
}

static void recycle(void *arg) {
    struct loop *l = arg;
    REQUIRE(!l->thread.scope, "a thread ended inside a scope opened at %s: close it before",
            scope_site(l->thread.scope));
    if (l->backend)
        l->backend->kind->close(l->backend);
    l->backend = NULL;
    l->running = l->embedded = false;
    l->works_for = NULL;
    overflow_unwatch(l);
    stacks_free(l->stacks);
    l->stacks = NULL;
    records_free(&l->records);
    loop_of_thread = NULL;
    pthread_mutex_lock(
        &pool_lock); /* who looks at what it serves holds it: that may go after this */
    atomic_store(&l->serves, NULL);
    rest_end(l);
    l->next_free = unused;
    unused = l;
    pthread_mutex_unlock(&pool_lock);
}

/* The child has only this thread: forgetting its loop leads every call into loop_self. */
static void note_fork(void) {
    forked = true;
    loop_of_thread = NULL;
}

static void prepare(void) {
    int r = pthread_key_create(&at_thread_end, recycle);
    REQUIRE(r == 0, "no thread-specific key is left (PTHREAD_KEYS_MAX)");
    pthread_atfork(NULL, NULL, note_fork);
}

static struct loop *take_unused(void) {
    pthread_mutex_lock(&pool_lock);
    struct loop *l = unused;
    if (l)
        unused = l->next_free;
    pthread_mutex_unlock(&pool_lock);
    return l;
}

static struct loop *loop_new(void) {
    struct loop *l = FAULT(aligned_alloc(64, (sizeof(*l) + 63) & ~(size_t)63), NULL, ENOMEM);
    REQUIRE(l, "no memory for the loop of a thread (%zu bytes)", sizeof(*l));
    *l = (struct loop){.wake_fd = -1};
    pthread_mutex_lock(&pool_lock);
    l->next_of_all = all;
    all = l;
    pthread_mutex_unlock(&pool_lock);
    return l;
}

/* There when the program links the C++ runtime. Weak, since the library itself needs none. */
extern struct cxa_globals *__cxa_get_globals(void) __attribute__((weak));

static void loop_adopt(struct loop *l) {
    l->exceptions = __cxa_get_globals ? __cxa_get_globals() : NULL;
    l->ready = NULL;
    l->tid = gettid();
    l->thread = (struct strand){.loop = l};
    l->thread.tsan_fiber = sanitizer_fiber_self();
    l->thread_low = NULL;
    l->current = &l->thread;
    l->now = clock_monotonic();
    l->dice = (uint64_t)l->now | 1;
    timers_init(&l->timers, l->now);
}

struct loop *loop_self(void) {
    if (__builtin_expect(loop_of_thread != NULL, 1))
        return loop_of_thread;
    REQUIRE(!forked, "a child made by fork() used the library: it may only exec or _exit; "
                     "for work in another process open a process pool");
    pthread_once(&once, prepare);
    struct loop *l = take_unused();
    if (!l)
        l = loop_new();
    loop_adopt(l);
    pthread_setspecific(at_thread_end, l);
    return loop_of_thread = l;
}
