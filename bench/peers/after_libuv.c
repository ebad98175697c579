/* A million uv_timer_t on the heap, each for 2 s; one run a process. Links -luv. */
#include <uv.h>

#include "../bench.h"

enum { TIMERS = 1000000, SECONDS = 2 };

static long fired;

static void fire(uv_timer_t *t) {
    free(t);
    fired++;
}

int main(int argc, char **argv) {
    struct bench b = bench_begin("after", argc, argv);
    uv_loop_t *loop = uv_default_loop();
    b.peer = "libuv";
    double before = bench_memory(), start = bench_ns();
    for (int i = 0; i < TIMERS; i++) {
        uv_timer_t *t = malloc(sizeof(*t));
        if (!t)
            bench_fail("memory", i);
        uv_timer_init(loop, t);
        if (i % 4096 == 0)
            uv_update_time(loop);
        uv_timer_start(t, fire, SECONDS * 1000, 0);
    }
    double bytes = (bench_memory() - before) / TIMERS;
    uv_run(loop, UV_RUN_DEFAULT);
    double over = (bench_ns() - start) * 1e-9 - SECONDS;
    if (fired != TIMERS)
        bench_fail("not all fired", fired);
    bench_print(&b, "after/1m/bytes_per_future", "B", &bytes, 1);
    bench_print(&b, "after/1m/time_over", "s", &over, 1);
    return 0;
}
