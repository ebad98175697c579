/* signal.c - signals for tasks: the handler writes to the eventfd of each listener, and a listener
 * is waited for like any descriptor.
 *
 * Invariants: a listener's slot is the handler's view of it. The handler counts itself in
 * slot.handlers while it may use the slot's descriptor; close takes the slot's signals away, waits
 * until no handler is in it, and only then closes the descriptor, whose number may be anybody's
 * afterwards. The handler calls nothing but write(2) and what was installed before it. A signal's
 * action is set with `lock` held, and is changed back only when it is still ours.
 *
 * Rejected: signalfd. The signal would have to be blocked in every thread, also in those that other
 * libraries start, and the mask would reach every subprocess. */
#include <trine/debug.h>
#include <trine/signal.h>

#include "base/fault.h"
#include "base/panic.h"
#include "core/loop.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { SLOTS = 64, LAST_SIGNAL = 64 };

struct slot {
    _Atomic uint64_t signals; /* bit N-1: counts signal N; 0: free, or being opened */
    atomic_int handlers;      /* that look at it now */
    int fd;                   /* changes only while signals is 0 and handlers is 0 */
    bool taken;               /* under the lock */
};

/* What a signal's action was before us; read by the handler. */
struct former {
    _Atomic(void (*)(int, siginfo_t *, void *)) function; /* NULL: it was no function */
    atomic_bool takes_info;
    struct sigaction action; /* under the lock */
    bool installed;          /* under the lock: our handler is the action, or beneath it */
    unsigned listeners;      /* under the lock */
};

struct trine_signal {
    struct slot *slot;
    struct loop *owner;
};

static struct slot slots[SLOTS];
static struct former formers[LAST_SIGNAL + 1];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static uint64_t bit(int signal) {
    return (uint64_t)1 << (signal - 1);
}

static void handler(int signal, siginfo_t *info, void *context) {
    int saved = errno;
    for (struct slot *s = slots; s < slots + SLOTS; s++) {
        if (!(atomic_load(&s->signals) & bit(signal)))
            continue;
        atomic_fetch_add(&s->handlers, 1);
        if (atomic_load(&s->signals) & bit(signal)) {
            ssize_t written = write(s->fd, &(uint64_t){1}, sizeof(uint64_t));
            (void)written; /* it fails only when 2^64 - 2 have been counted */
        }
        atomic_fetch_sub(&s->handlers, 1);
    }
    void (*former)(int, siginfo_t *, void *) = atomic_load(&formers[signal].function);
    if (former && atomic_load(&formers[signal].takes_info))
        former(signal, info, context);
    else if (former)
        ((void (*)(int))(void (*)(void))former)(signal);
    errno = saved;
}

/* --- actions; all under the lock -------------------------------------------------------------- */

static bool is_ours(const struct sigaction *a) {
    return (a->sa_flags & SA_SIGINFO) && a->sa_sigaction == handler;
}

static bool is_function(const struct sigaction *a) {
    return (a->sa_flags & SA_SIGINFO) || (a->sa_handler != SIG_DFL && a->sa_handler != SIG_IGN);
}

static int install(int signal) {
    struct former *f = &formers[signal];
    struct sigaction now;
    if (sigaction(signal, NULL, &now) < 0)
        return -errno;
    /* A function on top of ours is taken to call ours; to go above it would be a circle. */
    if (f->installed && (is_ours(&now) || is_function(&now)))
        return 0;
    bool function = is_function(&now);
    atomic_store(&f->takes_info, (now.sa_flags & SA_SIGINFO) != 0);
    atomic_store(&f->function, function ? now.sa_sigaction : NULL);
    struct sigaction ours = {.sa_sigaction = handler,
                             .sa_mask = now.sa_mask,
                             .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK};
    if (FAULT(sigaction(signal, &ours, NULL), -1, EINVAL) < 0)
        return -errno;
    f->action = now;
    f->installed = true;
    return 0;
}

static void uninstall(int signal) {
    struct former *f = &formers[signal];
    struct sigaction now;
    if (sigaction(signal, NULL, &now) < 0 || !is_ours(&now))
        return; /* others have built on it: it stays beneath them and hands on */
    sigaction(signal, &f->action, NULL);
    f->installed = false;
}

