/* asyncio_basic_example.c - three coroutines wait at the same time; the results are in the order in
 * which the tasks were given, not in which they finished. */
#include "support/support.h"

#include <stdio.h>

struct wait {
    int number, seconds;
    char result[32];
};

static int wait_a_while(struct wait *w) {
    printf("Task %d started\n", w->number);
    int status = trine_sleep(TRINE_SEC(w->seconds));
    printf("Task %d finished after %ds\n", w->number, w->seconds);
    snprintf(w->result, sizeof(w->result), "Result %d", w->number);
    return status;
}
TRINE_TASK(wait_a_while, struct wait);

static int run_all(struct wait *waits) {
    TRINE_SCOPE(scope);
    trine_map(scope, NULL, wait_a_while, waits, 3);
    return trine_join(scope);
}
TRINE_TASK(run_all, struct wait);

int main(void) {
    struct wait waits[3] = {{1, 2, ""}, {2, 3, ""}, {3, 1, ""}};
    int64_t start = trine_now();
    int status = trine_run(run_all, waits);
    printf("All tasks completed in %.2fs\n", seconds_since(start));
    printf("Results: %s, %s, %s\n", waits[0].result, waits[1].result, waits[2].result);
    return status < 0;
}
