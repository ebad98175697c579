/* clock.h - CLOCK_MONOTONIC in nanoseconds. Only backends and threads without one read it. */
#ifndef TRINE_BASE_CLOCK_H
#define TRINE_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t clock_monotonic(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The time left until `deadline`, at least 0. */
static inline struct timespec clock_left(int64_t deadline, int64_t now) {
    int64_t ns = deadline > now ? deadline - now : 0;
    return (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
}

#endif
