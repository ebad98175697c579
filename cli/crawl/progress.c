/* progress.c - how far the crawl is: on a terminal one line that is written over five times a
 * second, else a plain line every five seconds. */
#include "crawl/crawl.h"

#include <stdio.h>
#include <unistd.h>

static bool line_shown;

void progress_clear(void) {
    if (line_shown)
        fputs("\r\033[K", stderr);
    line_shown = false;
}

static void print_eta(double seconds) {
    if (seconds < 100)
        fprintf(stderr, "ETA %.0f s", seconds);
    else
        fprintf(stderr, "ETA %.0f min", seconds / 60);
}

static void print_line(const struct crawl *c) {
    const struct stats *s = &c->stats;
    struct frontier_count n = frontier_count(c->frontier);
    double seconds = (double)(trine_now() - s->started) / 1e9;
    double rate = seconds > 0 ? (double)s->stored / seconds : 0;
    size_t left = n.queued + n.taken;
    fprintf(stderr,
            "%zu done, %zu queued, %zu failed | %.0f pages/s, %.1f MB/s | "
            "fetching %u, to parse %zu, to store %zu | ",
            s->stored, n.queued, s->failed + s->http_errors, rate,
            seconds > 0 ? (double)s->bytes / 1e6 / seconds : 0, c->fetches,
            trine_channel_count(c->to_parse), trine_channel_count(c->to_store));
    if (rate > 0)
        print_eta((double)left / rate);
    else
        fputs("ETA unknown", stderr);
}

static int show_progress(struct crawl *c) {
    bool terminal = isatty(STDERR_FILENO);
    while (trine_sleep(terminal ? TRINE_MS(200) : TRINE_SEC(5)) == 0) {
        if (terminal)
            fputs("\r\033[K", stderr);
        print_line(c);
        if (!terminal)
            fputc('\n', stderr);
        line_shown = terminal;
        fflush(stderr);
    }
    progress_clear();
    return 0;
}
TRINE_TASK(show_progress, struct crawl);

int progress_start(struct crawl *c, trine_scope *scope) {
    return trine_spawn(scope, show_progress, c);
}
