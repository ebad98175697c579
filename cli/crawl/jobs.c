/* jobs.c - pages on their way. A job keeps its buffers from page to page, the one used last is used
 * next: the first touch of fresh memory costs more than fetching a small page. Body buffers are a
 * stock of their own: a page that waits for the store does not hold one. */
#include "crawl/crawl.h"

#include <stdlib.h>

/* Most pages are far smaller: a larger buffer is given back, or in time each would have met one
 * huge page and kept its memory. */
enum { KEEP_MOST = 128 << 10 };

static void keep_body(struct crawl *c, trine_buf *body) {
    if (body->cap > KEEP_MOST)
        trine_buf_free(body);
    if (!body->ptr)
        return;
    if (c->body_count == c->body_room) {
        unsigned room = c->body_room ? 2 * c->body_room : 64;
        trine_buf *grown = realloc(c->bodies, room * sizeof(*grown));
        if (!grown) {
            trine_buf_free(body);
            return;
        }
        c->bodies = grown;
        c->body_room = room;
    }
    c->bodies[c->body_count++] = *body;
    *body = (trine_buf){0};
}

void job_drop_body(struct job *j) {
    j->response.body.len = 0;
    keep_body(j->crawl, &j->response.body);
}

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
    j->body_len = -1;
    j->fetch_ms = 0;
    j->process_ms = -1;
    if (!j->response.body.ptr && c->body_count)
        j->response.body = c->bodies[--c->body_count];
    return j;
}

void job_give(struct job *j) {
    struct crawl *c = j->crawl;
    job_drop_body(j);
    if (j->parsed.cap > KEEP_MOST)
        trine_buf_free(&j->parsed);
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
    while (c->body_count)
        trine_buf_free(&c->bodies[--c->body_count]);
    free(c->bodies);
    c->bodies = NULL;
}

void job_lose(struct job *j) {
    frontier_finish(j->crawl->frontier, j->url, URL_LOST);
    crawl_notify(j->crawl);
    job_give(j);
}
