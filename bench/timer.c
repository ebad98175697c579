/* timer [--json] [--runs N] [CASE...]: the loop's timers themselves, as libuv's uv_timer and Go's
 * time.AfterFunc are measured; futures of time are measured by `after`.
 *   timer/create_then_cancel  one timer, started and stopped at once, with a new timeout each time
 *   timer/1m_create           a million timers of 30 to 90 s, until each stands in the wheel
 *   timer/1m_cancel           the same million stopped, in the order of creation
 *   timer/1m_cancel_random    the same in random order
 * The wheel must be empty at the end, and none may have fired. */
#include "core/timer.h"

#include "bench.h"

enum { TIMERS = 1000000, SINGLES = 5000000 };

static long fired;
static struct timers wheel;
static struct timer *all[TIMERS];
static double create_ns, cancel_ns;

static void fire(struct timer *t) {
    (void)t;
    fired++;
}

static uint64_t next_random(uint64_t *x) {
    *x ^= *x << 13;
    *x ^= *x >> 7;
    return *x ^= *x << 17;
}

static int64_t timeout(uint64_t *x) {
    return 30000000000 + (int64_t)(next_random(x) % 60000000000);
}

static double create_then_cancel(void *arg) {
    static struct timer t;
    (void)arg;
    timers_init(&wheel, 1000000000);
    timer_init(&t, fire);
    double start = bench_ns();
    for (int64_t i = 0; i < SINGLES; i++) {
        timer_start(&wheel, &t, 30000000000 + i);
        timer_stop(&wheel, &t);
    }
    double ns = (bench_ns() - start) / SINGLES;
    if (timers_fresh(&wheel) || timers_next(&wheel) != NEVER)
        bench_fail("the wheel is not empty", 0);
    return ns;
}

static void shuffle(void) {
    uint64_t x = 88172645463325252;
    for (size_t i = TIMERS - 1; i > 0; i--) {
        size_t k = next_random(&x) % (i + 1);
        struct timer *t = all[i];
        all[i] = all[k];
        all[k] = t;
    }
}

static void million(bool in_random_order) {
    static struct timer memory[TIMERS];
    uint64_t x = 2463534242;
    for (int i = 0; i < TIMERS; i++) {
        all[i] = &memory[i];
        timer_init(all[i], fire);
    }
    timers_init(&wheel, 1000000000);
    double start = bench_ns();
    for (int i = 0; i < TIMERS; i++)
        timer_start(&wheel, all[i], timeout(&x));
    timers_settle(&wheel, 1000000000);
    create_ns = (bench_ns() - start) / TIMERS;
    if (timers_next(&wheel) == NEVER)
        bench_fail("the wheel is empty", 0);
    if (in_random_order)
        shuffle();
    start = bench_ns();
    for (int i = 0; i < TIMERS; i++)
        timer_stop(&wheel, all[i]);
    cancel_ns = (bench_ns() - start) / TIMERS;
    if (timers_next(&wheel) != NEVER || fired)
        bench_fail("timers fired", fired);
}

static double create_million(void *arg) {
    (void)arg;
    million(false);
    return create_ns;
}

static double cancel_million(void *in_random_order) {
    million(in_random_order != NULL);
    return cancel_ns;
}

int main(int argc, char **argv) {
    struct bench b = bench_begin("timer", argc, argv);
    bench_case(&b, "timer/create_then_cancel", "ns", create_then_cancel, NULL);
    bench_case(&b, "timer/1m_create", "ns", create_million, NULL);
    bench_case(&b, "timer/1m_cancel", "ns", cancel_million, NULL);
    bench_case(&b, "timer/1m_cancel_random", "ns", cancel_million, &wheel);
    return bench_end(&b);
}
