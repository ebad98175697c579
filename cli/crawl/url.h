/*
 * URLs of the crawl's frontier: normalise, resolve, compare.
 *
 * Two URLs that normalise to the same bytes are the same page to the crawl. Only http and https;
 * a normalised URL is pure ASCII without spaces, has a path that begins with "/", no fragment, no
 * default port, no dot segments and a lower-case scheme and host. Nothing here allocates or
 * suspends; every function may be called from any thread.
 */
#ifndef CRAWL_URL_H
#define CRAWL_URL_H

#include <stdbool.h>
#include <stddef.h>

enum { URL_MAX = 8192 }; /* longest normalised URL, its final NUL included */

/*
 * Normalises an absolute URL of len bytes into out (URL_MAX bytes), NUL-terminated.
 * Illegal bytes and spaces are percent-encoded, the case of hex digits in %xx is made upper;
 * no %xx is decoded. White space around the URL is dropped, and so are tabs and line ends in it.
 * ret_len and ret_error may be NULL; *ret_error is a static text for people ("it has no host").
 * Returns 0; -EINVAL when it is no http(s) URL with a host; -ENAMETOOLONG.
 */
int url_normalise(const char *url, size_t len, char *out, size_t *ret_len, const char **ret_error);

/* A normalised URL taken apart, ready to resolve references against it. Points into nothing. */
struct url_base {
    char url[URL_MAX];
    size_t len;
    size_t scheme_len; /* "http" or "https", without ":" */
    size_t path;       /* offset of the path's first "/" */
    size_t dir_end;    /* one past the last "/" of the path */
    size_t path_end;   /* offset of "?" or of the end */
};

/* Makes *base from an absolute URL (normalised on the way). Errors as url_normalise. */
int url_base_init(struct url_base *base, const char *url, size_t len);

/*
 * Resolves a reference of len bytes against base as RFC 3986 section 5.2 does, without the
 * fragment, and writes the normalised URL into out (URL_MAX bytes), NUL-terminated.
 * "\" counts as "/" before the query, as in browsers.
 * Returns 0; -EINVAL when the result is no http(s) URL with a host (mailto:, javascript:, ...);
 * -ENAMETOOLONG.
 */
int url_resolve(const struct url_base *base, const char *ref, size_t len, char *out,
                size_t *ret_len);

/*
 * The parts of a NORMALISED URL, as slices of it. The host is without user name and port
 * ("[::1]" keeps its brackets); the site is scheme, host and port: "https://host:8080" (also
 * where robots.txt lives); the target is path and query, what a request line names.
 */
const char *url_host(const char *url, size_t *ret_len);
const char *url_target(const char *url);
bool url_same_host(const char *a, const char *b);

/* Writes scheme://host[:port], without user name, into out (URL_MAX bytes); returns its length. */
size_t url_site(const char *url, char *out);
bool url_same_site(const char *a, const char *b);

#endif
