/*
 * The frontier: every URL that the crawl knows, how deep it lies, and what may be fetched next.
 *
 * A URL is fetched once. Its depth is the length of the shortest path of links found so far; when a
 * shorter one turns up after its page was done, its links are followed anew at the lesser depth.
 * Sites take turns, and each has at most --per-host fetches under way. Loop's thread only.
 */
#ifndef CRAWL_FRONTIER_H
#define CRAWL_FRONTIER_H

#include "crawl/robots.h"
#include "crawl/settings.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum url_state {
    URL_QUEUED,
    URL_TAKEN,   /* being fetched, parsed, stored */
    URL_DONE,    /* in the store, its links are followed as far as `followed` says */
    URL_REFUSED, /* robots.txt forbids it */
    URL_LOST,    /* could not be finished before the end: not stored */
};

struct site;

struct frontier_url {
    struct site *site;
    struct frontier_url *next; /* in its site's queue, or the queue of those to expand */
    int depth;
    int followed;  /* the depth at which its links were followed; INT_MAX: not yet */
    uint16_t hops; /* redirects that led here */
    uint8_t state;
    bool expanding;
    char *redirect; /* where it is known to lead; NULL: nowhere */
    char url[];
};

enum robots_state { ROBOTS_UNKNOWN, ROBOTS_ASKED, ROBOTS_KNOWN };

struct frontier;

/* Returns NULL when memory is short. */
struct frontier *frontier_new(const struct settings *settings);
void frontier_free(struct frontier *f);

/* A start URL (normalised): its host may be followed. Or a page that the store has already, with
 * where it redirects to (NULL: nowhere). 0, -ENOMEM, -ENOSPC: --max-pages URLs are known. */
int frontier_add_start(struct frontier *f, const char *url);
int frontier_add_done(struct frontier *f, const char *url, size_t len, const char *redirect);

/* A link found on a page of that depth; taken if its host may be followed. A redirect leads to the
 * same depth. Errors as above. */
int frontier_add_link(struct frontier *f, const struct frontier_url *from, const char *url,
                      size_t len);
int frontier_add_redirect(struct frontier *f, struct frontier_url *from, const char *url,
                          size_t len);

/* The next URL to fetch, taken; NULL: none may be now. */
struct frontier_url *frontier_take(struct frontier *f);

/* A site whose robots.txt is wanted before any of its URLs: asked now; NULL: none. */
struct site *frontier_take_site(struct frontier *f);
const char *site_name(const struct site *s); /* scheme://host:port */
void frontier_set_robots(struct frontier *f, struct site *s, struct robots *robots);

/* The fetch is over (the site may have another); the page is in the store, or lost. */
void frontier_fetched(struct frontier *f, struct frontier_url *u);
void frontier_finish(struct frontier *f, struct frontier_url *u, enum url_state state);

/* Should the page's links be followed at its present depth, and are not yet? Then that is noted. */
bool frontier_follow(struct frontier *f, struct frontier_url *u);

/* A done page whose links the store must give, to follow them; NULL: none. */
struct frontier_url *frontier_take_expansion(struct frontier *f);

struct frontier_count {
    size_t known, queued, taken, refused, expansions, dropped; /* dropped: over --max-pages */
};
struct frontier_count frontier_count(const struct frontier *f);

#endif
