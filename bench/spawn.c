/* spawn [--json] [--runs N] [CASE...]: the time to start a coroutine that does nothing but count,
 * and to learn that it is done; its guarded stack comes from the cache.
 *   spawn/one         trine_spawn and trine_join, one at a time
 *   spawn/one_start   trine_start, trine_await and trine_future_drop, one at a time
 *   spawn/batch_1000  a thousand trine_spawn, one trine_join */
#include <trine.h>

#include "bench.h"

enum { SPAWNS = 500000, BATCH = 1000 };

struct counter {
    long count;
};

static int count_one(struct counter *c) {
    c->count++;
    return 0;
}
TRINE_TASK(count_one, struct counter);

static int spawn_one(struct counter *c) {
    TRINE_SCOPE(s);
    for (int i = 0; i < SPAWNS; i++) {
        trine_spawn(s, count_one, c);
        int r = trine_join(s);
        if (r < 0)
            return r;
    }
    return 0;
}
TRINE_TASK(spawn_one, struct counter);

static int start_one(struct counter *c) {
    TRINE_SCOPE(s);
    for (int i = 0; i < SPAWNS; i++) {
        int status;
        trine_future *f = trine_start(s, NULL, count_one, c);
        int r = trine_await(f, &status);
        if (r < 0 || status < 0)
            return r < 0 ? r : status;
        trine_future_drop(f);
    }
    return 0;
}
TRINE_TASK(start_one, struct counter);

static int spawn_batches(struct counter *c) {
    TRINE_SCOPE(s);
    for (int i = 0; i < SPAWNS / BATCH; i++) {
        for (int k = 0; k < BATCH; k++)
            trine_spawn(s, count_one, c);
        int r = trine_join(s);
        if (r < 0)
            return r;
    }
    return 0;
}
TRINE_TASK(spawn_batches, struct counter);

static double spawns(void *task) {
    struct counter c = {0};
    double start = bench_ns();
    int r = trine_run_task(task, &c, NULL);
    double ns = (bench_ns() - start) / SPAWNS;
    if (r < 0 || c.count != SPAWNS)
        bench_fail("not every task ran", c.count);
    return ns;
}

int main(int argc, char **argv) {
    struct bench b = bench_begin("spawn", argc, argv);
    bench_case(&b, "spawn/one", "ns", spawns, (void *)&spawn_one_task);
    bench_case(&b, "spawn/one_start", "ns", spawns, (void *)&start_one_task);
    bench_case(&b, "spawn/batch_1000", "ns", spawns, (void *)&spawn_batches_task);
    return bench_end(&b);
}
