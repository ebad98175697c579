/*
 * What the measurements compute, each with its proof: a result is compared with what another way
 * gives, or with what is known.
 */
#ifndef BENCH_WORK_H
#define BENCH_WORK_H

#include <stdbool.h>
#include <stdint.h>

/* One element of a list of work. */
struct work {
    int32_t kind; /* index of "factorials", "primes" */
    uint32_t of;
    uint64_t result;
};

enum { WORK_LIST_MOST = 16 };
#ifdef BENCH_GMP
enum { WORK_HAS_FACTORIALS = 1 };
#else
enum { WORK_HAS_FACTORIALS = 0 };
#endif

/* How many elements the list of that name has, 0: there is none; they are put into ret_list. */
int work_list(const char *name, struct work ret_list[WORK_LIST_MOST]);

void work_compute(struct work *w);

/* Is the result right? */
bool work_is_right(const struct work *w);

/* Rounds of a computation that touches no memory, and what must come out. */
uint64_t work_spin(uint64_t rounds);
uint64_t work_spin_expected(uint64_t rounds);

/* Rounds a second. */
double work_spin_rate(void);

#endif
