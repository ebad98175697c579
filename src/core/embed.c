/* embed.c - a loop that is turned by another event loop. Between turns it counts as asleep in its
 * backend, so that a message from another thread makes the descriptor readable. */
#include <trine/loop.h>
#include <trine/task.h>

#include "base/panic.h"
#include "core/loop.h"
#include "core/watchdog.h"

int trine_loop_fd(void) {
    struct loop *l = loop_here();
    REQUIRE(l->current == &l->thread && (!l->running || l->embedded),
            "trine_loop_fd was called inside trine_run, which turns the loop itself");
    int r = loop_open_backend(l);
    if (r < 0)
        return r;
    watchdog_from_environment();
    l->running = l->embedded = true;
    return l->backend->kind->descriptor(l->backend);
}

int64_t trine_loop_turn(void) {
    struct loop *l = loop_here();
    REQUIRE(l->embedded, "trine_loop_turn was called in a thread that did not call trine_loop_fd");
    REQUIRE(l->current == &l->thread, "trine_loop_turn was called in a coroutine or a callback");
    atomic_store(&l->sleeping, LOOP_AWAKE);
    l->current = NULL;
    loop_turn(l);
    l->current = &l->thread;
    if (l->ready)
        return 0;
    if (timers_fresh(&l->timers))
        timers_settle(&l->timers, loop_read_clock(l));
    atomic_store(&l->sleeping, LOOP_IN_BACKEND);
    int64_t next = timers_next(&l->timers), left = next - loop_read_clock(l);
    if (atomic_load(&l->inbox))
        return 0;
    return next == NEVER ? TRINE_NEVER : left > 0 ? left : 0;
}
