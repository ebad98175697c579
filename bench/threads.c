/* threads [--json] [--runs N] [CASE...]: a thread pool of two workers.
 *   threads/submit    no-op tasks, a million of them, submitted from one thread and joined: M/s
 *   threads/map       the same by one trine_map_all, which makes chunks of them
 *   threads/await     one no-op task at a time, submitted and awaited; all park in between: us
 *   threads/spin      the same with a brief spin on both sides: us
 *   threads/help      the same from a plain thread that runs the task itself while it waits: us
 *   threads/for       10 million small items by trine_parallel_for: ms
 *   threads/speedup   CPU-bound work on one worker a CPU, against one after another: times
 *   threads/speedup_by_hand  the same on bare threads that draw tickets: what is possible */
#include "shuffled.h"

#include <trine/parallel.h>

enum { SUBMITS = 1000000, ROUNDS = 20000 };

struct nop {
    int unused;
};

static int nop(struct nop *n) {
    (void)n;
    return 0;
}
TRINE_TASK(nop, struct nop);

static double submits(void *pool) {
    static struct nop args[SUBMITS];
    TRINE_SCOPE(s);
    double start = bench_ns();
    for (int i = 0; i < SUBMITS; i++)
        if (trine_submit(s, pool, nop, &args[i]) < 0)
            break; /* it reaches join */
    int r = trine_join(s);
    double ns = bench_ns() - start;
    if (r < 0)
        bench_fail("the tasks failed", r);
    return SUBMITS / ns * 1e3;
}

static double maps(void *pool) {
    static struct nop args[SUBMITS];
    double start = bench_ns();
    int r = trine_map_all((trine_executor *)pool, nop, args, SUBMITS);
    if (r < 0)
        bench_fail("the tasks failed", r);
    return SUBMITS / (bench_ns() - start) * 1e3;
}

static double awaits(void *pool) {
    struct nop arg = {0};
    TRINE_SCOPE(s);
    double start = bench_ns();
    for (int i = 0; i < ROUNDS; i++) {
        trine_future *f = trine_start(s, pool, nop, &arg);
        int status = -1;
        if (trine_await(f, &status) < 0 || status < 0)
            bench_fail("a task failed", status);
        trine_future_drop(f);
    }
    return (bench_ns() - start) / ROUNDS / 1e3;
}

struct spin {
    trine_executor *pool;
    double value;
};

static int await_in_loop(struct spin *s) {
    s->value = awaits(s->pool);
    return 0;
}
TRINE_TASK(await_in_loop, struct spin);

static double spins(void *pool) {
    struct spin s = {.pool = pool};
    const trine_run_opts opts = {.size = sizeof(opts), .spin = TRINE_US(100)};
    int r = trine_run_task(&await_in_loop_task, &s, &opts);
    if (r < 0)
        bench_fail("trine_run", r);
    return s.value;
}

enum { ITEMS = 10000000 };

static double values[ITEMS];

static int scale(size_t from, size_t to, void *arg) {
    (void)arg;
    for (size_t i = from; i < to; i++)
        values[i] = values[i] * 1.5 + 1;
    return 0;
}

static double loops(void *pool) {
    double start = bench_ns();
    int r = trine_parallel_for((trine_executor *)pool, 0, ITEMS, 0, scale, NULL);
    if (r < 0)
        bench_fail("trine_parallel_for", r);
    double ms = (bench_ns() - start) / 1e6;
    for (int i = 1; i < ITEMS; i++)
        if (values[i] != values[0])
            bench_fail("a wrong value of item", i);
    return ms;
}

static void with_pool(struct bench *b, const char *name, const char *unit, trine_threads_opts opts,
                      double (*run)(void *)) {
    trine_executor *pool;
    if (!bench_chosen(b, name))
        return;
    opts.size = sizeof(opts);
    int r = trine_threads_open(&pool, &opts);
    if (r < 0)
        bench_fail("trine_threads_open", r);
    bench_case(b, name, unit, run, pool);
    trine_executor_close(&pool);
}

static void speedup(struct bench *b, trine_threads_opts opts) {
    trine_executor *pool;
    opts.size = sizeof(opts);
    int r = trine_threads_open(&pool, &opts);
    if (r < 0)
        bench_fail("trine_threads_open", r);
    shuffled_case(b, "threads/speedup", "threads/speedup_by_hand", pool);
    trine_executor_close(&pool);
}

int main(int argc, char **argv) {
    struct bench b = bench_begin("threads", argc, argv);
    trine_threads_opts two = {.workers = 2}, parked = {.workers = 2, .spin = -1};
    trine_threads_opts spinning = {.workers = 1, .spin = TRINE_US(100)};
    trine_threads_opts helped = {.workers = 2, .help = true};
    trine_threads_opts cpus = {.workers = trine_usable_cpus()};
    with_pool(&b, "threads/submit", "M/s", two, submits);
    with_pool(&b, "threads/map", "M/s", two, maps);
    with_pool(&b, "threads/await", "us", parked, awaits);
    with_pool(&b, "threads/spin", "us", spinning, spins);
    with_pool(&b, "threads/help", "us", helped, awaits);
    with_pool(&b, "threads/for", "ms", cpus, loops);
    speedup(&b, cpus);
    return bench_end(&b);
}
