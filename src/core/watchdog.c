/* watchdog.c - a thread that looks at all loops some times within the limit. A loop that is awake
 * in the same turn all the while is held up; its thread is then asked, by a signal, what it runs,
 * since only it may look at its own stack and at `current`. Nothing of this costs the loops
 * anything but that their turn counts atomically.
 *
 * The unwinder of gcc 12 and glibc 2.35 takes no lock (_dl_find_object), so a handler may use it;
 * with older ones a thread that is blocked in dlopen could hang in the handler.
 *
 * Lock order: `control`, then that of loops_each; a line is said under neither.
 * Rejected: reading `current` from outside (an atomic at each switch); a timer signal a loop (it
 * would interrupt the loops that are well, too). */
#include "core/watchdog.h"

#include <trine/debug.h>

#include "base/clock.h"
#include "base/futex.h"
#include "base/log.h"
#include "base/panic.h"
#include "core/future.h"
#include "core/loop.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

enum { LOOKS = 4, FRAMES = 48, HELD_MOST = 16 };
#define ANSWER_WITHIN TRINE_SEC(1)

static pthread_mutex_t control = PTHREAD_MUTEX_INITIALIZER; /* start and stop */
static pthread_t thread;
static int64_t limit; /* 0: there is no thread */
static atomic_uint stopping, running_threads;

/* --- on the thread that is held up --- */

enum { ANSWER_NONE, ANSWER_WANTED, ANSWER_GIVEN };

static struct {
    _Atomic pid_t asked; /* the thread */
    atomic_uint state;
    const char *task, *site; /* NULL: no coroutine, but a callback, runs */
    void *frames[FRAMES];
    int count;
} answer;

static struct sigaction former;

static void handler(int signal, siginfo_t *info, void *context) {
    if (atomic_load(&answer.asked) != gettid() || atomic_load(&answer.state) != ANSWER_WANTED) {
        if (former.sa_flags & SA_SIGINFO)
            former.sa_sigaction(signal, info, context);
        else if (former.sa_handler != SIG_DFL && former.sa_handler != SIG_IGN)
            former.sa_handler(signal);
        return;
    }
    int error = errno;
    struct loop *l = loop_of_thread;
    struct strand *s = l ? l->current : NULL;
    answer.task = s && s->task ? future_name(s->task) : NULL;
    answer.site = s && s->task ? s->task->site : NULL;
    answer.count = backtrace(answer.frames, FRAMES);
    atomic_store(&answer.state, ANSWER_GIVEN);
    futex_wake(&answer.state, 1);
    errno = error;
}

