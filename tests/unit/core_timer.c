/* core_timer.c - the timer wheel against a sorted list: order, never early, ties, stop, far ones.
 */
#include "core/timer.h"
#include "test.h"

#include "base/list.h"

enum { MOST = 3000 };
#define TICK (INT64_C(1) << TIMER_TICK_SHIFT)

struct probe {
    struct timer timer;
    int64_t due;
    int id;
};

static struct timers wheel;
static struct probe probes[MOST];
static int fired[MOST], fired_count;
static int64_t now;

static void note(struct timer *t) {
    struct probe *p = container_of(t, struct probe, timer);
    CHECK(p->due <= now); /* never early */
    fired[fired_count++] = p->id;
}

static void begin(int64_t at) {
    now = at;
    fired_count = 0;
    timers_init(&wheel, now);
}

static void start(int id, int64_t timeout) {
    struct probe *p = &probes[id];
    timer_init(&p->timer, note);
    p->id = id;
    p->due = now + timeout;
    timer_start(&wheel, &p->timer, timeout);
    timers_settle(&wheel, now);
}

static void advance(int64_t to) {
    now = to;
    timers_advance(&wheel, now);
}

TEST(a_timer_fires_within_a_tick_after_its_deadline_and_not_before) {
    begin(12345678);
    start(0, 1000000);
    advance(12345678 + 999999);
    CHECK_EQ(fired_count, 0);
    advance(12345678 + 1000000 + TICK);
    CHECK_EQ(fired_count, 1);
    CHECK_EQ(timers_next(&wheel), NEVER);
}

TEST(ties_fire_in_order_of_start_also_across_levels) {
    begin(0);
    int64_t due = TICK * 64 * 64 * 5;
    start(0, due);
    advance(due - TICK * 64 * 64 - 5);
    start(1, due - now);
    advance(due - TICK * 70);
    start(2, due - now);
    advance(due - TICK * 2);
    start(3, due - now);
    advance(due + TICK);
    CHECK_EQ(fired_count, 4);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(fired[i], i);
}

TEST(a_stopped_timer_does_not_fire_and_may_start_again) {
    begin(0);
    start(0, TICK * 3);
    start(1, TICK * 3);
    timer_stop(&wheel, &probes[0].timer);
    timer_stop(&wheel, &probes[0].timer);
    start(0, TICK * 9);
    advance(TICK * 5);
    CHECK(fired_count == 1 && fired[0] == 1);
    advance(TICK * 20);
    CHECK(fired_count == 2 && fired[1] == 0);
}

static void restart(struct timer *t) {
    fired_count++;
    timer_start(&wheel, t, 0);
    timers_settle(&wheel, now);
}

TEST(a_callback_that_starts_its_timer_anew_does_not_spin) {
    begin(TICK);
    timer_init(&probes[0].timer, restart);
    timer_start(&wheel, &probes[0].timer, 0);
    timers_settle(&wheel, now);
    advance(now + TICK);
    CHECK(fired_count == 1);
    advance(now + TICK);
    CHECK(fired_count == 2);
}

static uint64_t seed = 88172645463325252u;
static uint64_t random_next(void) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

TEST(random_timers_fire_in_order_of_their_ticks_and_all) {
    for (int round = 0; round < 20; round++) {
        begin((int64_t)(random_next() >> 3));
        int64_t origin = now;
        for (int i = 0; i < MOST; i++)
            start(i, (int64_t)(random_next() >> (20 + random_next() % 40)));
        int stopped = 0;
        for (int i = 0; i < MOST; i += 7, stopped++)
            timer_stop(&wheel, &probes[i].timer);
        int turns = 0;
        for (int64_t next; (next = timers_next(&wheel)) != NEVER; turns++) {
            CHECK(next >= now);
            advance(next);
        }
        CHECK_EQ(fired_count, MOST - stopped);
        for (int i = 1; i < fired_count; i++) {
            uint64_t a = probes[fired[i - 1]].timer.tick, b = probes[fired[i]].timer.tick;
            CHECK(a < b || (a == b && fired[i - 1] < fired[i]));
        }
        CHECK(now >= origin);
    }
}
