/* benchmark_cpu.c - sixteen factorials, repeated until they last two seconds: one after another, by
 * four threads, by four processes. In Python threads gain nothing here; C has no GIL, so they do.
 */
#include "support/support.h"

#include <gmp.h>
#include <stdio.h>

enum { NUMBERS = 16, REPEAT_MOST = 4000 };

struct factorial {
    unsigned of;
    size_t digits;
};

static int compute_factorial(struct factorial *f) {
    mpz_t product;
    mpz_init_set_ui(product, 1);
    for (unsigned i = 2; i <= f->of; i++)
        mpz_mul_ui(product, product, i);
    f->digits = mpz_sizeinbase(product, 10);
    mpz_clear(product);
    return 0;
}
TRINE_TASK_IO(compute_factorial, struct factorial, digits);

static struct factorial list[NUMBERS * REPEAT_MOST];

static void measure(const char *name, trine_executor *on, size_t count, double sequential) {
    size_t digits = 0, again = 0;
    for (size_t i = 0; i < count; i++)
        digits += list[i].digits;
    int64_t start = trine_now();
    TRINE_SCOPE(scope);
    trine_map(scope, on, compute_factorial, list, count);
    int status = trine_join(scope);
    double seconds = seconds_since(start);
    for (size_t i = 0; i < count; i++)
        again += list[i].digits;
    printf("%s %.2fs%s\n", name, seconds, status < 0 || digits != again ? " (wrong)" : "");
    printf("Speedup: %.2fx\n", sequential / seconds);
}

int main(int argc, char **argv) {
    trine_init(argc, argv);
    trine_executor *threads, *processes;
    if (trine_threads_open(&threads, TRINE_OPTS(trine_threads_opts, .workers = 4)) < 0 ||
        trine_processes_open(&processes, TRINE_OPTS(trine_processes_opts, .workers = 4)) < 0)
        return 1;
    int64_t start = trine_now();
    size_t count = 0;
    while (count < NUMBERS * REPEAT_MOST && (count % NUMBERS || seconds_since(start) < 2)) {
        list[count].of = 5000 + 500 * (unsigned)(count % NUMBERS);
        compute_factorial(&list[count++]);
    }
    double sequential = seconds_since(start);
    printf("The list of %d numbers, %zu times\nSequential: %.2fs\n", NUMBERS, count / NUMBERS,
           sequential);
    measure("Threads (4):", threads, count, sequential);
    measure("Processes (4):", processes, count, sequential);
    printf("In Python, threads would gain nothing here; C has no GIL.\n");
    trine_executor_close(&threads);
    trine_executor_close(&processes);
    return 0;
}
