/*
 * The machine that is measured on, and how quiet it is.
 */
#ifndef BENCH_MACHINE_H
#define BENCH_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

enum { NOISE_MOST = 16, WARNINGS_MOST = 6 };

struct machine {
    char cpu[128], system[160], python[64]; /* python: its version, "" without */
    char python_path[512];
    unsigned cpus;
    double memory;      /* bytes */
    double load;        /* of the last minute, at the start */
    int64_t tasks_most; /* that may wait at the same time, and what forbids more */
    char tasks_why[128];
    int64_t processes_most; /* workers that the limit of open files allows a pool */
    /* Noise: a loop that always computes the same, timed again and again. */
    double speed[NOISE_MOST];  /* median milliseconds of it, at each look */
    double spread[NOISE_MOST]; /* between its 10th and 90th percentile, as a share of the median */
    int looks;
    double stolen; /* share of the CPU time of the run */
    char warnings[WARNINGS_MOST][160];
    int warning_count;
};

/* Looks at the machine; raises the limit of descriptors as far as is allowed. */
void machine_read(struct machine *m, bool with_python);

/* Times the loop; a fifth of a second. */
void machine_look(struct machine *m);

/* At the end: what was too noisy, in words. */
void machine_judge(struct machine *m);

#endif
