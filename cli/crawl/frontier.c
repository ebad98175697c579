/* frontier.c - see frontier.h. Two hash tables (uthash): URLs, and sites, which hold queues.
 *
 * Invariants: a site is in the ring of ready sites exactly when it has a queued URL, its robots.txt
 * is known, and fewer than --per-host fetches. A done URL is in the queue of expansions exactly
 * when `expanding` is set. Rejected: one queue of URLs, searched for a site that may be asked:
 * O(n). */
#include "crawl/frontier.h"

#include "crawl/url.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(entry) ((entry)->site = NULL)
#include <uthash.h>

struct known {
    UT_hash_handle hh;
    void *site; /* for uthash_nonfatal_oom: not NULL while the table has the entry */
    struct frontier_url url;
};

struct queue {
    struct frontier_url *first, **last;
    size_t count;
};

struct site {
    UT_hash_handle hh;
    void *site; /* as in struct known */
    struct queue queue;
    struct site *next_ready, *next_asked;
    unsigned fetching;
    bool ready;
    uint8_t robots_state;
    struct robots *robots;
    char name[];
};

struct host { /* whose links may be followed */
    UT_hash_handle hh;
    void *site; /* as in struct known */
    char name[];
};

struct frontier {
    const struct settings *settings;
    struct known *known;
    struct site *sites;
    struct host *hosts;
    struct site *ready, **ready_last; /* sites take turns */
    struct site *unasked;             /* sites whose robots.txt is wanted */
    struct queue expansions;
    struct frontier_count count;
};

static void queue_init(struct queue *q) {
    q->first = NULL;
    q->last = &q->first;
    q->count = 0;
}

static void queue_push(struct queue *q, struct frontier_url *u) {
    u->next = NULL;
    *q->last = u;
    q->last = &u->next;
    q->count++;
}

static struct frontier_url *queue_pop(struct queue *q) {
    struct frontier_url *u = q->first;
    if (!u)
        return NULL;
    q->first = u->next;
    if (!q->first)
        q->last = &q->first;
    q->count--;
    return u;
}

struct frontier *frontier_new(const struct settings *settings) {
    struct frontier *f = calloc(1, sizeof(*f));
    if (!f)
        return NULL;
    f->settings = settings;
    f->ready_last = &f->ready;
    queue_init(&f->expansions);
    return f;
}

void frontier_free(struct frontier *f) {
    if (!f)
        return;
    struct known *k, *next_known;
    HASH_ITER(hh, f->known, k, next_known) {
        HASH_DELETE(hh, f->known, k);
        free(k->url.redirect);
        free(k);
    }
    struct site *s, *next_site;
    HASH_ITER(hh, f->sites, s, next_site) {
        HASH_DELETE(hh, f->sites, s);
        robots_free(s->robots);
        free(s);
    }
    struct host *h, *next_host;
    HASH_ITER(hh, f->hosts, h, next_host) {
        HASH_DELETE(hh, f->hosts, h);
        free(h);
    }
    free(f);
}

/* --- sites --- */

static void make_ready(struct frontier *f, struct site *s) {
    if (s->ready || !s->queue.count || s->fetching >= (unsigned)f->settings->per_host ||
        s->robots_state != ROBOTS_KNOWN)
        return;
    s->ready = true;
    s->next_ready = NULL;
    *f->ready_last = s;
    f->ready_last = &s->next_ready;
}

static struct site *find_or_add_site(struct frontier *f, const char *url) {
    char name[URL_MAX];
    size_t len = url_site(url, name);
    struct site *s;
    HASH_FIND(hh, f->sites, name, len, s);
    if (s)
        return s;
    s = calloc(1, sizeof(*s) + len + 1);
    if (!s)
        return NULL;
    memcpy(s->name, name, len + 1);
    queue_init(&s->queue);
    s->site = s;
    s->robots_state = f->settings->robots ? ROBOTS_UNKNOWN : ROBOTS_KNOWN;
    HASH_ADD(hh, f->sites, name, len, s);
    if (!s->site) {
        free(s);
        return NULL;
    }
    return s;
}

const char *site_name(const struct site *s) {
    return s->name;
}

struct site *frontier_take_site(struct frontier *f) {
    struct site *s = f->unasked;
    if (s) {
        f->unasked = s->next_asked;
        s->robots_state = ROBOTS_ASKED;
    }
    return s;
}

void frontier_set_robots(struct frontier *f, struct site *s, struct robots *robots) {
    s->robots = robots;
    s->robots_state = ROBOTS_KNOWN;
    make_ready(f, s);
}

/* --- URLs --- */

static struct frontier_url *find(struct frontier *f, const char *url, size_t len) {
    struct known *k;
    HASH_FIND(hh, f->known, url, len, k);
    return k ? &k->url : NULL;
}

static int add(struct frontier *f, const char *url, size_t len, struct frontier_url **ret) {
    if (f->count.known >= (size_t)f->settings->max_pages) {
        f->count.dropped++;
        return -ENOSPC;
    }
    struct known *k = calloc(1, sizeof(*k) + len + 1);
    if (!k)
        return -ENOMEM;
    memcpy(k->url.url, url, len);
    k->site = k;
    k->url.followed = INT_MAX;
    k->url.site = find_or_add_site(f, k->url.url);
    if (k->url.site)
        HASH_ADD_KEYPTR(hh, f->known, k->url.url, len, k);
    if (!k->url.site || !k->site) {
        free(k);
        return -ENOMEM;
    }
    f->count.known++;
    *ret = &k->url;
    return 0;
}

