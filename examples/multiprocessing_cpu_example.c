/* multiprocessing_cpu_example.c - factorials, one after another and by four processes. GMP takes
 * milliseconds for the list, so it is repeated until that lasts two seconds. */
#include "support/support.h"

#include <gmp.h>
#include <stdio.h>
#include <string.h>

enum { NUMBERS = 8, REPEAT_MOST = 4000 };

struct factorial {
    unsigned long of;
    size_t digits; /* the result */
};

static int compute_factorial(struct factorial *f) {
    mpz_t product;
    mpz_init_set_ui(product, 1);
    for (unsigned long i = 2; i <= f->of; i++)
        mpz_mul_ui(product, product, i);
    f->digits = mpz_sizeinbase(product, 10);
    mpz_clear(product);
    return 0;
}
TRINE_TASK_IO(compute_factorial, struct factorial, digits);

int main(int argc, char **argv) {
    trine_init(argc, argv);
    static struct factorial list[NUMBERS * REPEAT_MOST], again[NUMBERS * REPEAT_MOST];
    int64_t start = trine_now();
    int count = 0;
    while (count < NUMBERS * REPEAT_MOST && (count % NUMBERS || seconds_since(start) < 2)) {
        list[count].of = again[count].of = 5000 + 1000 * (unsigned long)(count % NUMBERS);
        compute_factorial(&list[count++]);
    }
    double sequential = seconds_since(start);
    printf("The list of %d numbers, %d times\n", NUMBERS, count / NUMBERS);
    printf("Sequential: %.2fs\n", sequential);

    trine_executor *processes;
    if (trine_processes_open(&processes, TRINE_OPTS(trine_processes_opts, .workers = 4)) < 0)
        return 1;
    start = trine_now();
    TRINE_SCOPE(scope);
    trine_map(scope, processes, compute_factorial, again, (size_t)count);
    int status = trine_join(scope);
    double parallel = seconds_since(start);
    printf("Multiprocessing (4 processes): %.2fs\n", parallel);
    printf("Speedup: %.2fx\n", sequential / parallel);
    int same = 1;
    for (int i = 0; i < count; i++)
        same = same && list[i].digits == again[i].digits;
    if (status == 0 && same)
        printf("Computed %d factorials\n", NUMBERS);
    trine_executor_close(&processes);
    return status < 0;
}
