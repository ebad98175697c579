/*
 * robots.txt as RFC 9309 has it: may our crawler fetch this target?
 *
 * Crawl-delay is no part of the RFC and is ignored: --per-host bounds what a host gets from us.
 */
#ifndef CRAWL_ROBOTS_H
#define CRAWL_ROBOTS_H

#include <stdbool.h>
#include <stddef.h>

enum { ROBOTS_MAX = 500 << 10 }; /* bytes that are read; what follows is ignored (section 2.5) */

#define ROBOTS_TOKEN "trine" /* our product token */

struct robots;

/*
 * Makes the rules of one site for a product token from the answer to GET /robots.txt.
 * status is the HTTP status after redirects, 0 when there was no answer: 2xx reads the body;
 * 5xx, 429 and 0 forbid everything (section 2.3.1.4); all others (4xx, a redirect loop) allow
 * everything (2.3.1.3). The body may be any bytes; it is not kept. Returns 0 or -ENOMEM.
 */
int robots_new(int status, const char *body, size_t len, const char *token,
               struct robots **ret_robots);
void robots_free(struct robots *robots); /* NULL is fine */

/*
 * True when target (path and query of a normalised URL, see url_target) may be fetched: the longest
 * matching rule decides, allow wins over an equal disallow, no rule allows; /robots.txt itself is
 * always allowed. Time is bounded by rules * (pattern + target), whatever the pattern.
 * Any thread; never fails.
 */
bool robots_allowed(const struct robots *robots, const char *target);

#endif
