/* stats.c - see stats.h. */
#include "crawl/stats.h"

#include "crawl/crawl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

void stage_enter(struct stage_time *t) {
    if (t->inside++ == 0)
        t->since = trine_now();
}

void stage_leave(struct stage_time *t) {
    if (--t->inside == 0)
        t->busy += trine_now() - t->since;
}

double stage_seconds(const struct stage_time *t) {
    int64_t running = t->inside ? trine_now() - t->since : 0;
    return (double)(t->busy + running) / 1e9;
}

static void print_stage(const char *name, const struct stage_time *t, double total) {
    double s = stage_seconds(t);
    fprintf(stderr, "  %-11s %8.2f s  (%.0f%%)\n", name, s, total > 0 ? 100 * s / total : 0);
}

void stats_print_summary(const struct crawl *c) {
    const struct stats *s = &c->stats;
    struct frontier_count n = frontier_count(c->frontier);
    double total = (double)(s->ended - s->started) / 1e9;
    fprintf(stderr, "Documents processed: %zu\n", s->parsed);
    fprintf(stderr, "Failed: %zu\n", s->failed + s->http_errors);
    fprintf(stderr, "  (%zu of them HTTP errors such as 404, which are results)\n", s->http_errors);
    fprintf(stderr, "Pages stored: %zu (%zu redirects), skipped as done before: %zu\n", s->stored,
            s->redirects, s->skipped);
    if (n.refused)
        fprintf(stderr, "Forbidden by robots.txt: %zu\n", n.refused);
    if (n.dropped)
        fprintf(stderr, "Links beyond --max-pages %" PRId64 ", not followed: %zu\n",
                c->settings.max_pages, n.dropped);
    if (s->left_out)
        fprintf(stderr, "Pages too large to be kept whole: %zu (column left_out says of what)\n",
                s->left_out);
    fprintf(stderr, "Total words: %" PRIu64 "\n", s->words);
    fprintf(stderr, "Links: %" PRIu64 "\n", s->links);
    fprintf(stderr, "Total time: %.2f s (%.0f pages/s, %.1f MB/s)\n", total,
            total > 0 ? (double)s->stored / total : 0,
            total > 0 ? (double)s->bytes / 1e6 / total : 0);
    fprintf(stderr, "Busy, of that time (stages overlap):\n");
    print_stage("Fetching:", &s->fetch, total);
    print_stage("Processing:", &s->process, total);
    print_stage("Storing:", &s->store, total);
}

static double percent(const struct stage_time *t, double total) {
    return total > 0 ? 100 * stage_seconds(t) / total : 0;
}

int stats_print_json(const struct crawl *c) {
    const struct stats *s = &c->stats;
    struct frontier_count n = frontier_count(c->frontier);
    double total = (double)(s->ended - s->started) / 1e9;
    printf("{\"documents\": %zu, \"failed\": %zu, \"http_errors\": %zu, \"stored\": %zu, "
           "\"redirects\": %zu, \"skipped\": %zu, \"robots_refused\": %zu, \"dropped\": %zu, "
           "\"left_out\": %zu, "
           "\"words\": %" PRIu64 ", \"links\": %" PRIu64 ", \"bytes\": %" PRIu64 ", ",
           s->parsed, s->failed, s->http_errors, s->stored, s->redirects, s->skipped, n.refused,
           n.dropped, s->left_out, s->words, s->links, s->bytes);
    printf("\"seconds\": %.6f, \"fetch_seconds\": %.6f, \"process_seconds\": %.6f, "
           "\"store_seconds\": %.6f, \"fetch_percent\": %.1f, \"process_percent\": %.1f, "
           "\"store_percent\": %.1f, \"interrupted\": %s}\n",
           total, stage_seconds(&s->fetch), stage_seconds(&s->process), stage_seconds(&s->store),
           percent(&s->fetch, total), percent(&s->process, total), percent(&s->store, total),
           c->stopping ? "true" : "false");
    return fflush(stdout) == 0 ? 0 : -errno;
}
