/* timer.h - timers of one loop: a hierarchical wheel. Starting and stopping are O(1) and allocate
 * nothing; a timer never fires before its deadline and at most one tick (16 us) after it when the
 * loop is idle; timers of one tick fire in the order of their start. */
#ifndef TRINE_CORE_TIMER_H
#define TRINE_CORE_TIMER_H

#include "base/list.h"

#include <stdint.h>

#define NEVER INT64_MAX

struct timer {
    struct list node;
    uint64_t tick; /* when it is due, rounded up */
    void (*fire)(struct timer *);
    uint16_t slot; /* level * 64 + index while it runs */
    bool running;
};

enum { TIMER_TICK_SHIFT = 14, TIMER_SLOT_SHIFT = 6, TIMER_SLOTS = 64, TIMER_LEVELS = 9 };

struct timers {
    uint64_t now; /* the tick up to which all has fired */
    uint64_t occupied[TIMER_LEVELS];
    struct list slots[TIMER_LEVELS][TIMER_SLOTS];
};

void timers_init(struct timers *w, int64_t now);

static inline void timer_init(struct timer *t, void (*fire)(struct timer *)) {
    list_init(&t->node);
    t->fire = fire;
    t->running = false;
}

/* Starts a timer that does not run. It is already stopped when `fire` is called. */
void timer_start(struct timers *w, struct timer *t, int64_t deadline);

/* Stops it; harmless when it does not run. */
void timer_stop(struct timers *w, struct timer *t);

/* Fires all that are due at `now`. Callbacks may start and stop any timer. */
void timers_advance(struct timers *w, int64_t now);

/* A time by which timers_advance has to be called again: at or before the next deadline's tick;
 * NEVER when no timer runs. */
int64_t timers_next(const struct timers *w);

#endif
