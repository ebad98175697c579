/* multiprocessing_cpu_example.c - factorials, one after another and by four processes. GMP takes
 * milliseconds for the list, so it is repeated until that lasts two seconds. */
#include "support/factorial.h"
#include "support/support.h"

#include <stdio.h>
#include <string.h>

enum { NUMBERS = 8, REPEAT_MOST = 20000 };

static struct factorial list[NUMBERS * REPEAT_MOST], again[NUMBERS * REPEAT_MOST];

int main(int argc, char **argv) {
    trine_init(argc, argv);
    size_t count = 0;
    int64_t start = trine_now();
    while (count < NUMBERS * REPEAT_MOST && (count % NUMBERS || seconds_since(start) < 2)) {
        list[count].of = again[count].of = 5000 + 1000 * (count % NUMBERS);
        compute_factorial(&list[count++]);
    }
    double sequential = seconds_since(start);
    printf("The list of %d numbers, %zu times\n", NUMBERS, count / NUMBERS);
    printf("Sequential: %.2fs\n", sequential);

    trine_executor *processes;
    if (trine_processes_open(&processes, TRINE_OPTS(trine_processes_opts, .workers = 4)) < 0)
        return 1;
    start = trine_now();
    int status = trine_map_all(processes, compute_factorial, again, count);
    double parallel = seconds_since(start);
    printf("Multiprocessing (4 processes): %.2fs\n", parallel);
    printf("Speedup: %.2fx\n", sequential / parallel);
    if (status == 0 && memcmp(list, again, sizeof(list)) == 0)
        printf("Computed %d factorials\n", NUMBERS);
    trine_executor_close(&processes);
    return status < 0;
}