static bool can_be_waited_for(int signal) {
    switch (signal) {
    case SIGKILL:
    case SIGSTOP:
    case SIGSEGV:
    case SIGBUS:
    case SIGFPE:
    case SIGILL:
    case SIGTRAP:
    case SIGSYS:
    case SIGCHLD:
        return false;
    default:
        return signal >= 1 && signal <= LAST_SIGNAL;
    }
}

static int add(struct slot *s, int signal) {
    if (!can_be_waited_for(signal))
        return -EINVAL;
    if (atomic_load(&s->signals) & bit(signal))
        return 0;
    int status = install(signal);
    if (status < 0)
        return status;
    formers[signal].listeners++;
    atomic_fetch_or(&s->signals, bit(signal));
    return 0;
}

static void remove_all(struct slot *s) {
    uint64_t signals = atomic_exchange(&s->signals, 0);
    for (int signal = 1; signal <= LAST_SIGNAL; signal++)
        if ((signals & bit(signal)) && --formers[signal].listeners == 0)
            uninstall(signal);
}

/* --- listeners -------------------------------------------------------------------------------- */

static struct slot *take_slot(void) {
    pthread_mutex_lock(&lock);
    struct slot *s = slots;
    while (s < slots + SLOTS && s->taken)
        s++;
    if (s < slots + SLOTS)
        s->taken = true;
    pthread_mutex_unlock(&lock);
    return s < slots + SLOTS ? s : NULL;
}

static void give_slot(struct slot *s) {
    pthread_mutex_lock(&lock);
    remove_all(s);
    pthread_mutex_unlock(&lock);
    while (atomic_load(&s->handlers))
        sched_yield(); /* a few instructions of another thread */
    if (s->fd >= 0)
        close(s->fd);
    pthread_mutex_lock(&lock);
    s->taken = false;
    pthread_mutex_unlock(&lock);
}

int trine_signal_open(int signal, trine_signal **ret_signal) {
    struct slot *slot = take_slot();
    if (!slot)
        return -ENOSPC;
    struct trine_signal *s = FAULT(malloc(sizeof(*s)), NULL, ENOMEM);
    slot->fd = s ? FAULT(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), -1, EMFILE, ENFILE, ENOMEM) : -1;
    int status = !s ? -ENOMEM : slot->fd < 0 ? -errno : 0;
    if (status == 0) {
        *s = (struct trine_signal){.slot = slot, .owner = loop_self()};
        status = trine_signal_add(s, signal);
    }
    if (status != 0) {
        give_slot(slot);
        free(s);
        return status;
    }
    *ret_signal = s;
    return 0;
}

int trine_signal_add(trine_signal *s, int signal) {
    pthread_mutex_lock(&lock);
    int status = add(s->slot, signal);
    pthread_mutex_unlock(&lock);
    return status;
}

static void require_owner(const struct trine_signal *s) {
    REQUIRE(s->owner == loop_self(), "a signal listener is used in a thread that did not open it: "
                                     "open it in the thread that waits");
}

int trine_signal_wait(trine_signal *s) {
    require_owner(s);
    uint64_t count;
    struct io_op op = {.code = IO_READ, .fd = s->slot->fd, .buf = &count, .len = sizeof(count)};
    int64_t got = loop_do_io(&op); /* from here on *s may be closed */
    if (got < 0)
        return (int)got;
    return count > INT_MAX ? INT_MAX : (int)count;
}

void trine_signal_close(trine_signal **s) {
    if (*s) {
        require_owner(*s);
        loop_forget_fd((*s)->owner, (*s)->slot->fd);
        give_slot((*s)->slot);
        free(*s);
    }
    *s = NULL;
}

int trine_dump_on(int signal) {
    trine_signal *s;
    int r = trine_signal_open(signal, &s);
    if (r != 0)
        return r;
    while ((r = trine_signal_wait(s)) > 0)
        trine_dump(STDERR_FILENO);
    trine_signal_close(&s);
    return r;
}
