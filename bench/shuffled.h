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
#include <pthread.h>
#include <stdatomic.h>

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

/* One after another. */
static inline void shuffled_alone(struct shuffled *list, void *unused) {
    (void)unused;
    for (int i = 0; i < SHUFFLED; i++)
        shuffled_run(&list[i]);
}

/* ns that `run_all` needs for the list, which it must do right. */
static inline double shuffled_time(void (*run_all)(struct shuffled *list, void *arg), void *arg) {
    static struct shuffled list[SHUFFLED], right[SHUFFLED];
    if (!right[0].of) {
        shuffled_fill(right);
        shuffled_alone(right, NULL);
    }
    shuffled_fill(list);
    double start = bench_ns();
    run_all(list, arg);
    double ns = bench_ns() - start;
    for (int i = 0; i < SHUFFLED; i++)
        if (list[i].result != right[i].result)
            bench_fail("a wrong result of task", i);
    return ns;
}

/* How many times faster than one after another `run_all` is, which runs all of a list. */
static inline double shuffled_compare(void (*run_all)(struct shuffled *list, void *arg),
                                      void *arg) {
    double alone = shuffled_time(shuffled_alone, NULL);
    return alone / shuffled_time(run_all, arg);
}

#ifndef SHUFFLED_PEER
static inline void shuffled_on_pool(struct shuffled *list, void *pool) {
    int r = trine_map_all((trine_executor *)pool, shuffled_run, list, SHUFFLED);
    if (r < 0)
        bench_fail("the tasks failed", r);
}

struct shuffled_share {
    struct shuffled *list;
    atomic_int *ticket;
};

static void *shuffled_take(void *arg) {
    struct shuffled_share *share = (struct shuffled_share *)arg;
    for (int i; (i = atomic_fetch_add(share->ticket, 1)) < SHUFFLED;)
        shuffled_run(&share->list[i]);
    return NULL;
}

/* The ceiling: a bare thread a CPU, which draw the tasks by ticket. */
static inline void shuffled_by_hand(struct shuffled *list, void *unused) {
    enum { MOST = 64 };
    pthread_t others[MOST];
    atomic_int ticket = 0;
    struct shuffled_share share = {list, &ticket};
    unsigned n = trine_usable_cpus() < MOST ? trine_usable_cpus() : MOST;
    (void)unused;
    for (unsigned i = 1; i < n; i++)
        if (pthread_create(&others[i], NULL, shuffled_take, &share))
            bench_fail("pthread_create", (long)i);
    shuffled_take(&share);
    for (unsigned i = 1; i < n; i++)
        pthread_join(others[i], NULL);
}

/* Two cases, measured in turns: NAME, and NAME_by_hand, which is as good as this machine can. */
static inline void shuffled_case(struct bench *b, const char *name, const char *by_hand,
                                 trine_executor *pool) {
    double ours[BENCH_RUNS_MOST], bare[BENCH_RUNS_MOST];
    if (!bench_chosen(b, name))
        return;
    shuffled_time(shuffled_on_pool, pool);
    for (int i = 0; i < b->runs; i++) {
        double alone = shuffled_time(shuffled_alone, NULL);
        ours[i] = alone / shuffled_time(shuffled_on_pool, pool);
        bare[i] = alone / shuffled_time(shuffled_by_hand, NULL);
    }
    bench_print(b, name, "x", ours, b->runs);
    bench_print(b, by_hand, "x", bare, b->runs);
}
#endif

#endif
