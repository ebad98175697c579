/* request.c - one request from its URL to its response: look-up, addresses in turn, redirects. It
 * runs in the caller's strand and waits in two places, dns_resolve and engine_perform; a scope with
 * the request's timeout covers all of it.
 *
 * Rejected: redirects by libcurl (it would resolve the next host by itself, see net/dns.c). */
#include "base/panic.h"
#include "core/strand.h"
#include "http/engine.h"
#include "http/response.h"
#include "http/transfer.h"
#include "http/url.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct exchange {
    trine_http *http;
    const trine_http_request *request;
    trine_http_response *response;
    struct strand *self;
    struct transfer *t;
    const char *method; /* of the present hop */
    trine_bytes body;
    struct curl_slist *headers; /* of the present hop: the session's, or ours to free */
    CURLU *origin;              /* the first hop's URL; made at the first redirect */
    char *url;                  /* of the present hop; curl_free */
};

static int explain(struct exchange *x, int error, const char *what, const char *name) {
    snprintf(x->t->message, sizeof(x->t->message), "%s: %s", what, name);
    return error;
}

/* --- one hop --- */

/* Addresses for libcurl to connect to; none when it can find out by itself without a look-up. */
static int resolve(struct exchange *x, const char *host, struct dns_addresses *ret) {
    struct dns_address literal;
    ret->count = 0;
    if (x->http->proxy || host[0] == '[' || dns_is_literal(host, &literal))
        return 0;
    int r = dns_resolve(host, ret);
    return r < 0 ? explain(x, r, "could not resolve host", host) : 0;
}

static int fetch_from(struct exchange *x, const char *host) {
    struct dns_addresses addresses;
    int r = resolve(x, host, &addresses);
    if (r < 0)
        return r;
    for (unsigned i = 0;; i++) {
        const struct dns_address *address = addresses.count ? &addresses.at[i] : NULL;
        r = transfer_set_target(x->t, x->url, address);
        if (r == 0)
            r = engine_perform(x->t, host, x->self);
        if (r < 0)
            return r;
        r = transfer_outcome(x->t);
        if (r == 0 || i + 1 >= addresses.count || !transfer_is_unconnected(x->t))
            return r;
        dns_demote(host, address);
    }
}

static int fetch_hop(struct exchange *x) {
    CURLU *u = x->t->url;
    curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0);
    curl_free(x->url);
    x->url = url_part(u, CURLUPART_URL, 0);
    if (!x->url)
        return -ENOMEM;
    char *host = url_part(u, CURLUPART_HOST, CURLU_PUNYCODE);
    if (!host)
        return explain(x, -EINVAL, "not a host name, in URL", x->url);
    int r = transfer_set_request(x->t, x->method, x->body, x->headers);
    if (r == 0)
        r = fetch_from(x, host);
    curl_free(host);
    return r;
}

/* --- headers --- */

static void drop_headers(struct exchange *x) {
    if (x->headers != x->http->headers && x->headers != x->http->headers_elsewhere)
        curl_slist_free_all(x->headers);
    x->headers = NULL;
}

/* libcurl would announce a form, and would wait for "100 Continue" before a large body. */
static int silence(struct curl_slist **list, const char *name) {
    for (const struct curl_slist *i = *list; i; i = i->next) {
        if (header_same_name(i->data, name))
            return 0;
    }
    struct curl_slist *longer = curl_slist_append(*list, name);
    if (!longer)
        return -ENOMEM;
    *list = longer;
    return 0;
}

static int choose_headers(struct exchange *x, bool elsewhere) {
    const trine_http_request *q = x->request;
    drop_headers(x);
    x->headers = elsewhere ? x->http->headers_elsewhere : x->http->headers;
    if (q->header_count == 0 && x->body.len == 0)
        return 0;
    struct curl_slist *list;
    int r = headers_merge(x->headers, q->headers, q->header_count, elsewhere, &list);
    if (r < 0)
        return r == -EINVAL ? explain(x, r, "not a header", "it needs \"Name: value\"") : r;
    x->headers = list;
    if (x->body.len)
        r = silence(&x->headers, "Content-Type:");
    if (x->body.len && r == 0)
        r = silence(&x->headers, "Expect:");
    return r;
}

/* --- redirects --- */

