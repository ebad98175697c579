/* benchmark_cpu.c - sixteen factorials, repeated until they last two seconds: one after another, by
 * four threads, by four processes. In Python threads gain nothing here; C has no GIL, so they do.
 */
#include "support/factorial.h"
#include "support/support.h"

#include <stdio.h>
#include <string.h>

enum { NUMBERS = 16, REPEAT_MOST = 20000 };

static struct factorial list[NUMBERS * REPEAT_MOST], again[NUMBERS * REPEAT_MOST];

static void measure(const char *name, trine_executor *on, size_t count, double sequential) {
    for (size_t i = 0; i < count; i++)
        again[i] = (struct factorial){.of = list[i].of};
    int64_t start = trine_now();
    int status = trine_map_all(on, compute_factorial, again, count);
    double seconds = seconds_since(start);
    bool right = status == 0 && memcmp(list, again, sizeof(list)) == 0;
    printf("%s %.2fs%s\n", name, seconds, right ? "" : " (wrong)");
    printf("Speedup: %.2fx\n", sequential / seconds);
}

int main(int argc, char **argv) {
    trine_init(argc, argv);
    trine_executor *threads, *processes;
    if (trine_threads_open(&threads, TRINE_OPTS(trine_threads_opts, .workers = 4)) < 0 ||
        trine_processes_open(&processes, TRINE_OPTS(trine_processes_opts, .workers = 4)) < 0)
        return 1;
    size_t count = 0;
    int64_t start = trine_now();
    while (count < NUMBERS * REPEAT_MOST && (count % NUMBERS || seconds_since(start) < 2)) {
        list[count].of = 5000 + 500 * (count % NUMBERS);
        compute_factorial(&list[count++]);
    }
    double sequential = seconds_since(start);
    printf("The list of %d numbers, %zu times\n", NUMBERS, count / NUMBERS);
    printf("Sequential: %.2fs\n", sequential);
    measure("Threads (4):", threads, count, sequential);
    measure("Processes (4):", processes, count, sequential);
    printf("In Python, threads would gain nothing here; C has no GIL.\n");
    trine_executor_close(&threads);
    trine_executor_close(&processes);
    return 0;
}
