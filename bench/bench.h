/* bench.h - the frame of the small benchmarks, ours and their peers in C: each case is run several
 * times, and its median, least and most are printed, as a line of a table or, with --json, as an
 * object a line: bench, case, value, unit, min, max, n (and peer).
 *
 *     static double yields(void *arg) { ...; return ns_per_yield; }
 *
 *     int main(int argc, char **argv) {
 *         struct bench b = bench_begin("yield", argc, argv);
 *         bench_case(&b, "yield/two", "ns", yields, NULL);
 *         return bench_end(&b);
 *     }
 *
 * A case checks what it computed and calls bench_fail when that is wrong.
 * Arguments: [--json] [--runs N] [CASE...], where CASE is a part of the names of cases to run. */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BENCH_RUNS = 7, BENCH_RUNS_MOST = 101 };

struct bench {
    const char *name, *peer; /* peer: NULL for Trine itself */
    bool json;
    int runs, cases;
    char **chosen; /* parts of case names, up to a NULL; none: all */
};

__attribute__((noreturn)) static inline void bench_fail(const char *what, long code) {
    fprintf(stderr, "bench: %s (%ld)\n", what, code);
    exit(1);
}

static inline double bench_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* Bytes that /proc/self/status gives for `field`, as "VmRSS:". */
static inline double bench_memory_of(const char *field) {
    FILE *file = fopen("/proc/self/status", "re");
    char line[256];
    double bytes = -1;
    if (!file)
        bench_fail("/proc/self/status", 0);
    while (fgets(line, sizeof(line), file))
        if (strncmp(line, field, strlen(field)) == 0)
            bytes = strtod(line + strlen(field), NULL) * 1024;
    fclose(file);
    if (bytes < 0)
        bench_fail(field, 0);
    return bytes;
}

/* What the process holds: its pages and the tables that map them. */
static inline double bench_memory(void) {
    return bench_memory_of("VmRSS:") + bench_memory_of("VmPTE:");
}

static inline struct bench bench_begin(const char *name, int argc, char **argv) {
    struct bench b = {.name = name, .runs = BENCH_RUNS};
    int i = 1;
    for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            b.json = true;
        } else if (strcmp(argv[i], "--runs") == 0 && i + 1 < argc) {
            b.runs = atoi(argv[++i]);
        } else {
            fprintf(stderr, "usage: %s [--json] [--runs N] [CASE...]\n", name);
            exit(2);
        }
    }
    if (b.runs < 1 || b.runs > BENCH_RUNS_MOST)
        bench_fail("--runs is 1 to 101, not", b.runs);
    b.chosen = argv + (argc ? i : 0);
    return b;
}

static inline bool bench_chosen(const struct bench *b, const char *name) {
    for (char **part = b->chosen; *part; part++)
        if (strstr(name, *part))
            return true;
    return !*b->chosen;
}

static inline int bench_order(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Prints the median of n values, which are put in order. */
static inline void bench_print(struct bench *b, const char *name, const char *unit, double *values,
                               int n) {
    qsort(values, (size_t)n, sizeof(*values), bench_order);
    double median = n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
    b->cases++;
    if (!b->json) {
        printf("%-8s %-28s %12.3f %-5s (%.3f to %.3f, n = %d)\n", b->peer ? b->peer : "trine", name,
               median, unit, values[0], values[n - 1], n);
    } else {
        printf("{\"bench\":\"%s\",\"case\":\"%s\",\"value\":%.4f,\"unit\":\"%s\",\"min\":%.4f,"
               "\"max\":%.4f,\"n\":%d",
               b->name, name, median, unit, values[0], values[n - 1], n);
        if (b->peer)
            printf(",\"peer\":\"%s\"", b->peer);
        puts("}");
    }
    fflush(stdout);
}

/* Runs the case b->runs times, after once to warm up: `run` gives the value. */
static inline void bench_case(struct bench *b, const char *name, const char *unit,
                              double (*run)(void *arg), void *arg) {
    double values[BENCH_RUNS_MOST];
    if (!bench_chosen(b, name))
        return;
    run(arg);
    for (int i = 0; i < b->runs; i++)
        values[i] = run(arg);
    bench_print(b, name, unit, values, b->runs);
}

/* main's exit code. */
static inline int bench_end(const struct bench *b) {
    if (!b->cases)
        bench_fail("no case has such a name", 0);
    return 0;
}

#endif