static void install_handler(void) {
    void *once[1];
    backtrace(once, 1); /* loads the unwinder, which a handler must not */
    sigaction(SIGURG, NULL, &former);
    struct sigaction ours = {.sa_sigaction = handler,
                             .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
    sigaction(SIGURG, &ours, NULL);
}

/* --- on the watchdog's --- */

static bool ask(pid_t tid) {
    atomic_store(&answer.asked, tid);
    atomic_store(&answer.state, ANSWER_WANTED);
    int64_t deadline = clock_monotonic() + ANSWER_WITHIN;
    if (syscall(SYS_tgkill, getpid(), tid, SIGURG) == 0)
        while (atomic_load(&answer.state) == ANSWER_WANTED && clock_monotonic() < deadline)
            futex_wait(&answer.state, ANSWER_WANTED, deadline);
    atomic_store(&answer.asked, 0);
    return atomic_exchange(&answer.state, ANSWER_NONE) == ANSWER_GIVEN;
}

static void say_frame(int number, void *address) {
    Dl_info where;
    if (!dladdr(address, &where) || !where.dli_fname)
        log_line("trine:   #%d %p", number, address);
    else if (where.dli_sname)
        log_line("trine:   #%d %s+0x%tx (%s+0x%tx)", number, where.dli_sname,
                 (char *)address - (char *)where.dli_saddr, where.dli_fname,
                 (char *)address - (char *)where.dli_fbase);
    else
        log_line("trine:   #%d %s+0x%tx", number, where.dli_fname,
                 (char *)address - (char *)where.dli_fbase);
}

struct held {
    pid_t tid;
    int64_t ns;
};

static void report(const struct held *held) {
    bool answered = ask(held->tid);
    long long ms = held->ns / 1000000;
    if (!answered)
        log_line("trine: the loop of thread %d is held up for %lld ms, and its thread does not "
                 "answer",
                 (int)held->tid, ms);
    else if (answer.task)
        log_line("trine: the loop of thread %d is held up for %lld ms by the task %s, started at "
                 "%s; it is here:",
                 (int)held->tid, ms, answer.task, answer.site);
    else
        log_line("trine: the loop of thread %d is held up for %lld ms by a callback; it is here:",
                 (int)held->tid, ms);
    for (int i = 2; answered && i < answer.count; i++) /* the handler, the kernel's way back */
        say_frame(i - 2, answer.frames[i]);
}

struct looks {
    int64_t now;
    int count;
    struct held held[HELD_MOST];
};

static void look(struct loop *l, void *arg) {
    struct looks *looks = arg;
    struct loop_look *w = &l->watched;
    uint64_t turn = atomic_load_explicit(&l->turn, memory_order_relaxed);
    if (!atomic_load(&l->running) || atomic_load(&l->sleeping) != LOOP_AWAKE) {
        w->since = 0;
    } else if (!w->since || turn != w->turn) {
        *w = (struct loop_look){.turn = turn, .since = looks->now};
    } else if (!w->told && looks->now - w->since >= limit && looks->count < HELD_MOST) {
        w->told = true;
        looks->held[looks->count++] = (struct held){l->tid, looks->now - w->since};
    }
}

static void *watch(void *unused) {
    (void)unused;
    while (!atomic_load(&stopping)) {
        struct looks looks = {.now = clock_monotonic()};
        loops_each(look, &looks);
        for (int i = 0; i < looks.count; i++)
            report(&looks.held[i]);
        futex_wait(&stopping, 0, looks.now + limit / LOOKS);
    }
    return NULL;
}

/* --- start and stop --- */

unsigned watchdog_threads(void) {
    return atomic_load(&running_threads);
}

static void stop(void) {
    if (!limit)
        return;
    atomic_store(&stopping, 1);
    futex_wake(&stopping, 1);
    pthread_join(thread, NULL);
    atomic_store(&stopping, 0);
    atomic_store(&running_threads, 0);
    limit = 0;
}

static int start(int64_t ns) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install_handler);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    limit = ns;
    int r = pthread_create(&thread, NULL, watch, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r)
        limit = 0;
    else
        atomic_store(&running_threads, 1);
    return -r;
}

int trine_watchdog(int64_t ns) {
    if (ns < 0)
        return -EINVAL;
    pthread_mutex_lock(&control);
    stop();
    int r = ns ? start(ns) : 0;
    pthread_mutex_unlock(&control);
    return r;
}

static void start_as_asked(void) {
    const char *asked = getenv("TRINE_WATCHDOG");
    if (!asked)
        return;
    char *unit;
    double n = strtod(asked, &unit);
    double ns = n * (strcmp(unit, "s") == 0    ? 1e9
                     : strcmp(unit, "ms") == 0 ? 1e6
                     : strcmp(unit, "us") == 0 ? 1e3
                                               : 0);
    REQUIRE(ns >= 1 && ns < 1e18, "TRINE_WATCHDOG=%s is no time: say for instance 100ms", asked);
    int r = trine_watchdog((int64_t)ns);
    if (r < 0)
        log_line("trine: TRINE_WATCHDOG: no thread for it: %s", strerrordesc_np(-r));
}

void watchdog_from_environment(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start_as_asked);
}
