/* strike.h - for the storms in which workers are killed. */
#ifndef TESTS_STRIKE_H
#define TESTS_STRIKE_H

#include "processes_help.h"

#include <stdatomic.h>

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

enum { PAUSE_SHORT_US = 8000, PAUSE_LONG_US = 2000000 };

/* So long is the longest pause before a kill. It grows while kills end no task, because workers are
 * killed before they have begun one, as they are on a slow machine. */
static inline useconds_t longest_pause(useconds_t now, unsigned in_vain) {
    enum { IN_VAIN_MOST = 2 };
    if (in_vain == 0)
        return now / 2 > PAUSE_SHORT_US ? now / 2 : PAUSE_SHORT_US;
    return in_vain % IN_VAIN_MOST || now >= PAUSE_LONG_US ? now : now * 2;
}

/* Kills so many of `workers` that work, each at any moment, and further ones until it is enough;
 * some are stopped before. `died` counts the tasks that died of it. Gives how many it killed. */
static inline unsigned strike(unsigned kills, size_t workers, atomic_uint *died,
                              bool (*is_enough)(void)) {
    pid_t zygote = find_zygote(), pids[16];
    unsigned seed = 7, done = 0, in_vain = 0, before = 0;
    useconds_t pause = PAUSE_SHORT_US;
    while (done < kills || !is_enough()) {
        usleep((useconds_t)rand_r(&seed) % pause);
        size_t n = list_workers(zygote, pids, 16);
        if (n < workers)
            continue; /* let them come to work */
        pid_t victim = pids[(size_t)rand_r(&seed) % n];
        if (rand_r(&seed) % 16 == 0) {
            kill(victim, SIGSTOP);
            usleep((useconds_t)rand_r(&seed) % 500);
            kill(victim, SIGCONT);
        }
        if (kill(victim, SIGKILL) < 0)
            continue;
        done++;
        in_vain = atomic_load(died) == before ? in_vain + 1 : 0;
        before = atomic_load(died);
        pause = longest_pause(pause, in_vain);
    }
    return done;
}

#endif
