/* fetch.c - the first stage: one coroutine a page, one a robots.txt. A redirect is a page's answer:
 * it gets its row, and its target is a URL like others, so that each URL is fetched once.
 * Rejected: letting the client follow redirects (a target that is linked too would be fetched
 * twice). */
#include "crawl/crawl.h"
#include "crawl/url.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int64_t wall_clock_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* A redirect: its target joins the frontier. */
static int follow_redirect(struct job *j) {
    const char *location = trine_http_header(&j->response, "location", 0);
    if (!location)
        return 0;
    int r = trine_buf_reserve(&j->redirect, sizeof(struct url_base) + URL_MAX);
    if (r < 0)
        return r;
    struct url_base *base = j->redirect.ptr; /* too large for a coroutine's stack */
    char *target = (char *)(base + 1);
    size_t len;
    if (url_base_init(base, j->url->url, strlen(j->url->url)) < 0 ||
        url_resolve(base, location, strlen(location), target, &len) < 0) {
        snprintf(j->error, sizeof(j->error), "it redirects to what is no http(s) URL: %.100s",
                 location);
        return 0;
    }
    memmove(j->redirect.ptr, target, len + 1);
    j->redirect.len = len;
    j->crawl->stats.redirects++;
    r = frontier_add_redirect(j->crawl->frontier, j->url, j->redirect.ptr, len);
    if (r == -ELOOP)
        snprintf(j->error, sizeof(j->error), "more than 10 redirects in a row led here");
    return r == -ENOMEM ? r : 0;
}

static bool has_body_to_parse(const struct job *j) {
    return j->response.status >= 200 && j->response.status < 300 && !j->error[0];
}

/* 0: the job is the next stage's; else it is still ours, to be given up. */
static int fetch_and_pass_on(struct job *j) {
    struct crawl *c = j->crawl;
    stage_enter(&c->stats.fetch);
    int r = trine_http_get(c->http, j->url->url, &j->response);
    stage_leave(&c->stats.fetch);
    frontier_fetched(c->frontier, j->url);
    if (r == -ECANCELED || r == -ETIMEDOUT || r == -EAGAIN)
        return r;
    j->fetched_at_ms = wall_clock_ms();
    j->fetch_ms = (double)j->response.elapsed / 1e6;
    if (r == 0)
        j->body_len = (int64_t)j->response.body.len;
    c->stats.fetched++;
    if (r < 0)
        snprintf(j->error, sizeof(j->error), "%s", j->response.error);
    else if (j->response.status >= 300 && j->response.status < 400 && follow_redirect(j) < 0)
        crawl_fail(c, "out of memory");
    bool parses = has_body_to_parse(j);
    if (!parses)
        job_drop_body(j);
    return trine_channel_send(parses ? c->to_parse : c->to_store, &j);
}

/* The fetch counts as under way until the next stage has room for the page: when parsing is slower
 * than the network, pages must not pile up in between. */
static int fetch_page(struct job *j) {
    struct crawl *c = j->crawl;
    int r = fetch_and_pass_on(j);
    c->fetches--;
    crawl_notify(c);
    if (r < 0)
        job_lose(j);
    return r;
}
TRINE_TASK(fetch_page, struct job);

int fetch_start(struct crawl *c, struct frontier_url *u) {
    struct job *j = job_take(c, u);
    if (!j)
        return -ENOMEM;
    c->fetches++;
    return trine_spawn(c->fetching, fetch_page, j);
}

/* --- robots.txt --- */

struct asking {
    struct crawl *crawl;
    struct site *site;
    trine_http_response response;
};

/* Where nothing answers, the pages' own fetches say so better than robots.txt could. */
static int ask_robots(struct asking *a) {
    struct crawl *c = a->crawl;
    char url[URL_MAX + 16];
    snprintf(url, sizeof(url), "%s/robots.txt", site_name(a->site));
    int r = trine_http_get(c->robots_http, url, &a->response);
    int status = r < 0 ? 404 : a->response.status;
    struct robots *robots;
    if (robots_new(status, a->response.body.ptr, a->response.body.len, ROBOTS_TOKEN, &robots) < 0) {
        crawl_fail(c, "out of memory");
        robots = NULL;
    }
    frontier_set_robots(c->frontier, a->site, robots);
    trine_http_response_free(&a->response);
    free(a);
    c->askings--;
    crawl_notify(c);
    return 0;
}
TRINE_TASK(ask_robots, struct asking);

int robots_start(struct crawl *c, struct site *s) {
    struct asking *a = calloc(1, sizeof(*a));
    if (!a)
        return -ENOMEM;
    a->crawl = c;
    a->site = s;
    c->askings++;
    return trine_spawn(c->fetching, ask_robots, a);
}
