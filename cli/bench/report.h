/*
 * What is said of a run: the same figures as a table, as JSON, as a page with charts.
 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "bench/bench.h"
#include "bench/machine.h"

enum { ROWS = 8, MODELS = 3, CROSSINGS_MOST = 12, CELL_TEXT = 96 };

/* From which number of requests at once one model is better than another. */
struct crossing {
    const char *metric, *better, *worse;
    bool python;
    int64_t at;   /* and at every higher number that was measured; 0: nowhere */
    int64_t upto; /* the highest number that both were measured at */
};

struct report {
    const struct settings *settings;
    const struct machine *machine;
    const struct plan *plan;
    double seconds; /* that all took */
    struct crossing crossings[CROSSINGS_MOST];
    int crossing_count;
    char table[2][ROWS][MODELS][CELL_TEXT]; /* in C, in Python; "" where nothing was measured */
};

extern const char *const report_models[MODELS]; /* "threads", "processes", "loop" */
extern const char *const report_rows[ROWS];     /* "Count", "Memory" ... */

/* Fills crossings and table from the plan. */
void report_compare(struct report *r);

void report_table(FILE *to, const struct report *r);
void report_json(FILE *to, const struct report *r);
void report_html(FILE *to, const struct report *r);

/* The server's delay, and how many ports it needs so that all may come at once. */
int64_t report_delay_us(const struct settings *s);
int report_ports(const struct plan *p);

/* A number of seconds or bytes with three digits and its unit: "12.3 ms", "4.35 KB". */
enum { HUMAN = 24 };
const char *human_seconds(double seconds, char text[HUMAN]);
const char *human_bytes(double bytes, char text[HUMAN]);
const char *human_count(int64_t n, char text[HUMAN]); /* "10,000" */
const char *human(double value, const char *unit, char text[HUMAN]);

#endif