static bool is_redirect(int status) {
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* RFC 9110, 15.4: what becomes of method and body. */
static void change_method(struct exchange *x, int status) {
    bool post = strcmp(x->method, "POST") == 0, head = strcmp(x->method, "HEAD") == 0;
    if ((status == 303 && !head) || ((status == 301 || status == 302) && post)) {
        x->method = "GET";
        x->body = (trine_bytes){0};
    }
}

/* 1: there is another hop; 0: this was the last. */
static int next_hop(struct exchange *x) {
    trine_http_response *response = x->response;
    const char *location = trine_http_header(response, "Location", 0);
    if (!x->http->max_redirects || !is_redirect(response->status) || !location)
        return 0;
    if (response->redirects == x->http->max_redirects)
        return explain(x, -ELOOP, "too many redirects, the last one to", location);
    if (!x->origin && !(x->origin = curl_url_dup(x->t->url)))
        return -ENOMEM;
    int r = url_set(x->t->url, location);
    if (r < 0)
        return explain(x, r, "redirected to what cannot be fetched", location);
    response->redirects++;
    change_method(x, response->status);
    r = choose_headers(x, !url_same_origin(x->origin, x->t->url));
    return r < 0 ? r : 1;
}

static int fetch(struct exchange *x) {
    int r = url_set(x->t->url, x->request->url);
    if (r < 0)
        return explain(x, r, r == -EPROTONOSUPPORT ? "neither http nor https" : "not a URL",
                       x->request->url);
    r = choose_headers(x, false);
    while (r == 0) {
        r = fetch_hop(x);
        if (r < 0)
            return r;
        r = next_hop(x);
        if (r == 0)
            return 0;
        r = r > 0 ? 0 : r;
    }
    return r;
}

/* --- the calls --- */

/* The timeout is a scope around the request; that it was this scope which ended, and not one around
 * it, shows when it is closed. */
static int fetch_in_time(struct exchange *x) {
    int64_t timeout = x->request->timeout ? x->request->timeout : x->http->timeout;
    const trine_scope_opts opts = {.size = sizeof(opts),
                                   .name = "HTTP request",
                                   .timeout = timeout > 0 ? timeout : 0};
    trine_scope memory, *scope = trine_scope_open(&memory, &opts, TRINE_HERE_);
    int r = fetch(x);
    trine_scope_close(&scope);
    if (r != -ETIMEDOUT && r != -ECANCELED)
        return r;
    int outer = strand_reason(x->self);
    if (outer < 0) {
        snprintf(x->t->message, sizeof(x->t->message), "%s",
                 outer == -ETIMEDOUT ? "timed out: the deadline of the scope around it has passed"
                                     : "cancelled with the scope around it");
        return outer;
    }
    snprintf(x->t->message, sizeof(x->t->message), "no complete answer within %lld ms",
             (long long)(timeout / TRINE_MS(1)));
    return -ETIME;
}

/* With a transfer in hand: the request, and its response filled in. */
static int exchange(struct exchange *x) {
    x->t->response = x->response;
    x->t->message[0] = '\0';
    int64_t start = trine_now();
    int r = fetch_in_time(x);
    x->response->elapsed = trine_now() - start;
    const char *error = r == 0 ? "" : x->t->message[0] ? x->t->message : strerrordesc_np(-r);
    int finished = response_finish(x->response, x->url ? x->url : x->request->url,
                                   error ? error : "unknown error");
    drop_headers(x);
    curl_url_cleanup(x->origin);
    curl_free(x->url);
    x->t->response = NULL;
    engine_release(x->t, x->self);
    return r < 0 ? r : finished;
}

static int begin(struct exchange *x) {
    int r = strand_enter(&x->self);
    if (r == 0 && !x->http)
        r = session_default(&x->http);
    struct engine *e = NULL;
    if (r == 0)
        r = session_engine(x->http, &e);
    if (r == 0 && !(x->t = engine_acquire(e)))
        r = -ENOMEM;
    return r;
}

int trine_http_send(trine_http *http, const trine_http_request *request, trine_http_response *ret) {
    REQUIRE(request && ret, "trine_http_send needs a request and a response");
    REQUIRE(request->size == sizeof(*request), "trine_http_request.size is %u: set it to sizeof",
            request->size);
    REQUIRE(request->url, "trine_http_request.url is NULL: set it");
    struct exchange x = {.http = http,
                         .request = request,
                         .response = ret,
                         .body = request->body,
                         .method = request->method     ? request->method
                                   : request->body.len ? "POST"
                                                       : "GET"};
    response_reset(ret);
    int r = begin(&x);
    if (r == 0)
        return exchange(&x);
    (void)response_finish(ret, request->url, strerrordesc_np(-r));
    return r;
}

int trine_http_get(trine_http *http, const char *url, trine_http_response *ret) {
    const trine_http_request request = {.size = sizeof(request), .url = url};
    return trine_http_send(http, &request, ret);
}
