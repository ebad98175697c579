/* url.h - URLs as libcurl understands them, so that who resolves a host and who connects agree. */
#ifndef TRINE_HTTP_URL_H
#define TRINE_HTTP_URL_H

#include <curl/curl.h>
#include <stdbool.h>

/* Takes the URL, or resolves it against the one that `u` has: 0, -EINVAL, -EPROTONOSUPPORT,
 * -ENOMEM. */
int url_set(CURLU *u, const char *url);

/* One part, owned by the caller and freed by curl_free; NULL when there is none. */
char *url_part(CURLU *u, CURLUPart part, unsigned flags);

/* Are scheme, host and port of both the same? */
bool url_same_origin(CURLU *a, CURLU *b);

#endif
