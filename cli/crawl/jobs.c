/* jobs.c - pages on their way. A job keeps its buffers from page to page, the one used last is used
 * next: the first touch of fresh memory costs more than fetching a small page. A buffer that one
 * huge page made is given back. */
#include "crawl/crawl.h"

#include <stdlib.h>

enum { KEEP_MOST = 1 << 20 };

struct job *job_take(struct crawl *c, struct frontier_url *url) {
    struct job *j = c->unused;
    if (j)
        c->unused = j->next;
    else if (!(j = calloc(1, sizeof(*j))))
        return NULL;
    j->crawl = c;
    j->url = url;
    j->has_page = false;
    j->error[0] = 0;
    j->redirect.len = 0;
    j->fetch_ms = 0;
    j->process_ms = -1;
    return j;
}

static void shrink(trine_buf *b) {
    if (b->cap > KEEP_MOST)
        trine_buf_free(b);
}

void job_give(struct job *j) {
    struct crawl *c = j->crawl;
    shrink(&j->response.body);
    shrink(&j->parsed);
    j->next = c->unused;
    c->unused = j;
}

void jobs_free(struct crawl *c) {
    for (struct job *j = c->unused; j;) {
        struct job *next = j->next;
        trine_http_response_free(&j->response);
        trine_buf_free(&j->parsed);
        trine_buf_free(&j->redirect);
        free(j);
        j = next;
    }
    c->unused = NULL;
}

void job_lose(struct job *j) {
    frontier_finish(j->crawl->frontier, j->url, URL_LOST);
    crawl_notify(j->crawl);
    job_give(j);
}
