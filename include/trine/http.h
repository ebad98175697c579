/* http.h - an HTTP client: one call fetches a page and waits for it.
 *
 *     trine_http *http;
 *     trine_http_response page = {0};
 *     trine_http_open(&http, NULL);
 *     if (trine_http_get(http, "https://example.org/", &page) == 0)
 *         printf("%d, %zu bytes\n", page.status, page.body.len);
 *     else
 *         printf("%s\n", page.error);
 *     trine_http_response_free(&page);
 *     trine_http_close(&http);
 *
 * The same call works in a coroutine, which it suspends, and in a plain thread, a thread task or a
 * process worker, which it blocks. HTTP/1.1 and HTTP/2 (over TLS), connections kept alive, bodies
 * decompressed, redirects followed, names resolved by the library itself. Only http and https.
 * Where the environment names a proxy (http_proxy and so on), it is used, and libcurl resolves.
 *
 * What is not HTTP's fault is not an error: a 404 is a response. -ECANCELED and -ETIMEDOUT mean, as
 * everywhere, that the scope around the call is ending; a request's own timeout gives -ETIME.
 * Link with -ltrine-http. */
#ifndef TRINE_HTTP_H
#define TRINE_HTTP_H

#include <trine.h>
#ifdef __cplusplus
extern "C" {
#endif

/* A client session: connections that are kept, and what all requests have in common. Any thread and
 * any coroutine may use one session at the same time; connections are kept for each thread apart.
 *
 * Instead of a session, NULL may be given to every call: the process's own, with default options,
 * opened when first needed and kept to the end. */
typedef struct trine_http trine_http;

typedef struct trine_http_opts {
    uint32_t size;                          /* sizeof(trine_http_opts) */
    const char *const *headers TRINE_ZERO_; /* sent with each request, "Name: value" each; copied */
    size_t header_count TRINE_ZERO_;
    const char *user_agent TRINE_ZERO_;  /* NULL: "trine/VERSION"; "": none; copied */
    int64_t timeout TRINE_ZERO_;         /* ns for a whole request; 0: 30 s; negative: none */
    int64_t connect_timeout TRINE_ZERO_; /* ns to connect to one address, TLS too; 0: 10 s */
    size_t max_body TRINE_ZERO_;         /* bytes, decompressed; 0: 64 MiB */
    int max_redirects TRINE_ZERO_;       /* 0: 10; negative: a redirect is the response */
    unsigned max_per_host TRINE_ZERO_;   /* connections of one thread to a host; 0: no limit;
                                          * a request over the limit waits for one */
    const char *ca_file TRINE_ZERO_;     /* PEM file to trust instead of the system's; copied */
} trine_http_opts;

/* A request other than a plain GET. Everything in it is borrowed for the call. */
typedef struct trine_http_request {
    uint32_t size; /* sizeof(trine_http_request) */
    const char *url TRINE_ZERO_;
    const char *method TRINE_ZERO_;         /* NULL: "GET", or "POST" with a body */
    const char *const *headers TRINE_ZERO_; /* replace the session's of the same name */
    size_t header_count TRINE_ZERO_;
    trine_bytes body TRINE_ZERO_;
    int64_t timeout TRINE_ZERO_; /* as the session's, for this request; 0: the session's */
} trine_http_request;

/* What came back. All zero before its first use. It may be used again for the next request: its
 * memory is kept, and then costs nothing. The strings are never NULL after a call, and live, as all
 * else in it, until the next call or trine_http_response_free. */
typedef struct trine_http_response {
    int status;               /* 200, 404 ...; 0 when no answer came */
    unsigned redirects;       /* that were followed */
    int64_t elapsed;          /* ns that the call took, with look-ups and redirects */
    trine_buf body;           /* decompressed; a NUL follows the last byte. The caller may take it
                               * out and leave an all-zero one behind */
    const char *content_type; /* as the server has it; "" when it has not */
    const char *url;          /* where the body came from, after redirects, without a fragment */
    const char *error;        /* "" or what went wrong, in words: "could not resolve host: x" */
    trine_buf headers;        /* private: see trine_http_header */
    trine_buf text;           /* private: holds url and error */
} trine_http_response;

/* Opens a session; `opts` may be NULL. Errors: -ENOMEM, -EMFILE, -EINVAL (a header without a colon
 * or with a line break), -ENOENT (ca_file cannot be read). Does not suspend; any thread. */
TRINE_MUST_USE_ int trine_http_open(trine_http **ret_http, const trine_http_opts *opts);

/* Closes the session with its connections and sets *http to NULL. No request may be under way in
 * it: to end those, cancel their scope before. Does not suspend; any thread. */
TRINE_PUBLIC_ void trine_http_close(trine_http **http);

/* Fetches a URL into *ret. Returns 0 when a response came, whatever its status; then the response
 * is whole. On an error `error` tells more, and `status` and `url` tell how far it got.
 *
 *   -EINVAL           not a URL
 *   -EPROTONOSUPPORT  a URL that is neither http nor https, given or redirected to
 *   -ENXIO            there is no such host
 *   -EREMOTEIO        the name could not be looked up (no name server answered)
 *   -ECONNREFUSED, -EHOSTUNREACH, -ENETUNREACH ...  no connection, as connect(2) has it
 *   -ECONNRESET       the server closed the connection before the response was whole
 *   -ETIME            the request's timeout, or the connect timeout, is over
 *   -EPROTO           the answer is not HTTP, or TLS failed
 *   -EKEYREJECTED     the server's certificate is not to be trusted
 *   -EBADMSG          the body cannot be decompressed
 *   -EFBIG            the body exceeds max_body, or the headers 256 KiB
 *   -ELOOP            more redirects than max_redirects
 *   -EBUSY            256 name look-ups hang already (see trine_blocking)
 *   -EMFILE, -ENOMEM
 *
 * [S] any thread; also in a coroutine with the smallest stack: TLS runs on the loop's own. */
TRINE_MUST_USE_ int trine_http_get(trine_http *http, const char *url, trine_http_response *ret);

/* The same with another method, headers, a body. A redirect by 303 is followed with GET (HEAD stays
 * HEAD), one by 301 or 302 turns POST into GET, one by 307 or 308 changes nothing. Authorization
 * and Cookie headers do not go along to another host, port or scheme (RFC 9110, 15.4). Errors as
 * trine_http_get, and -EINVAL for a header as in trine_http_open. [S] */
TRINE_MUST_USE_ int trine_http_send(trine_http *http, const trine_http_request *request,
                                    trine_http_response *ret);

/* The value of a response header, or NULL; names compare without case. Of several headers of one
 * name the first; `n` counts further: 0, 1, ... */
TRINE_PUBLIC_ const char *trine_http_header(const trine_http_response *response, const char *name,
                                            unsigned n);

/* Frees what the response holds; it is all zero again. */
TRINE_PUBLIC_ void trine_http_response_free(trine_http_response *response);

/* Resolves a reference (a link) against the URL of its page, as RFC 3986, 5.2 has it, into
 * *ret_url: replaced, and followed by a NUL that `len` does not count. Fragments are kept. Errors:
 * -EINVAL (base or the outcome is no URL), -EPROTONOSUPPORT (mailto:, javascript: and the like),
 * -ENOMEM. Does not suspend; any thread. */
TRINE_MUST_USE_ int trine_url_join(const char *base, const char *reference, trine_buf *ret_url);

#ifdef __cplusplus
}
#endif
#endif
