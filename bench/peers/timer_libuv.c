/* uv_timer_start and uv_timer_stop. Links -luv. */
#include <uv.h>

#include "../bench.h"

enum { TIMERS = 1000000, SINGLES = 5000000 };

static uv_timer_t all[TIMERS];
static long fired;

static void fire(uv_timer_t *t) {
    (void)t;
    fired++;
}

static double create_then_cancel(void *arg) {
    uv_timer_t *t = &all[0];
    (void)arg;
    uv_timer_init(uv_default_loop(), t);
    double start = bench_ns();
    for (uint64_t i = 0; i < SINGLES; i++) {
        uv_timer_start(t, fire, 30000 + i % 60000, 0);
        uv_timer_stop(t);
    }
    return (bench_ns() - start) / SINGLES;
}

static double million(void *want_cancel) {
    uint64_t x = 2463534242;
    for (int i = 0; i < TIMERS; i++)
        uv_timer_init(uv_default_loop(), &all[i]);
    double start = bench_ns();
    for (int i = 0; i < TIMERS; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        uv_timer_start(&all[i], fire, 30000 + x % 60000, 0);
    }
    double created = bench_ns();
    for (int i = 0; i < TIMERS; i++)
        uv_timer_stop(&all[i]);
    double stopped = bench_ns();
    if (fired)
        bench_fail("timers fired", fired);
    return (want_cancel ? stopped - created : created - start) / TIMERS;
}

int main(int argc, char **argv) {
    struct bench b = bench_begin("timer", argc, argv);
    b.peer = "libuv";
    bench_case(&b, "timer/create_then_cancel", "ns", create_then_cancel, NULL);
    bench_case(&b, "timer/1m_create", "ns", million, NULL);
    bench_case(&b, "timer/1m_cancel", "ns", million, &fired);
    return bench_end(&b);
}
