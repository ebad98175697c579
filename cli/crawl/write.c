/* write.c - the last stage: the writer collects what has come into batches, one transaction each,
 * and has them carried out on the store's own thread. The more pages come, the larger the batches.
 * Looking up the links of a page that was done before goes to the same thread, in turn. */
#include "crawl/crawl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH_MOST = 128 };

struct batch {
    struct crawl *crawl;
    struct store *store;
    struct job *jobs[BATCH_MOST];
    int count;
    char error[512];
};

/* --- on the store's thread --- */

/* What the bounds of page.h kept out of the row. */
static const char *left_out(const struct page *p) {
    static const char *const names[8] = {
        NULL,   "links",       "nesting",       "links, nesting",
        "text", "links, text", "nesting, text", "links, nesting, text"};
    return names[p->links_dropped | p->cut << 1 | p->text_cut << 2];
}

static struct store_page row_of(const struct job *j) {
    const trine_http_response *r = &j->response;
    bool answered = r->status > 0;
    struct store_page row = {.url = j->url->url,
                             .final_url = j->redirect.len ? j->redirect.ptr : j->url->url,
                             .status = r->status,
                             .content_type = answered && *r->content_type ? r->content_type : NULL,
                             .bytes = j->body_len,
                             .words = -1,
                             .link_count = -1,
                             .fetched_at_ms = j->fetched_at_ms,
                             .fetch_ms = j->fetch_ms,
                             .process_ms = j->process_ms,
                             .error = j->error[0] ? j->error : NULL};
    if (!j->has_page)
        return row;
    const struct page *p = &j->page;
    row.sha256 = p->sha256;
    if (!page_is_html(r->content_type))
        return row;
    row.title = p->title;
    row.title_len = p->title_len;
    row.lang = p->lang;
    row.lang_len = p->lang_len;
    row.words = (int64_t)p->words;
    row.link_count = p->link_count;
    row.links = p->links;
    row.links_len = p->links_len;
    row.text = p->text;
    row.text_len = p->text_len;
    row.left_out = left_out(p);
    return row;
}

static int write_batch(struct batch *b) {
    int r = store_begin(b->store);
    for (int i = 0; r == 0 && i < b->count; i++) {
        struct store_page row = row_of(b->jobs[i]);
        r = store_add(b->store, &row);
        if (r == -EEXIST)
            r = 0; /* another way to the same page: the first stays */
    }
    if (r == 0)
        r = store_commit(b->store);
    if (r < 0)
        snprintf(b->error, sizeof(b->error), "%s", store_error(b->store));
    return r;
}
TRINE_TASK(write_batch, struct batch);

/* --- in the crawl --- */

static void count(struct stats *s, const struct job *j) {
    s->stored++;
    s->bytes += j->body_len > 0 ? (uint64_t)j->body_len : 0;
    if (j->error[0])
        s->failed++;
    else if (j->response.status >= 400)
        s->http_errors++;
    if (!j->has_page || !page_is_html(j->response.content_type))
        return;
    s->parsed++;
    s->left_out += left_out(&j->page) != NULL;
    s->words += j->page.words;
    s->links += j->page.link_count;
}

static void finish_batch(struct crawl *c, struct batch *b, int status) {
    if (status < 0)
        crawl_fail(c, "%s", b->error);
    for (int i = 0; i < b->count; i++) {
        struct job *j = b->jobs[i];
        if (status < 0) {
            job_lose(j);
            continue;
        }
        count(&c->stats, j);
        frontier_finish(c->frontier, j->url, URL_DONE);
        job_give(j);
    }
    crawl_notify(c);
}

/* Runs a task on the store's thread and waits for it, whatever happens around: what was begun is to
 * be in the store. */
static int on_store_thread(struct crawl *c, const trine_task *task, void *arg) {
    TRINE_SCOPE(scope, .policy = TRINE_COLLECT);
    stage_enter(&c->stats.store);
    trine_submit_task(scope, c->store_thread, task, arg, TRINE_HERE_);
    int r = trine_join(scope);
    stage_leave(&c->stats.store);
    return r;
}

static int write_stage(struct batch *b) {
    struct crawl *c = b->crawl;
    int r;
    while ((r = trine_channel_recv(c->to_store, &b->jobs[0])) == 0) {
        b->count = 1;
        while (b->count < BATCH_MOST && trine_channel_count(c->to_store) > 0)
            if (trine_channel_recv(c->to_store, &b->jobs[b->count]) == 0)
                b->count++;
        finish_batch(c, b, on_store_thread(c, &write_batch_task, b));
    }
    free(b);
    return r == -EPIPE ? 0 : r;
}
TRINE_TASK(write_stage, struct batch);

int writing_start(struct crawl *c, trine_scope *writing) {
    struct batch *b = calloc(1, sizeof(*b));
    if (!b)
        return -ENOMEM;
    b->crawl = c;
    b->store = c->store;
    return trine_spawn(writing, write_stage, b);
}

/* --- pages that were done before --- */

struct expansion {
    struct crawl *crawl;
    struct frontier_url *url;
    trine_buf links; /* each ended by a newline; a redirect's target alone */
    bool redirect;
    char error[512];
};

static int keep_link(void *context, const char *url, size_t len) {
    trine_buf *links = context;
    int r = trine_buf_append(links, url, len);
    return r < 0 ? r : trine_buf_append(links, "\n", 1);
}

static int read_links(struct expansion *e) {
    int64_t id;
    int r = store_find(e->crawl->store, e->url->url, &id);
    if (r == 0)
        r = store_each_link(e->crawl->store, id, keep_link, &e->links);
    if (r < 0)
        snprintf(e->error, sizeof(e->error), "%s", store_error(e->crawl->store));
    return r;
}
TRINE_TASK(read_links, struct expansion);

static int expand(struct expansion *e) {
    struct crawl *c = e->crawl;
    int r = on_store_thread(c, &read_links_task, e);
    if (r < 0 && r != -ECANCELED && r != -ETIMEDOUT)
        crawl_fail(c, "%s", e->error);
    else if (r == 0 && frontier_follow(c->frontier, e->url)) {
        const char *at = e->links.ptr, *end = at + e->links.len;
        for (const char *line; at < end; at = line + 1) {
            line = memchr(at, '\n', (size_t)(end - at));
            if (frontier_add_link(c->frontier, e->url, at, (size_t)(line - at)) == -ENOMEM)
                crawl_fail(c, "out of memory");
        }
    }
    trine_buf_free(&e->links);
    free(e);
    c->expanding--;
    crawl_notify(c);
    return 0;
}
TRINE_TASK(expand, struct expansion);

int expansion_start(struct crawl *c, struct frontier_url *u) {
    struct expansion *e = calloc(1, sizeof(*e));
    if (!e)
        return -ENOMEM;
    e->crawl = c;
    e->url = u;
    c->expanding++;
    return trine_spawn(c->fetching, expand, e);
}
