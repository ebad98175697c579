/* futex.h - sleep until a word changes: futex(2). */
#ifndef TRINE_BASE_FUTEX_H
#define TRINE_BASE_FUTEX_H

#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Private to the process.
 * Sleeps while *word == expected, until woken, a signal, or the absolute CLOCK_MONOTONIC deadline
 * (INT64_MAX: none). Why it woke is for the caller to find out. */
static inline void futex_wait(atomic_uint *word, unsigned expected, int64_t deadline) {
    struct timespec until = {.tv_sec = deadline / 1000000000, .tv_nsec = deadline % 1000000000};
    syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, expected,
            deadline == INT64_MAX ? NULL : &until, NULL, FUTEX_BITSET_MATCH_ANY);
}

static inline void futex_wake(atomic_uint *word, int threads) {
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, threads);
}

/* The same for a word in memory that processes share; for `most` ns (INT64_MAX: no limit). */
static inline void futex_wait_shared(atomic_uint *word, unsigned expected, int64_t most) {
    struct timespec time = {.tv_sec = most / 1000000000, .tv_nsec = most % 1000000000};
    syscall(SYS_futex, word, FUTEX_WAIT, expected, most == INT64_MAX ? NULL : &time);
}

static inline void futex_wake_shared(atomic_uint *word, int threads) {
    syscall(SYS_futex, word, FUTEX_WAKE, threads);
}

#endif
