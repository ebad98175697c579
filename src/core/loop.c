/* loop.c - one thread's loop. A turn: run ready strands (they switch to each other directly, until
 * none is ready or the turn's budget is used up), handle messages, fire timers, ask the backend,
 * and sleep there, or on a futex when no descriptor matters, until the next timer or message.
 *
 * Invariants: `current` is the strand whose code runs, NULL in callbacks. Only the loop's thread
 * touches anything but inbox, sleeping and wake_fd. A message is handled only when no strand of the
 * loop is between queueing itself and parking, since strands give up the CPU by parking alone.
 *
 * Rejected: a condition variable for plain threads (a lock and two system calls where one futex
 * word does). */
#include "core/loop.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/futex.h"
#include "base/panic.h"
#include "base/relax.h"
#include "core/stuck.h"
#include "core/switch.h"
#include "core/task.h"

#include <trine.h>

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { SWITCHES_PER_TURN = 512, PATIENCE_MOST = 512, LOOKS_A_CLOCK = 50 };
#define STUCK_AFTER TRINE_SEC(1)
#define STUCK_LAST TRINE_SEC(64)
#define LOOK_AT_FLAG_EVERY TRINE_MS(10)
#define IO_WHILE_LOOKING_ON TRINE_US(20)

int64_t loop_read_clock(struct loop *l) {
    return l->backend ? l->backend->kind->now(l->backend) : clock_monotonic();
}

/* --- the inbox --- */

void loop_post_chain(struct loop *to, struct message *newest, struct message *oldest) {
    struct message *there = atomic_load_explicit(&to->inbox, memory_order_relaxed);
    do
        oldest->next = there;
    while (!atomic_compare_exchange_weak(&to->inbox, &there, newest));
}

void loop_wake(struct loop *to) {
    if (atomic_load(&to->sleeping) == LOOP_AWAKE)
        return;
    switch (atomic_exchange(&to->sleeping, LOOP_AWAKE)) {
    case LOOP_ON_FUTEX:
        futex_wake(&to->sleeping, 1);
        break;
    case LOOP_IN_BACKEND: {
        ssize_t written = write(to->wake_fd, &(uint64_t){1}, sizeof(uint64_t));
        (void)written; /* EAGAIN: it is awake for many reasons already */
        break;
    }
    }
}

void loop_wake_for(struct loop *to, int n) {
    if (atomic_load(&to->sleeping) != LOOP_AWAKE && atomic_fetch_sub(&to->patience, n) <= n)
        loop_wake(to);
}

void loop_post(struct loop *to, struct message *m) {
    loop_post_chain(to, m, m);
    loop_wake(to); /* *m may be gone by now; *to never is (see loop_self.c) */
}

void loop_drain_inbox(struct loop *l) {
    if (!atomic_load_explicit(&l->inbox, memory_order_relaxed))
        return;
    struct message *newest = atomic_exchange(&l->inbox, NULL), *oldest = NULL;
    while (newest) {
        struct message *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    struct strand *current = l->current;
    l->current = NULL;
    while (oldest) {
        struct message *next = oldest->next;
        oldest->handle(oldest);
        oldest = next;
    }
    l->current = current;
}

/* --- the backend --- */

static void woken(struct watch *w, unsigned events) {
    (void)events;
    uint64_t count;
    ssize_t got = read(w->fd, &count, sizeof(count));
    (void)got;
}

int loop_open_backend(struct loop *l) {
    if (l->backend)
        return 0;
    if (l->wake_fd < 0)
        l->wake_fd = FAULT(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), -1, EMFILE, ENOMEM);
    if (l->wake_fd < 0)
        return -errno;
    struct backend *b;
    int r = runtime_backend_open(&b);
    if (r < 0)
        return r;
    l->wake_watch = (struct watch){.fd = l->wake_fd, .ready = woken};
    r = b->kind->watch(b, &l->wake_watch, WATCH_READ);
    if (r < 0) {
        b->kind->close(b);
        return r;
    }
    l->backend = b;
    return 0;
}

int loop_watch(struct loop *l, struct watch *w, unsigned events) {
    if (!events && !l->backend)
        return 0;
    int r = loop_open_backend(l);
    return r < 0 ? r : l->backend->kind->watch(l->backend, w, events);
}

static void ask_backend(struct loop *l, int64_t deadline) {
    int r = l->backend->kind->submit_and_wait(l->backend, deadline);
    REQUIRE(r >= 0, "the I/O backend %s failed: %s", l->backend->kind->name, strerrordesc_np(-r));
}

void loop_forget_fd(struct loop *l, int fd) {
    if (l->backend)
        l->backend->kind->forget(l->backend, fd);
}

/* --- the turn --- */

static void run_ready(struct loop *l) {
    struct strand *first = l->ready;
    l->ready = first->next_ready;
    l->budget = SWITCHES_PER_TURN;
    l->operations = OPERATIONS_PER_TURN;
    strand_switch(&l->thread, first);
    l->current = NULL;
}

/* Something has come of the sleep. */
static bool is_awaited(const struct loop *l) {
    return l->ready || !l->thread.wait || atomic_load(&l->inbox);
}

/* In a worker process nobody sends a message when the task is cancelled. */
static inline bool looks_on(const struct loop *l) {
    return l->spin && !task_flag_is_watched;
}

static bool is_time_for_io(const struct loop *l, int64_t now) {
    return l->backend && now - l->asked >= IO_WHILE_LOOKING_ON;
}

static void ask_backend_at_times(struct loop *l, int64_t now) {
    if (!is_time_for_io(l, now))
        return;
    l->asked = now;
    ask_backend(l, 0);
}

