/* url.c - URLs by libcurl's own parser. Rejected: a parser of ours for the host alone (where two
 * parsers disagree, one connects to what the other did not check). */
#include "http/url.h"

#include <trine/http.h>

#include "base/panic.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

static int error_of(CURLUcode code) {
    switch (code) {
    case CURLUE_OK:
        return 0;
    case CURLUE_OUT_OF_MEMORY:
        return -ENOMEM;
    case CURLUE_UNSUPPORTED_SCHEME:
        return -EPROTONOSUPPORT;
    default:
        return -EINVAL;
    }
}

char *url_part(CURLU *u, CURLUPart part, unsigned flags) {
    char *value = NULL;
    return curl_url_get(u, part, &value, flags) == CURLUE_OK ? value : NULL;
}

int url_set(CURLU *u, const char *url) {
    int r = error_of(curl_url_set(u, CURLUPART_URL, url, CURLU_URLENCODE));
    if (r < 0)
        return r;
    char *scheme = url_part(u, CURLUPART_SCHEME, 0);
    if (!scheme)
        r = -ENOMEM;
    else if (strcasecmp(scheme, "http") != 0 && strcasecmp(scheme, "https") != 0)
        r = -EPROTONOSUPPORT;
    curl_free(scheme);
    return r;
}

static bool same_part(CURLU *a, CURLU *b, CURLUPart part) {
    char *x = url_part(a, part, CURLU_DEFAULT_PORT), *y = url_part(b, part, CURLU_DEFAULT_PORT);
    bool same = x && y && strcasecmp(x, y) == 0;
    curl_free(x);
    curl_free(y);
    return same;
}

bool url_same_origin(CURLU *a, CURLU *b) {
    return same_part(a, b, CURLUPART_SCHEME) && same_part(a, b, CURLUPART_HOST) &&
           same_part(a, b, CURLUPART_PORT);
}

static int put(CURLU *u, trine_buf *ret) {
    char *text = url_part(u, CURLUPART_URL, 0);
    if (!text)
        return -ENOMEM;
    size_t n = strlen(text), before = ret->len;
    ret->len = 0;
    int r = trine_buf_append(ret, text, n + 1);
    ret->len = r < 0 ? before : n;
    curl_free(text);
    return r;
}

int trine_url_join(const char *base, const char *reference, trine_buf *ret_url) {
    REQUIRE(base && reference && ret_url, "trine_url_join needs a base, a reference and a buffer");
    CURLU *u = curl_url();
    if (!u)
        return -ENOMEM;
    int r = url_set(u, base);
    if (r == 0) /* a page's own fragment is no part of its base URL */
        r = error_of(curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0));
    if (r == 0 && *reference)
        r = url_set(u, reference);
    if (r == 0)
        r = put(u, ret_url);
    curl_url_cleanup(u);
    return r;
}
