/* multiprocessing_queue_example.c - two worker processes take (value, power) pairs from one queue
 * and put results into another, until each has met an end mark. */
#include "support/support.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <trine/queue.h>

enum { WORKERS = 2, PAIRS = 5 };

struct job {
    int value, power; /* power < 0: the end mark */
    uint64_t result;  /* modulo 2^64 */
};

struct queues {
    trine_queue tasks, results;
};

static int work(struct queues *q) {
    struct job job;
    int status;
    while ((status = trine_queue_get(&q->tasks, &job)) == 0 && job.power >= 0) {
        job.result = 1;
        for (int i = 0; i < job.power; i++)
            job.result *= (uint64_t)job.value;
        if ((status = trine_queue_put(&q->results, &job)) < 0)
            break;
    }
    return status;
}
TRINE_TASK(work, struct queues);

static int by_value(const void *a, const void *b) {
    return ((const struct job *)a)->value - ((const struct job *)b)->value;
}

int main(int argc, char **argv) {
    trine_init(argc, argv);
    struct job jobs[PAIRS];
    int power = argc > 1 ? atoi(argv[1]) : 10; /* or another one */
    struct queues queues, args[WORKERS];
    trine_executor *workers;
    if (trine_queue_open(sizeof(struct job), PAIRS + WORKERS, &queues.tasks) < 0 ||
        trine_queue_open(sizeof(struct job), PAIRS, &queues.results) < 0 ||
        trine_processes_open(&workers, TRINE_OPTS(trine_processes_opts, .workers = WORKERS)) < 0)
        return 1;
    TRINE_SCOPE(scope);
    for (int i = 0; i < WORKERS; i++) {
        args[i] = queues;
        trine_submit(scope, workers, work, &args[i]);
    }
    int status = 0;
    for (int i = 0; i < PAIRS + WORKERS && status == 0; i++)
        status = trine_queue_put(&queues.tasks, &(struct job){2 + i, i < PAIRS ? power : -1, 0});
    if (status == 0)
        status = trine_join(scope);
    for (int i = 0; i < PAIRS && status == 0; i++)
        status = trine_queue_get(&queues.results, &jobs[i]);
    qsort(jobs, PAIRS, sizeof(jobs[0]), by_value);
    for (int i = 0; i < PAIRS && status == 0; i++)
        printf("%d^%d = %" PRIu64 "\n", jobs[i].value, jobs[i].power, jobs[i].result);
    trine_executor_close(&workers);
    trine_queue_free(&queues.tasks);
    trine_queue_free(&queues.results);
    return status < 0;
}
