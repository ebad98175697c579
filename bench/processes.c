/* processes [--json] [--runs N] [CASE...]: a pool of two worker processes.
 *   processes/noop     64-byte structs, one task each, from one map: k/s
 *   processes/await    one such task at a time, submitted and awaited: us
 *   processes/64k      64 KiB there and back, each byte rewritten by the worker: MB/s each way
 *   processes/1m       1 MiB, likewise
 *   processes/cold     from the call that opens a pool to the first result: ms
 *   processes/speedup  CPU-bound work on one worker a CPU, against one after another: times
 *   processes/speedup_by_hand  the same on bare threads that draw tickets: what is possible */
#include "shuffled.h"

enum { TASKS = 20000, ROUNDS = 2000, SMALL = 64 << 10, LARGE = 1 << 20, VOLUME = 64 << 20 };

struct numbers {
    uint64_t in[4], out[4];
};

static int add_up(struct numbers *n) {
    for (int i = 0; i < 4; i++)
        n->out[i] = n->in[i] + 1;
    return 0;
}
TRINE_TASK_IO(add_up, struct numbers, out);

static double maps(void *pool) {
    static struct numbers args[TASKS];
    for (unsigned i = 0; i < TASKS; i++)
        args[i] = (struct numbers){.in = {i, i, i, i}};
    double start = bench_ns();
    int r = trine_map_all((trine_executor *)pool, add_up, args, TASKS);
    double seconds = (bench_ns() - start) / 1e9;
    for (unsigned i = 0; i < TASKS; i++)
        if (r < 0 || args[i].out[3] != i + 1)
            bench_fail("a task failed", r);
    return TASKS / seconds / 1e3;
}

static double awaits(void *pool) {
    struct numbers arg = {.in = {1, 2, 3, 4}};
    TRINE_SCOPE(s);
    double start = bench_ns();
    for (int i = 0; i < ROUNDS; i++) {
        trine_future *f = trine_start(s, pool, add_up, &arg);
        int status = -1;
        if (trine_await(f, &status) < 0 || status < 0)
            bench_fail("a task failed", status);
        trine_future_drop(f);
    }
    return (bench_ns() - start) / ROUNDS / 1e3;
}

struct small {
    uint8_t bytes[SMALL];
};

struct large {
    uint8_t bytes[LARGE];
};

static void rewrite(uint8_t *bytes, size_t n) {
    for (size_t i = 0; i < n; i++)
        bytes[i] ^= 0x5a;
}

static int rewrite_small(struct small *s) {
    rewrite(s->bytes, sizeof(s->bytes));
    return 0;
}
TRINE_TASK(rewrite_small, struct small);

static int rewrite_large(struct large *l) {
    rewrite(l->bytes, sizeof(l->bytes));
    return 0;
}
TRINE_TASK(rewrite_large, struct large);

static uint8_t volume[VOLUME];

/* `t` has the size of one piece. */
static double transfer(trine_executor *pool, const trine_task *t) {
    memset(volume, 1, sizeof(volume));
    double start = bench_ns();
    int r = trine_map_all_task(pool, t, volume, VOLUME / t->size, TRINE_HERE_);
    double seconds = (bench_ns() - start) / 1e9;
    for (size_t i = 0; i < VOLUME; i++)
        if (r < 0 || volume[i] != (1 ^ 0x5a))
            bench_fail("a task failed", r);
    return VOLUME / seconds / 1e6;
}

static double transfer_small(void *pool) {
    return transfer(pool, &rewrite_small_task);
}

static double transfer_large(void *pool) {
    return transfer(pool, &rewrite_large_task);
}

static trine_executor *open_pool(unsigned workers) {
    trine_executor *pool;
    int r = trine_processes_open(&pool, TRINE_OPTS(trine_processes_opts, .workers = workers));
    if (r < 0)
        bench_fail("trine_processes_open", r);
    return pool;
}

static double cold(void *unused) {
    struct numbers arg = {.in = {1, 2, 3, 4}};
    (void)unused;
    double start = bench_ns();
    trine_executor *pool = open_pool(2);
    int r = trine_map_all(pool, add_up, &arg, 1);
    double ms = (bench_ns() - start) / 1e6;
    if (r < 0 || arg.out[3] != 5)
        bench_fail("the first task failed", r);
    trine_executor_close(&pool);
    return ms;
}

int main(int argc, char **argv) {
    trine_init(argc, argv);
    struct bench b = bench_begin("processes", argc, argv);
    bench_case(&b, "processes/cold", "ms", cold, NULL);
    trine_executor *pool = open_pool(2), *cpus = open_pool(trine_usable_cpus());
    bench_case(&b, "processes/noop", "k/s", maps, pool);
    bench_case(&b, "processes/await", "us", awaits, pool);
    bench_case(&b, "processes/64k", "MB/s", transfer_small, pool);
    bench_case(&b, "processes/1m", "MB/s", transfer_large, pool);
    shuffled_case(&b, "processes/speedup", "processes/speedup_by_hand", cpus);
    trine_executor_close(&pool);
    trine_executor_close(&cpus);
    return bench_end(&b);
}
