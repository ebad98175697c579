/* sleep.c - the clock and sleeping. */
#include <trine.h>

#include "base/clock.h"
#include "core/loop.h"

struct sleeper {
    struct timer timer;
    struct strand *strand;
};

static void slept(struct timer *t) {
    strand_unpark(container_of(t, struct sleeper, timer)->strand, 0);
}

static void stop_sleep(struct strand *s, int reason) {
    struct sleeper *sleeper = s->wait_arg;
    loop_timer_stop(s->loop, &sleeper->timer);
    strand_unpark(s, reason);
}

static const struct wait_kind sleeping = {.name = "sleep", .abort = stop_sleep};

int trine_sleep(int64_t ns) {
    struct strand *self;
    int r = strand_enter(&self);
    if (r < 0 || ns <= 0)
        return r;
    struct sleeper sleeper = {.strand = self};
    timer_init(&sleeper.timer, slept);
    loop_timer_start(self->loop, &sleeper.timer, ns);
    return strand_park(self, &sleeping, &sleeper);
}

int64_t trine_now(void) {
    return loop_read_clock(loop_here());
}
