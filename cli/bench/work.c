/* work.c - see work.h.
 *
 * Factorials come from GMP's mpz_fac_ui, as Python's from math.factorial; without GMP at build time
 * there are none. The remainder of the product by a prime is compared with the one that small
 * numbers give. Primes are found by trial division, and counted; how many there are is known. A
 * round of spin is a step of a linear congruential generator; where it leads after n steps, powers
 * of two of a step tell. */
#include "bench/work.h"

#include <trine.h>

#ifdef BENCH_GMP
#include <gmp.h>
#endif
#include <stdlib.h>
#include <string.h>

enum { FACTORIALS, PRIMES, CHECK_PRIME = 65537 };

int work_list(const char *name, struct work ret_list[WORK_LIST_MOST]) {
    if (WORK_HAS_FACTORIALS && strcmp(name, "factorials") == 0) {
        for (uint32_t i = 0; i < 16; i++)
            ret_list[i] = (struct work){.kind = FACTORIALS, .of = 5000 + 500 * i};
        return 16;
    }
    if (strcmp(name, "primes") == 0) {
        for (uint32_t i = 0; i < 5; i++)
            ret_list[i] = (struct work){.kind = PRIMES, .of = 10000 * (i + 1)};
        return 5;
    }
    return 0;
}

#ifdef BENCH_GMP
/* The remainder of n! by CHECK_PRIME. */
static uint64_t factorial(uint32_t n) {
    mpz_t product;
    mpz_init(product);
    mpz_fac_ui(product, n);
    uint64_t rest = mpz_fdiv_ui(product, CHECK_PRIME);
    mpz_clear(product);
    return rest;
}
#else
static uint64_t factorial(uint32_t n) {
    return n * 0;
}
#endif

static bool is_prime(uint32_t n) {
    for (uint32_t d = 2; d * d <= n; d++)
        if (n % d == 0)
            return false;
    return n > 1;
}

static uint64_t primes_below(uint32_t limit) {
    uint64_t found = 0;
    for (uint32_t n = 2; n < limit; n++)
        found += is_prime(n);
    return found;
}

void work_compute(struct work *w) {
    w->result = w->kind == FACTORIALS ? factorial(w->of) : primes_below(w->of);
}

bool work_is_right(const struct work *w) {
    static const uint64_t primes[] = {0, 1229, 2262, 3245, 4203, 5133};
    if (w->kind == PRIMES)
        return w->of % 10000 == 0 && w->of <= 50000 && w->result == primes[w->of / 10000];
    uint64_t rest = 1;
    for (uint64_t factor = 2; factor <= w->of; factor++)
        rest = rest * factor % CHECK_PRIME;
    return w->result == rest;
}

static const uint64_t MULTIPLIER = 6364136223846793005, INCREMENT = 1442695040888963407;

uint64_t work_spin(uint64_t rounds) {
    uint64_t x = 1;
    for (uint64_t i = 0; i < rounds; i++) {
        x = x * MULTIPLIER + INCREMENT;
        __asm__ volatile("" : "+r"(x)); /* so that no compiler finds the short way */
    }
    return x;
}

uint64_t work_spin_expected(uint64_t rounds) {
    uint64_t times = 1, plus = 0; /* of the rounds so far */
    for (uint64_t m = MULTIPLIER, p = INCREMENT; rounds; rounds >>= 1) {
        if (rounds & 1) {
            times *= m;
            plus = plus * m + p;
        }
        p = (m + 1) * p;
        m *= m;
    }
    return times + plus;
}

double work_spin_rate(void) {
    enum { ROUNDS = 4000000, TRIES = 7 };
    double best = 0; /* the fastest one was disturbed least */
    for (int i = 0; i < TRIES; i++) {
        int64_t start = trine_now();
        if (work_spin(ROUNDS) != work_spin_expected(ROUNDS))
            abort();
        double rate = ROUNDS / ((double)(trine_now() - start) / 1e9);
        best = rate > best ? rate : best;
    }
    return best;
}
