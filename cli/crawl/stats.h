/*
 * What a crawl counts, and how long its stages were busy.
 */
#ifndef CRAWL_STATS_H
#define CRAWL_STATS_H

#include <stddef.h>
#include <stdint.h>

/* A stage is busy while at least one page is in it: the time of that, not summed over pages, so
 * that it compares with the run's wall time. */
struct stage_time {
    unsigned inside;
    int64_t since, busy;
};

struct stats {
    int64_t started, ended;
    size_t fetched, stored, parsed, failed, http_errors, redirects, skipped, left_out;
    uint64_t bytes, words, links;
    struct stage_time fetch, process, store;
};

void stage_enter(struct stage_time *t);
void stage_leave(struct stage_time *t);

/* Busy time until now, in seconds. */
double stage_seconds(const struct stage_time *t);

struct crawl;

/* The summary for people on stderr; the same as one JSON object on standard output. */
void stats_print_summary(const struct crawl *c);
int stats_print_json(const struct crawl *c);

#endif
