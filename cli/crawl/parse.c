/* parse.c - the second stage: bodies go to worker processes, where hostile HTML can do no harm, and
 * come back as a flat page. The workers are closed in: what they need of files they read before.
 * The URL and the charset travel behind the body, in the same buffer, so that the body is not
 * copied for them.
 *
 * What a worker dies of becomes the page's error. Rejected: threads (a parser's crash would take
 * the crawl along). */
#include "crawl/charset.h"
#include "crawl/crawl.h"
#include "crawl/poison.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Behind the body: URL, NUL, charset, NUL, then this. */
struct trailer {
    uint32_t url_size, charset_size; /* with their NULs */
    bool html, want_text;
};

/* --- in the worker --- */

struct task_head {
    int64_t ns; /* what the parse took */
};

static int64_t monotonic(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static struct page_parser *parser; /* one a worker, its memory stays hot */

struct nothing {
    int unused;
};

/* Before the sandbox closes: converters are modules, and the libraries have files of settings. */
static int prepare_worker(struct nothing *n) {
    (void)n;
    static const char text[] = "<!doctype html><title>a</title><p>b";
    const struct page_input input = {.body = text,
                                     .len = sizeof(text) - 1,
                                     .url = "http://localhost/",
                                     .want_text = true};
    const void *bytes;
    size_t len;
    charset_load_converters();
    int r = page_parser_new(&parser);
    return r < 0 ? r : page_parse(parser, &input, &bytes, &len);
}
TRINE_TASK(prepare_worker, struct nothing);

static int parse_html(const struct page_input *input, trine_buf *out) {
    const void *bytes = NULL;
    size_t len = 0;
    int r = page_parse(parser, input, &bytes, &len);
    return r < 0 ? r : trine_buf_append(out, bytes, len);
}

static int only_digest(const struct page_input *input, trine_buf *out) {
    struct page page = {0};
    page_sha256(input->body, input->len, page.sha256);
    size_t size = page_encoded_size(&page);
    int r = trine_buf_reserve(out, size);
    if (r == 0)
        out->len += page_encode(&page, (char *)out->ptr + out->len);
    return r;
}

static int parse_body(trine_bytes in, trine_buf *out) {
    struct trailer t;
    if (in.len < sizeof(t))
        return -EBADMSG;
    memcpy(&t, (const char *)in.ptr + in.len - sizeof(t), sizeof(t));
    size_t behind = sizeof(t) + t.url_size + t.charset_size;
    if (in.len < behind)
        return -EBADMSG;
    const char *body = in.ptr, *url = body + in.len - behind, *charset = url + t.url_size;
    struct page_input input = {.body = body,
                               .len = in.len - behind,
                               .url = url,
                               .charset = *charset ? charset : NULL,
                               .want_text = t.want_text};
    struct task_head head = {.ns = monotonic()};
    int r = trine_buf_append(out, &head, sizeof(head));
    if (r < 0)
        return r;
    poison_take_effect(input.body, input.len);
    r = t.html ? parse_html(&input, out) : only_digest(&input, out);
    head.ns = monotonic() - head.ns;
    memcpy(out->ptr, &head, sizeof(head));
    return r;
}
TRINE_BYTES_TASK(parse_body);

/* --- in the crawl --- */

static int append_trailer(struct job *j) {
    char charset[64];
    if (!page_charset(j->response.content_type, charset, sizeof(charset)))
        charset[0] = 0;
    struct trailer t = {.url_size = (uint32_t)strlen(j->url->url) + 1,
                        .charset_size = (uint32_t)strlen(charset) + 1,
                        .html = page_is_html(j->response.content_type),
                        .want_text = j->crawl->settings.text};
    trine_buf *b = &j->response.body;
    int r = trine_buf_append(b, j->url->url, t.url_size);
    if (r == 0)
        r = trine_buf_append(b, charset, t.charset_size);
    return r < 0 ? r : trine_buf_append(b, &t, sizeof(t));
}

/* Takes apart what came back: nothing in it is trusted. */
static int read_result(struct job *j) {
    struct task_head head;
    if (j->parsed.len < sizeof(head))
        return -EBADMSG;
    memcpy(&head, j->parsed.ptr, sizeof(head));
    j->process_ms = (double)head.ns / 1e6;
    return page_decode((char *)j->parsed.ptr + sizeof(head), j->parsed.len - sizeof(head),
                       &j->page);
}

/* 0, also when the page itself failed; else why the wait ended. */
static int parse_job(struct job *j) {
    int r = append_trailer(j);
    if (r < 0)
        return r;
    trine_bytes in = {j->response.body.ptr, j->response.body.len};
    int status;
    {
        TRINE_SCOPE(scope, .policy = TRINE_COLLECT);
        trine_future *f = trine_start_bytes(scope, j->crawl->workers, parse_body, in, &j->parsed);
        r = trine_await(f, &status);
        if (r == 0 && status < 0)
            snprintf(j->error, sizeof(j->error), "parse: %s", trine_error_of(f)->detail);
    }
    if (r < 0)
        return r;
    if (status == -ECANCELED)
        return status; /* the crawl is being stopped: the page is for the next run */
    if (status >= 0 && read_result(j) < 0)
        snprintf(j->error, sizeof(j->error), "parse: the worker's answer makes no sense");
    j->has_page = !j->error[0];
    return 0;
}

static void follow_links(struct job *j) {
    struct crawl *c = j->crawl;
    if (!j->has_page || !frontier_follow(c->frontier, j->url))
        return;
    size_t cursor = 0, len;
    const char *url;
    while (page_next_link(&j->page, &cursor, &url, &len))
        if (frontier_add_link(c->frontier, j->url, url, len) == -ENOMEM)
            crawl_fail(c, "out of memory");
}

static int parse_stage(struct crawl *c) {
    struct job *j;
    int r;
    while ((r = trine_channel_recv(c->to_parse, &j)) == 0) {
        stage_enter(&c->stats.process);
        r = parse_job(j);
        stage_leave(&c->stats.process);
        job_drop_body(j);
        if (r == 0) {
            follow_links(j);
            crawl_notify(c);
            r = trine_channel_send(c->to_store, &j);
        }
        if (r < 0) {
            job_lose(j);
            return r;
        }
    }
    return r == -EPIPE ? 0 : r;
}
TRINE_TASK(parse_stage, struct crawl);

int parsing_open(struct crawl *c) {
    trine_processes_opts opts = {.size = sizeof(opts),
                                 .workers = (unsigned)c->settings.workers,
                                 .task_timeout = TRINE_SEC(10),
                                 .limit_memory = (size_t)512 << 20,
                                 .max_result = (size_t)128 << 20,
                                 .on_start = &prepare_worker_task,
                                 .sandbox = true};
    int r = trine_processes_open(&c->workers, &opts);
    if (r != -ENOTSUP)
        return r;
    fprintf(stderr, "trine crawl: pages are taken apart without a sandbox: this kernel, or this "
                    "build, has no seccomp\n");
    opts.sandbox = false;
    return trine_processes_open(&c->workers, &opts);
}

int parsing_start(struct crawl *c, trine_scope *parsing) {
    /* More than there are workers: the next body is with a worker when it asks for one. */
    for (int i = 0; i < 3 * c->settings.workers; i++) {
        int r = trine_spawn(parsing, parse_stage, c);
        if (r < 0)
            return r;
    }
    return 0;
}
