/*
 * What the stages of a crawl share. The scheduler starts a coroutine for each page to fetch;
 * parsers hand bodies to worker processes; the writer hands batches to the store's thread. All that
 * is here belongs to the loop's thread, but for what a batch lends to the store's.
 *
 *   frontier -> fetch (coroutines) -> to_parse -> workers -> to_store -> store -> frontier
 */
#ifndef CRAWL_CRAWL_H
#define CRAWL_CRAWL_H

#include "crawl/frontier.h"
#include "crawl/page.h"
#include "crawl/stats.h"
#include "crawl/store.h"

#include <trine.h>
#include <trine/http.h>

struct crawl;

/* One page on its way through the stages; recycled with its buffers, last in, first out. */
struct job {
    struct crawl *crawl;
    struct job *next;
    struct frontier_url *url;
    trine_http_response response; /* its body is gone once it was parsed */
    int64_t body_len;             /* -1: no whole answer came */
    trine_buf parsed;             /* what the worker gave back */
    struct page page;             /* points into `parsed` */
    trine_buf redirect;           /* where a redirect leads; empty: none */
    bool has_page;
    int64_t fetched_at_ms;
    double fetch_ms, process_ms;
    char error[256]; /* "" when all went well */
};

struct crawl {
    struct settings settings;
    struct frontier *frontier;
    struct store *store;
    trine_http *http, *robots_http;
    trine_executor *workers, *store_thread;
    trine_channel *to_parse, *to_store;   /* of struct job * */
    trine_channel *news;                  /* wakes the scheduler; of char, one is enough */
    trine_scope *fetching, *parsing;      /* while they are open */
    unsigned fetches, askings, expanding; /* tasks of the scheduler that run */
    struct job *unused;
    trine_buf *bodies; /* emptied body buffers, the one used last on top */
    unsigned body_count, body_room;
    struct stats stats;
    bool stopping;     /* Ctrl-C: start nothing more */
    char failure[512]; /* why the run itself failed; "" when it did not */
};

/* Something changed that the scheduler may act on. */
void crawl_notify(struct crawl *c);

/* The run itself fails, with this message (the first stays): all stages are cancelled. */
void crawl_fail(struct crawl *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* jobs.c: NULL when memory is short. */
struct job *job_take(struct crawl *c, struct frontier_url *url);
void job_give(struct job *j);

/* The body is not needed any more: its buffer serves the next fetch. */
void job_drop_body(struct job *j);
void jobs_free(struct crawl *c);

/* The page leaves the crawl without a row: it was cut short, and is for the next run. */
void job_lose(struct job *j);

/* fetch.c: tasks of the fetching scope. */
int fetch_start(struct crawl *c, struct frontier_url *u);
int robots_start(struct crawl *c, struct site *s);

/* parse.c */
int parsing_open(struct crawl *c); /* c->workers; an error of trine_processes_open */
int parsing_start(struct crawl *c, trine_scope *parsing);

/* write.c */
int writing_start(struct crawl *c, trine_scope *writing);
int expansion_start(struct crawl *c, struct frontier_url *u);

/* stop.c: Ctrl-C and SIGTERM; progress.c: the line on stderr. Tasks of the outermost scope. */
int stop_watch(struct crawl *c, trine_scope *scope);
int progress_start(struct crawl *c, trine_scope *scope);
void progress_clear(void);

#endif
