/* shuffled.h - the CPU-bound work that pools are measured with: 200 tasks, factorials and primes of
 * different lengths in a random order, once one after another and once by a pool of one worker a
 * CPU, warm. Both are measured in turns, so that a machine that is slow for a while slows both.
 * A peer without libtrine defines SHUFFLED_PEER. */
#ifndef BENCH_SHUFFLED_H
#define BENCH_SHUFFLED_H

#ifndef SHUFFLED_PEER
#include <trine.h>
#endif

#include "bench.h"

#include <gmp.h>

enum { SHUFFLED = 200 };

struct shuffled {
    unsigned of;
    bool primes;
    uint64_t result;
};

static int shuffled_run(struct shuffled *s) {
    s->result = 0;
    if (s->primes) {
        for (unsigned n = 2; n <= s->of; n++) {
            unsigned d = 2;
            while (d * d <= n && n % d)
                d++;
            s->result += d * d > n;
        }
        return 0;
    }
    mpz_t product;
    mpz_init(product);
    mpz_fac_ui(product, s->of);
    s->result = mpz_fdiv_ui(product, 4294967291u);
    mpz_clear(product);
    return 0;
}
#ifndef SHUFFLED_PEER
TRINE_TASK(shuffled_run, struct shuffled);
#endif

static inline void shuffled_fill(struct shuffled *list) {
    uint64_t dice = 88172645463325252u;
    for (int i = 0; i < SHUFFLED; i++) {
        bool primes = i % 5 == 4;
        unsigned of = primes ? 10000 + 2500 * (unsigned)(i % 17) : 5000 + 500 * (unsigned)(i % 16);
        list[i] = (struct shuffled){.of = of * 2, .primes = primes};
    }
    for (int i = SHUFFLED - 1; i > 0; i--) {
        dice ^= dice << 13, dice ^= dice >> 7, dice ^= dice << 17;
        int j = (int)(dice % (unsigned)(i + 1));
        struct shuffled other = list[i];
        list[i] = list[j];
        list[j] = other;
    }
}

/* How many times faster `run_all` is, which runs all of a list. */
static inline double shuffled_compare(void (*run_all)(struct shuffled *list, void *arg),
                                      void *arg) {
    static struct shuffled alone[SHUFFLED], together[SHUFFLED];
    shuffled_fill(alone);
    shuffled_fill(together);
    double start = bench_ns();
    for (int i = 0; i < SHUFFLED; i++)
        shuffled_run(&alone[i]);
    double middle = bench_ns();
    run_all(together, arg);
    double end = bench_ns();
    for (int i = 0; i < SHUFFLED; i++)
        if (alone[i].result != together[i].result)
            bench_fail("a wrong result of task", i);
    return (middle - start) / (end - middle);
}

#ifndef SHUFFLED_PEER
static inline void shuffled_on_pool(struct shuffled *list, void *pool) {
    int r = trine_map_all((trine_executor *)pool, shuffled_run, list, SHUFFLED);
    if (r < 0)
        bench_fail("the tasks failed", r);
}

static inline double shuffled_speedup(void *pool) {
    return shuffled_compare(shuffled_on_pool, pool);
}
#endif

#endif
