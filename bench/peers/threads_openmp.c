/* OpenMP: a loop over 10 million small items, static; 200 shuffled CPU-bound tasks, dynamic. */
#include "../bench.h"

#include <gmp.h>

#define SHUFFLED_PEER
#include "../shuffled.h"

enum { ITEMS = 10000000 };

static double values[ITEMS];

static double loops(void *unused) {
    (void)unused;
    double start = bench_ns();
#pragma omp parallel for schedule(static)
    for (int i = 0; i < ITEMS; i++)
        values[i] = values[i] * 1.5 + 1;
    return (bench_ns() - start) / 1e6;
}

static double speedups(void *unused) {
    static struct shuffled alone[SHUFFLED], together[SHUFFLED];
    (void)unused;
    shuffled_fill(alone);
    shuffled_fill(together);
    double start = bench_ns();
    for (int i = 0; i < SHUFFLED; i++)
        shuffled_run(&alone[i]);
    double middle = bench_ns();
#pragma omp parallel for schedule(dynamic, 1)
    for (int i = 0; i < SHUFFLED; i++)
        shuffled_run(&together[i]);
    double end = bench_ns();
    for (int i = 0; i < SHUFFLED; i++)
        if (alone[i].result != together[i].result)
            bench_fail("a wrong result of task", i);
    return (middle - start) / (end - middle);
}

int main(int argc, char **argv) {
    struct bench b = bench_begin("threads", argc, argv);
    b.peer = "openmp";
    bench_case(&b, "threads/for", "ms", loops, NULL);
    bench_case(&b, "threads/speedup", "x", speedups, NULL);
    return bench_end(&b);
}