static void enqueue(struct frontier *f, struct frontier_url *u) {
    struct site *s = u->site;
    u->state = URL_QUEUED;
    f->count.queued++;
    queue_push(&s->queue, u);
    if (s->robots_state == ROBOTS_UNKNOWN && s->queue.count == 1) {
        s->next_asked = f->unasked;
        f->unasked = s;
    }
    make_ready(f, s);
}

/* A done page's links are to be followed (anew): by way of the store, unless that is under way. */
static void want_expansion(struct frontier *f, struct frontier_url *u) {
    if (u->state != URL_DONE || u->expanding || u->depth >= f->settings->depth ||
        u->depth >= u->followed)
        return;
    u->expanding = true;
    f->count.expansions++;
    queue_push(&f->expansions, u);
}

static int follow_known_redirect(struct frontier *f, struct frontier_url *u);

/* The URL was reached at this depth. */
static int reach(struct frontier *f, const char *url, size_t len, int depth, unsigned hops) {
    struct frontier_url *u = find(f, url, len);
    if (!u) {
        int r = add(f, url, len, &u);
        if (r < 0)
            return r;
        u->depth = depth;
        u->hops = (uint16_t)hops;
        enqueue(f, u);
    } else if (depth < u->depth) {
        u->depth = depth;
        u->hops = (uint16_t)hops;
        want_expansion(f, u);
        return follow_known_redirect(f, u);
    }
    return 0;
}

static bool host_followed(struct frontier *f, const char *url) {
    if (f->settings->span_hosts)
        return true;
    size_t len;
    const char *name = url_host(url, &len);
    struct host *h;
    HASH_FIND(hh, f->hosts, name, len, h);
    return h != NULL;
}

static int follow_host(struct frontier *f, const char *url) {
    if (host_followed(f, url))
        return 0;
    size_t len;
    const char *name = url_host(url, &len);
    struct host *h = calloc(1, sizeof(*h) + len + 1);
    if (!h)
        return -ENOMEM;
    memcpy(h->name, name, len);
    h->site = h;
    HASH_ADD(hh, f->hosts, name, len, h);
    if (h->site)
        return 0;
    free(h);
    return -ENOMEM;
}

int frontier_add_start(struct frontier *f, const char *url) {
    int r = follow_host(f, url);
    return r < 0 ? r : reach(f, url, strlen(url), 0, 0);
}

int frontier_add_done(struct frontier *f, const char *url, size_t len, const char *redirect) {
    if (find(f, url, len))
        return 0;
    struct frontier_url *u;
    int r = add(f, url, len, &u);
    if (r < 0)
        return r;
    u->depth = INT_MAX; /* until a link or a start reaches it */
    u->state = URL_DONE;
    if (redirect && !(u->redirect = strdup(redirect)))
        return -ENOMEM;
    return 0;
}

int frontier_add_link(struct frontier *f, const struct frontier_url *from, const char *url,
                      size_t len) {
    char copy[URL_MAX];
    if (len >= sizeof(copy))
        return 0;
    memcpy(copy, url, len);
    copy[len] = 0;
    if (!host_followed(f, copy))
        return 0;
    return reach(f, url, len, from->depth + 1, 0);
}

static int follow_redirect(struct frontier *f, const struct frontier_url *from) {
    enum { HOPS_MOST = 10 };
    if (from->hops >= HOPS_MOST)
        return -ELOOP;
    if (from->depth == 0) { /* a start URL may send us on: example.org to www.example.org */
        int r = follow_host(f, from->redirect);
        if (r < 0)
            return r;
    }
    if (!host_followed(f, from->redirect))
        return 0;
    return reach(f, from->redirect, strlen(from->redirect), from->depth, from->hops + 1u);
}

/* That a chain is too long is the error of the page where it was found to be. */
static int follow_known_redirect(struct frontier *f, struct frontier_url *u) {
    int r = u->redirect ? follow_redirect(f, u) : 0;
    return r == -ELOOP ? 0 : r;
}

int frontier_add_redirect(struct frontier *f, struct frontier_url *from, const char *url,
                          size_t len) {
    if (!from->redirect && !(from->redirect = strndup(url, len)))
        return -ENOMEM;
    return follow_redirect(f, from);
}

struct frontier_url *frontier_take(struct frontier *f) {
    struct site *s;
    while ((s = f->ready)) {
        f->ready = s->next_ready;
        if (!f->ready)
            f->ready_last = &f->ready;
        s->ready = false;
        struct frontier_url *u = queue_pop(&s->queue);
        f->count.queued--;
        if (s->robots && !robots_allowed(s->robots, url_target(u->url))) {
            u->state = URL_REFUSED;
            f->count.refused++;
            make_ready(f, s);
            continue;
        }
        s->fetching++;
        f->count.taken++;
        u->state = URL_TAKEN;
        make_ready(f, s);
        return u;
    }
    return NULL;
}

void frontier_fetched(struct frontier *f, struct frontier_url *u) {
    u->site->fetching--;
    make_ready(f, u->site);
}

void frontier_finish(struct frontier *f, struct frontier_url *u, enum url_state state) {
    f->count.taken--;
    u->state = (uint8_t)state;
    want_expansion(f, u);
}

bool frontier_follow(struct frontier *f, struct frontier_url *u) {
    if (u->depth >= f->settings->depth || u->depth >= u->followed)
        return false;
    u->followed = u->depth;
    return true;
}

struct frontier_url *frontier_take_expansion(struct frontier *f) {
    struct frontier_url *u = queue_pop(&f->expansions);
    if (u) {
        f->count.expansions--;
        u->expanding = false;
    }
    return u;
}

struct frontier_count frontier_count(const struct frontier *f) {
    return f->count;
}
