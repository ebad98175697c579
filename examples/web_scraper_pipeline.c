/* web_scraper_pipeline.c - pages are fetched on the loop, their words counted by four worker
 * processes, statistics kept. Stage by stage, to be compared with `trine crawl`, whose stages run
 * at the same time. */
#include "support/support.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <trine/http.h>

struct page {
    const char *url;
    bool fetched, processed;
    trine_http_response response;
    trine_buf counted; /* the worker's answer: one size_t */
};

struct pipeline {
    struct urls urls;
    struct page pages[URLS_MOST];
    trine_executor *workers;
    int documents, failed;
    size_t words;
    double fetching, processing, storing;
};

static int fetch_page(struct page *p) {
    p->fetched = trine_http_get(NULL, p->url, &p->response) == 0 && p->response.status == 200;
    return 0;
}
TRINE_TASK(fetch_page, struct page);

static void fetch_stage(struct pipeline *p) {
    printf("Stage 1: Fetching URLs with asyncio...\n");
    int64_t start = trine_now();
    TRINE_SCOPE(scope, .limit = 10);
    for (int i = 0; i < p->urls.count; i++) {
        p->pages[i].url = p->urls.url[i].text;
        trine_spawn(scope, fetch_page, &p->pages[i]);
    }
    trine_join(scope);
    p->fetching = seconds_since(start);
    printf("  Fetched %d URLs in %.2fs\n", p->urls.count, p->fetching);
}

/* Runs in a worker: text of any length comes in, the number of its words goes out. */
static int count_words(trine_bytes text, trine_buf *out) {
    size_t words = 0;
    const char *c = text.ptr;
    for (size_t i = 0; i < text.len; i++)
        words += !isspace((unsigned char)c[i]) && (i == 0 || isspace((unsigned char)c[i - 1]));
    return trine_buf_append(out, &words, sizeof(words));
}
TRINE_BYTES_TASK(count_words);

static void process_stage(struct pipeline *p) {
    printf("Stage 2: Processing with multiprocessing...\n");
    int64_t start = trine_now();
    trine_future *futures[URLS_MOST] = {0};
    TRINE_SCOPE(scope, .policy = TRINE_COLLECT);
    for (int i = 0; i < p->urls.count; i++) {
        struct page *page = &p->pages[i];
        trine_bytes body = {page->response.body.ptr, page->response.body.len};
        if (page->fetched)
            futures[i] = trine_start_bytes(scope, p->workers, count_words, body, &page->counted);
    }
    for (int i = 0, status; i < p->urls.count; i++)
        p->pages[i].processed = futures[i] && trine_await(futures[i], &status) == 0 && status == 0;
    p->processing = seconds_since(start);
    printf("  Processed the documents in %.2fs\n", p->processing);
}

static void store_stage(struct pipeline *p) {
    printf("Stage 3: Storing results...\n");
    int64_t start = trine_now();
    for (int i = 0; i < p->urls.count; i++) {
        struct page *page = &p->pages[i];
        p->documents += page->processed;
        p->failed += !page->processed;
        p->words += page->processed ? *(size_t *)page->counted.ptr : 0;
        trine_http_response_free(&page->response);
        trine_buf_free(&page->counted);
    }
    p->storing = seconds_since(start);
    printf("  Stored %d results in %.2fs\n", p->documents, p->storing);
}

static int run_pipeline(struct pipeline *p) {
    fetch_stage(p);
    process_stage(p);
    store_stage(p);
    return 0;
}
TRINE_TASK(run_pipeline, struct pipeline);

int main(int argc, char **argv) {
    trine_init(argc, argv);
    static struct pipeline p;
    urls_find(&p.urls, argc, argv, 20, "0.1");
    if (trine_processes_open(&p.workers, TRINE_OPTS(trine_processes_opts, .workers = 4)) < 0 ||
        trine_run(run_pipeline, &p) < 0)
        return 1;
    double total = p.fetching + p.processing + p.storing;
    printf("\n=== Pipeline Complete ===\n");
    printf("Documents processed: %d\n", p.documents);
    printf("Failed: %d\n", p.failed);
    printf("Total words: %zu\n", p.words);
    printf("Total time: %.2fs\n", total);
    printf("Fetching: %.2fs (%.0f%%)\n", p.fetching, 100 * p.fetching / total);
    printf("Processing: %.2fs (%.0f%%)\n", p.processing, 100 * p.processing / total);
    trine_executor_close(&p.workers);
    return 0;
}