/* For some 2 us: true, something has come. Who looks out for us may make strands ready by itself,
 * and is let go each time, so that nobody waits long for what it holds. */
static bool look_a_while(struct loop *l) {
    const struct lookout_kind *out = l->lookout.kind;
    bool helped = out && out->begin(l->lookout.of);
    for (int i = 0; i < LOOKS_A_CLOCK; i++) {
        if (atomic_load_explicit(&l->inbox, memory_order_relaxed) || l->ready)
            break;
        if (helped && !out->look(l->lookout.of)) {
            out->end(l->lookout.of);
            helped = false;
        }
        cpu_relax();
    }
    if (helped)
        out->end(l->lookout.of);
    return is_awaited(l);
}

/* Looks for a message for a while: waking a thread takes longer than most answers. True: the turn
 * is over; one has come, or a timer that was started meanwhile has to be settled. */
static bool look_on(struct loop *l, int64_t deadline) {
    int64_t now = loop_read_clock(l), until = now + l->spin;
    until = deadline < until ? deadline : until;
    for (; now < until; now = loop_read_clock(l)) {
        ask_backend_at_times(l, now);
        if (is_awaited(l) || timers_fresh(&l->timers) || look_a_while(l))
            return true;
    }
    return false;
}

int loop_look_on(struct loop *l, bool (*has_come)(const void *arg), const void *arg) {
    if (!looks_on(l) || l->ready)
        return -1;
    int64_t now = loop_read_clock(l), until = now + l->spin;
    if (timers_fresh(&l->timers))
        timers_settle(&l->timers, now);
    int64_t deadline = timers_next(&l->timers);
    until = deadline < until ? deadline : until;
    for (int looks = 0; now < until && !is_time_for_io(l, now); now = loop_read_clock(l)) {
        for (int i = 0; i < LOOKS_A_CLOCK; i++, looks++) {
            if (has_come(arg))
                return looks;
            if (atomic_load_explicit(&l->inbox, memory_order_relaxed))
                return -1;
            cpu_relax();
        }
    }
    return -1;
}

/* Sleeps until `deadline` or a message. Messages posted before `sleeping` was set are seen by the
 * look at the inbox after it; later ones find `sleeping` and wake us. */
static void sleep_once(struct loop *l, int64_t deadline) {
    unsigned patience = l->awaited ? *l->awaited : 1;
    patience = patience < PATIENCE_MOST ? patience : PATIENCE_MOST;
    atomic_store_explicit(&l->patience, (int)patience, memory_order_relaxed);
    atomic_store(&l->sleeping, l->backend ? LOOP_IN_BACKEND : LOOP_ON_FUTEX);
    if (!atomic_load(&l->inbox)) {
        if (l->backend)
            ask_backend(l, deadline);
        else
            futex_wait(&l->sleeping, LOOP_ON_FUTEX, deadline);
    }
    atomic_store(&l->sleeping, LOOP_AWAKE);
}

/* Who sleeps without a deadline looks now and then, less and less often, whether it would sleep for
 * ever. */
static void sleep_without_end(struct loop *l) {
    for (int64_t pause = STUCK_AFTER; !is_awaited(l); pause += pause < STUCK_LAST ? pause : 0) {
        rest_begin(l);
        sleep_once(l, loop_read_clock(l) + pause);
        rest_end(l);
        if (!is_awaited(l))
            loop_report_if_stuck(l);
    }
}

/* The same in a worker process, whose loop nobody wakes when its task is cancelled: in short parts.
 */
static void sleep_watching_flag(struct loop *l, int64_t deadline) {
    static _Thread_local int64_t idle;
    int64_t look = loop_read_clock(l) + LOOK_AT_FLAG_EVERY;
    bool may_be_stuck = deadline == NEVER && loop_may_be_stuck(l);
    if (may_be_stuck)
        rest_begin(l);
    sleep_once(l, deadline < look ? deadline : look);
    rest_end(l);
    task_look_at_flag(l);
    idle = may_be_stuck && !is_awaited(l) ? idle + LOOK_AT_FLAG_EVERY : 0;
    if (idle < STUCK_AFTER)
        return;
    idle = 0;
    loop_report_if_stuck(l);
}

static void sleep_until(struct loop *l, int64_t deadline) {
    if (looks_on(l) && look_on(l, deadline))
        return;
    if (task_flag_is_watched) {
        sleep_watching_flag(l, deadline);
        return;
    }
    if (deadline == NEVER && loop_may_be_stuck(l)) {
        sleep_without_end(l);
        return;
    }
    if (atomic_load_explicit(&l->serves, memory_order_relaxed))
        rest_begin(l);
    sleep_once(l, deadline);
    rest_end(l);
}

void loop_turn(struct loop *l) {
    uint64_t turn = atomic_load_explicit(&l->turn, memory_order_relaxed) + 1;
    atomic_store_explicit(&l->turn, turn, memory_order_relaxed);
    if (l->ready)
        run_ready(l);
    loop_drain_inbox(l);
    if (__builtin_expect(l->settle != NULL, 0))
        l->settle(l->settle_arg);
    if (__builtin_expect(task_flag_is_watched, 0))
        task_look_at_flag(l);
    if (timers_fresh(&l->timers))
        timers_settle(&l->timers, loop_read_clock(l));
    if (!l->ready && l->thread.wait)
        sleep_until(l, timers_next(&l->timers));
    else if (l->backend)
        ask_backend(l, 0);
    l->now = loop_read_clock(l);
    timers_advance(&l->timers, l->now);
}
