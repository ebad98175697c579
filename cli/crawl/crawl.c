/* crawl.c - `trine crawl`: opens what a crawl needs, runs its three stages at the same time, closes
 * everything in the reverse order.
 *
 * The scheduler is the main coroutine. It starts a fetch for each URL that may be fetched now, and
 * ends when nothing is queued, nothing is on its way and nothing is to be looked up. Then each
 * stage is joined and the channel behind it closed, so that nothing is left in between. */
#include "crawl/crawl.h"

#include "commands.h"
#include "crawl/start.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARSE_QUEUE = 32, STORE_QUEUE = 128, EXPANDING_MOST = 8 };
enum { EXIT_INTERRUPTED = 130 };

void crawl_notify(struct crawl *c) {
    char word = 0;
    if (trine_channel_count(c->news) == 0 && trine_channel_send(c->news, &word) < 0)
        return; /* the caller's scope ends: the scheduler's does too, and it looks anyway */
}

void crawl_fail(struct crawl *c, const char *format, ...) {
    if (c->failure[0])
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(c->failure, sizeof(c->failure), format, args);
    va_end(args);
    c->stopping = true;
    if (c->fetching)
        trine_scope_cancel(c->fetching, 0);
    if (c->parsing)
        trine_scope_cancel(c->parsing, 0);
}

/* --- the scheduler --- */

static int start_what_may_run(struct crawl *c) {
    int r = 0;
    struct site *site;
    while (r == 0 && !c->stopping && (site = frontier_take_site(c->frontier)))
        r = robots_start(c, site);
    struct frontier_url *u;
    while (r == 0 && !c->stopping && c->expanding < EXPANDING_MOST &&
           (u = frontier_take_expansion(c->frontier)))
        r = expansion_start(c, u);
    while (r == 0 && !c->stopping && c->fetches < (unsigned)c->settings.concurrency &&
           (u = frontier_take(c->frontier)))
        r = fetch_start(c, u);
    return r;
}

static bool finished(const struct crawl *c) {
    struct frontier_count n = frontier_count(c->frontier);
    if (n.taken || c->askings || c->expanding)
        return false;
    return c->stopping || (!n.queued && !n.expansions);
}

static void schedule(struct crawl *c) {
    for (;;) {
        char word;
        int r = start_what_may_run(c);
        if (r < 0 && r != -ECANCELED)
            crawl_fail(c, "a fetch could not be started: %s", strerror(-r));
        if (finished(c) || trine_channel_recv(c->news, &word) < 0)
            return;
    }
}

/* --- the stages --- */

static void lose_what_is_left(struct crawl *c) {
    struct job *j;
    while (trine_channel_count(c->to_parse) > 0 && trine_channel_recv(c->to_parse, &j) == 0)
        job_lose(j);
}

static int run_stages(struct crawl *c) {
    TRINE_SCOPE(beside, .policy = TRINE_COLLECT, .name = "progress and signals");
    TRINE_SCOPE(writing, .policy = TRINE_COLLECT, .name = "store");
    int r = stop_watch(c, beside);
    if (r == 0)
        r = progress_start(c, beside);
    if (r == 0)
        r = writing_start(c, writing);
    if (r < 0)
        crawl_fail(c, "the crawl could not be started: %s", strerror(-r));
    {
        TRINE_SCOPE(parsing, .policy = TRINE_COLLECT, .name = "parse");
        c->parsing = parsing;
        if (parsing_start(c, parsing) < 0)
            crawl_fail(c, "the parsers could not be started");
        {
            TRINE_SCOPE(fetching, .policy = TRINE_COLLECT, .name = "fetch");
            c->fetching = fetching;
            schedule(c);
            trine_join(fetching);
            c->fetching = NULL;
        }
        trine_channel_close(c->to_parse);
        trine_join(parsing);
        c->parsing = NULL;
    }
    lose_what_is_left(c);
    trine_channel_close(c->to_store);
    r = trine_join(writing);
    return r < 0 ? r : 0;
}

/* --- what a crawl needs --- */

