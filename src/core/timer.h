/* timer.h - timers of one loop: a hierarchical wheel. Starting and stopping are O(1), allocate
 * nothing and read no clock: a timeout begins to count when the loop's turn settles it, with the
 * one clock reading of the turn. So a timer never fires early, however long its starter computes
 * before it waits, and at most one tick (16 us) late when the loop is idle. Timers of one tick fire
 * in the order of their start. */
#ifndef TRINE_CORE_TIMER_H
#define TRINE_CORE_TIMER_H

#include "base/list.h"
#include "base/panic.h"

#include <stdint.h>

#define NEVER INT64_MAX

struct timer {
    struct list node;
    uint64_t tick; /* when it is due, rounded up; until it is settled, its timeout in ns */
    void (*fire)(struct timer *);
    uint16_t slot; /* level * 64 + index, or TIMER_UNSETTLED */
    bool running;
};

enum {
    TIMER_TICK_SHIFT = 14,
    TIMER_SLOT_SHIFT = 6,
    TIMER_SLOTS = 64,
    TIMER_LEVELS = 9,
    TIMER_UNSETTLED = 0xffff
};

struct timers {
    uint64_t now;      /* the tick up to which all has fired */
    struct list fresh; /* started in this turn, not settled yet */
    uint64_t occupied[TIMER_LEVELS];
    struct list slots[TIMER_LEVELS][TIMER_SLOTS];
};

void timers_init(struct timers *w, int64_t now);

static inline void timer_init(struct timer *t, void (*fire)(struct timer *)) {
    t->fire = fire;
    t->running = false;
}

/* Starts a timer that does not run; it counts from the next timers_settle. It is already stopped
 * when `fire` is called. */
static inline void timer_start(struct timers *w, struct timer *t, int64_t timeout) {
    REQUIRE(!t->running, "a timer that runs was started again");
    t->tick = timeout > 0 ? (uint64_t)timeout : 0;
    t->slot = TIMER_UNSETTLED;
    t->running = true;
    list_push(&w->fresh, &t->node);
}

/* Stops it; harmless when it does not run. */
static inline void timer_stop(struct timers *w, struct timer *t) {
    if (!t->running)
        return;
    t->running = false;
    list_unlink(&t->node);
    if (t->slot == TIMER_UNSETTLED)
        return;
    unsigned level = t->slot / TIMER_SLOTS, index = t->slot % TIMER_SLOTS;
    if (list_empty(&w->slots[level][index]))
        w->occupied[level] &= ~(UINT64_C(1) << index);
}

/* When it is due, rounded up to a tick, `now` being the time; NEVER when it does not run. */
static inline int64_t timer_due(const struct timer *t, int64_t now) {
    if (!t->running)
        return NEVER;
    return t->slot == TIMER_UNSETTLED ? now + (int64_t)t->tick
                                      : (int64_t)(t->tick << TIMER_TICK_SHIFT);
}

/* True when timers wait to be settled, which wants a clock reading. */
static inline bool timers_fresh(const struct timers *w) {
    return !list_empty(&w->fresh);
}

/* The timers started since the last call count from `now`. */
void timers_settle(struct timers *w, int64_t now);

/* Fires all that are due at `now`. Callbacks may start and stop any timer. */
void timers_advance(struct timers *w, int64_t now);

/* A time by which timers_advance has to be called again: at or before the next deadline's tick;
 * NEVER when no timer runs. None may be fresh. */
int64_t timers_next(const struct timers *w);

#endif
