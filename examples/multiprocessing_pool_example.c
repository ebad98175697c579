/* multiprocessing_pool_example.c - counts primes by trial division in a pool of four workers. */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>

struct primes {
    int up_to, count;
};

static int is_prime(int n) {
    for (int d = 2; d * d <= n; d++)
        if (n % d == 0)
            return 0;
    return n > 1;
}

static int count_primes(struct primes *p) {
    p->count = 0;
    for (int n = 2; n < p->up_to; n++)
        p->count += is_prime(n);
    return 0;
}
TRINE_TASK_IO(count_primes, struct primes, count);

int main(int argc, char **argv) {
    trine_init(argc, argv);
    struct primes limits[URLS_MOST] = {{10000, 0}, {20000, 0}, {30000, 0}, {40000, 0}, {50000, 0}};
    int count = argc > 1 ? argc - 1 : 5; /* or the limits given */
    for (int i = 0; i < count && argc > 1; i++)
        limits[i].up_to = atoi(argv[i + 1]);
    int64_t start = trine_now();
    trine_executor *processes;
    if (trine_processes_open(&processes, TRINE_OPTS(trine_processes_opts, .workers = 4)) < 0)
        return 1;
    int status = trine_map_all(processes, count_primes, limits, (size_t)count);
    for (int i = 0; i < count; i++)
        printf("Primes up to %d: %d\n", limits[i].up_to, limits[i].count);
    printf("Completed in %.2fs\n", seconds_since(start));
    trine_executor_close(&processes);
    return status < 0;
}
