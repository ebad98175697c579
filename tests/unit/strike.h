/* strike.h - for the storms in which workers are killed. */
#ifndef TESTS_STRIKE_H
#define TESTS_STRIKE_H

#include "processes_help.h"

/* The children of the zygote as the kernel lists them. */
static inline size_t list_workers(pid_t zygote, pid_t *ret_pids, size_t n) {
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)zygote, (int)zygote);
    FILE *file = fopen(path, "re");
    size_t count = 0;
    while (file && count < n && fscanf(file, "%d", &ret_pids[count]) == 1)
        count++;
    if (file)
        fclose(file);
    return count;
}

/* Kills so many of `workers` that work, each at any moment; some are stopped before. */
static inline void strike(unsigned kills, size_t workers) {
    pid_t zygote = find_zygote(), pids[16];
    unsigned seed = 7;
    for (unsigned i = 0; i < kills;) {
        usleep((useconds_t)rand_r(&seed) % 8000);
        size_t n = list_workers(zygote, pids, 16);
        if (n < workers)
            continue; /* let them come to work */
        pid_t victim = pids[(size_t)rand_r(&seed) % n];
        if (rand_r(&seed) % 16 == 0) {
            kill(victim, SIGSTOP);
            usleep((useconds_t)rand_r(&seed) % 500);
            kill(victim, SIGCONT);
        }
        i += kill(victim, SIGKILL) == 0;
    }
}

#endif
