/*
 * `trine bench`: what its parts share. A plan is a list of cells (cell.h); a round runs each of
 * them once; what they print becomes values, whose median and spread are reported.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { ROUNDS_MOST = 9, METRICS_MOST = 5, GROUPS = 10 };

struct settings {
    const char *command; /* "trine bench" */
    bool python, json, quick;
    const char *html; /* a file, or NULL */
    unsigned groups;  /* bit i: group i of plan_groups */
    int64_t rounds, limit, concurrency;
};

/* 0, or the exit status of a mistake. */
int bench_settings_read(int argc, char **argv, struct settings *ret_settings);

/* --- figures ---------------------------------------------------------------------------------- */

struct metric {
    const char *name, *unit;
    double values[ROUNDS_MOST];
    int count;
};

/* A cell of the plan and what it gave. */
struct spec {
    const char *group, *model, *work;
    bool python;
    int64_t n, a, b;
    struct metric metrics[METRICS_MOST];
    char failed[160]; /* why it is not run again; "" */
};

struct plan {
    struct spec *specs;
    size_t count, room;
    int rounds;                     /* that were run in full */
    int64_t concurrency, processes; /* the most of io */
    char notes[8][200];             /* what was capped or left out */
    int note_count;
};

extern const char *const plan_groups[GROUPS];

/* What has to be known before there is a plan. */
struct machine;
struct rates {
    double spin[2];    /* rounds a second, in C and in Python */
    double list[2][2]; /* seconds that a list of factorials, of primes takes, likewise */
};

/* 0 or a negative errno. The plan is freed by plan_free. */
int plan_make(const struct settings *s, const struct machine *m, const struct rates *r,
              struct plan *ret_plan);
void plan_free(struct plan *p);

__attribute__((format(printf, 2, 3))) void plan_note(struct plan *p, const char *format, ...);

/* The cell with these words; work NULL, n -1: any. NULL when there is none. */
const struct spec *plan_find(const struct plan *p, const char *group, const char *model,
                             const char *work, bool python, int64_t n);

/* The metric, when it has values. */
const struct metric *spec_metric(const struct spec *s, const char *name);
void spec_add(struct spec *s, const char *metric, double value);

struct spread {
    double median, least, most;
    int n;
};
struct spread metric_spread(const struct metric *m);

/* The median of a cell's metric; false: there is none. */
bool plan_median(const struct plan *p, const char *group, const char *model, const char *work,
                 bool python, int64_t n, const char *metric, double *ret_value);

#endif
