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
    double ms = (bench_ns() - start) / 1e6;
    for (int i = 1; i < ITEMS; i++)
        if (values[i] != values[0])
            bench_fail("a wrong value of item", i);
    return ms;
}

static void run_all(struct shuffled *list, void *unused) {
    (void)unused;
#pragma omp parallel for schedule(dynamic, 1)
    for (int i = 0; i < SHUFFLED; i++)
        shuffled_run(&list[i]);
}

static double speedups(void *unused) {
    return shuffled_compare(run_all, unused);
}

int main(int argc, char **argv) {
    struct bench b = bench_begin("threads", argc, argv);
    b.peer = "openmp";
    bench_case(&b, "threads/for", "ms", loops, NULL);
    bench_case(&b, "threads/speedup", "x", speedups, NULL);
    return bench_end(&b);
}