static int open_services(struct crawl *c) {
    const struct settings *s = &c->settings;
    trine_http_opts http = {.size = sizeof(http),
                            .timeout = s->timeout,
                            .max_body = (size_t)s->max_bytes,
                            .max_redirects = -1};
    trine_http_opts robots = {.size = sizeof(robots),
                              .timeout = s->timeout,
                              .max_body = ROBOTS_MAX * 4,
                              .max_redirects = 5};
    trine_threads_opts store = {.size = sizeof(store), .workers = 1, .name = "store"};
    int r = trine_http_open(&c->http, &http);
    if (r == 0)
        r = trine_http_open(&c->robots_http, &robots);
    if (r == 0)
        r = parsing_open(c);
    if (r == 0)
        r = trine_threads_open(&c->store_thread, &store);
    c->to_parse = trine_channel_new(sizeof(struct job *), PARSE_QUEUE);
    c->to_store = trine_channel_new(sizeof(struct job *), STORE_QUEUE);
    c->news = trine_channel_new(sizeof(char), 1);
    if (r == 0 && (!c->to_parse || !c->to_store || !c->news))
        r = -ENOMEM;
    return r;
}

static void close_services(struct crawl *c) {
    trine_executor_close(&c->workers);
    trine_executor_close(&c->store_thread);
    trine_http_close(&c->robots_http);
    trine_http_close(&c->http);
    jobs_free(c);
    trine_channel_free(&c->to_parse);
    trine_channel_free(&c->to_store);
    trine_channel_free(&c->news);
}

static int crawl_main(struct crawl *c) {
    int r = open_services(c);
    if (r < 0)
        crawl_fail(c, "the worker processes or the HTTP client could not be started: %s",
                   strerror(-r));
    c->stats.started = trine_now();
    if (r == 0)
        run_stages(c);
    c->stats.ended = trine_now();
    close_services(c);
    return 0;
}
TRINE_TASK(crawl_main, struct crawl);

/* --- the store's pages are done --- */

static int note_done(void *context, const struct store_done *done) {
    struct crawl *c = context;
    bool redirects = done->status >= 300 && done->status < 400 && done->final_url;
    int r = frontier_add_done(c->frontier, done->url, done->url_len,
                              redirects ? done->final_url : NULL);
    c->stats.skipped += r == 0;
    return r == -ENOSPC ? 0 : r;
}

static int open_store(struct crawl *c) {
    int r = store_open(c->settings.store, &c->store);
    if (r == 0 && c->settings.retry)
        r = store_forget_failed(c->store);
    if (r == 0)
        r = store_each_done(c->store, note_done, c);
    if (r == 0)
        return -1;
    fprintf(stderr, "%s: %s\n", c->settings.command,
            c->store ? store_error(c->store) : "out of memory");
    return 1;
}

static int conclude(struct crawl *c) {
    progress_clear();
    if (c->failure[0])
        fprintf(stderr, "%s: %s\n", c->settings.command, c->failure);
    stats_print_summary(c);
    if (c->settings.json && stats_print_json(c) < 0) {
        fprintf(stderr, "%s: standard output: %s\n", c->settings.command, strerror(errno));
        return 1;
    }
    if (c->failure[0])
        return 1;
    if (c->stopping)
        fprintf(stderr, "%s: interrupted; the same command goes on where it stopped\n",
                c->settings.command);
    return c->stopping ? EXIT_INTERRUPTED : 0;
}

int cmd_crawl(int argc, char **argv) {
    struct crawl c = {0};
    int status = settings_read(&c.settings, argc, argv);
    if (status < 0)
        status = start_check(&c.settings);
    if (status >= 0)
        return status;
    c.frontier = frontier_new(&c.settings);
    if (!c.frontier) {
        fprintf(stderr, "%s: out of memory\n", argv[0]);
        return 1;
    }
    status = open_store(&c);
    if (status < 0)
        status = start_urls(&c);
    if (status < 0) {
        int r = trine_run(crawl_main, &c);
        if (r < 0)
            crawl_fail(&c, "the event loop could not be started: %s", strerror(-r));
        status = conclude(&c);
    }
    if (c.store && store_close(c.store) < 0 && status == 0) {
        fprintf(stderr, "%s: %s: could not be closed\n", argv[0], c.settings.store);
        status = 1;
    }
    frontier_free(c.frontier);
    return status;
}
