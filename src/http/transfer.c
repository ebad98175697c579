/* transfer.c - the easy handle of one request: options, callbacks, outcome.
 *
 * A handle is used again with its options as they are; only what differs is set, and a handle that
 * carried more than a GET is reset before. Rejected: a fresh handle for each request (30 us). */
#include "http/transfer.h"

#include "base/fault.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RECEIVE_BUFFER = 64 << 10, HEADERS_MAX = 256 << 10, TRUSTED_LENGTH = 4 << 20 };

/* --- what comes in --- */

static size_t stop(struct transfer *t, int error) {
    t->error = error;
    return 0;
}

/* The whole body at once, if the server says how much it is: growing bit by bit would touch more
 * fresh memory. */
static int make_room(struct transfer *t, trine_buf *body, size_t n) {
    curl_off_t announced = -1;
    if (body->len == 0)
        curl_easy_getinfo(t->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &announced);
    bool trusted = announced > (curl_off_t)n && announced <= TRUSTED_LENGTH;
    return trine_buf_reserve(body, (trusted ? (size_t)announced : n) + 1);
}

/* libcurl cannot bound what comes out of a decompressor: it is counted here. */
static size_t on_body(char *bytes, size_t one, size_t n, void *arg) {
    (void)one;
    struct transfer *t = arg;
    trine_buf *body = &t->response->body;
    if (n > t->engine->session->max_body - body->len)
        return stop(t, -EFBIG);
    if (make_room(t, body, n) < 0 || trine_buf_append(body, bytes, n) < 0)
        return stop(t, -ENOMEM);
    return n;
}

/* Keeps the lines of the last answer ("100 Continue" comes before it), each ended by a NUL. */
static size_t on_header(char *line, size_t one, size_t n, void *arg) {
    (void)one;
    struct transfer *t = arg;
    trine_buf *headers = &t->response->headers;
    size_t length = n;
    while (length && (line[length - 1] == '\n' || line[length - 1] == '\r'))
        length--;
    if (length >= 5 && memcmp(line, "HTTP/", 5) == 0)
        headers->len = 0;
    else if (length && headers->len + length >= HEADERS_MAX)
        return stop(t, -EFBIG);
    else if (length &&
             (trine_buf_reserve(headers, length + 1) < 0 ||
              trine_buf_append(headers, line, length) < 0 || trine_buf_append(headers, "", 1) < 0))
        return stop(t, -ENOMEM);
    return n;
}

/* --- options --- */

static void set_common(struct transfer *t) {
    const trine_http *h = t->engine->session;
    CURL *c = t->easy;
    curl_easy_setopt(c, CURLOPT_PRIVATE, t);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, t->message);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(c, CURLOPT_DNS_CACHE_TIMEOUT, 0L); /* pruning it is O(n) */
    curl_easy_setopt(c, CURLOPT_CAPATH, NULL);          /* where it is set, no CA store is cached */
    if (h->ca_file)
        curl_easy_setopt(c, CURLOPT_CAINFO, h->ca_file);
    if (!h->proxy)
        curl_easy_setopt(c, CURLOPT_PROXY, "");
    curl_easy_setopt(c, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, h->connect_timeout_ms);
    curl_easy_setopt(c, CURLOPT_BUFFERSIZE, (long)RECEIVE_BUFFER);
    curl_easy_setopt(c, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(c, CURLOPT_USERAGENT, h->user_agent);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, h->headers);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, engine_open_socket);
    curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, t->engine);
    curl_easy_setopt(c, CURLOPT_CLOSESOCKETFUNCTION, engine_close_socket);
    curl_easy_setopt(c, CURLOPT_CLOSESOCKETDATA, t->engine);
}

struct transfer *transfer_new(struct engine *e) {
    struct transfer *t = FAULT(calloc(1, sizeof(*t)), NULL, ENOMEM);
    if (!t)
        return NULL;
    list_init(&t->node);
    t->engine = e;
    t->easy = curl_easy_init();
    t->url = curl_url();
    if (!t->easy || !t->url) {
        transfer_free(t);
        return NULL;
    }
    set_common(t);
    return t;
}

void transfer_free(struct transfer *t) {
    curl_easy_cleanup(t->easy);
    curl_url_cleanup(t->url);
    curl_slist_free_all(t->connect_to);
    free(t);
}

static CURLcode set_body(CURL *c, trine_bytes body) {
    CURLcode code = curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
    return code ? code : curl_easy_setopt(c, CURLOPT_POSTFIELDS, body.len ? body.ptr : "");
}

int transfer_set_request(struct transfer *t, const char *method, trine_bytes body,
                         struct curl_slist *list) {
    CURL *c = t->easy;
    if (t->changed) {
        curl_easy_reset(c);
        set_common(t);
        t->address[0] = '\0';
        t->changed = false;
    }
    bool get = strcmp(method, "GET") == 0 && !body.len;
    if (get && list == t->engine->session->headers)
        return 0;
    t->changed = true;
    CURLcode code = curl_easy_setopt(c, CURLOPT_HTTPHEADER, list);
    if (!code && !get) {
        bool posts = body.len || strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 ||
                     strcmp(method, "PATCH") == 0;
        if (posts)
            code = set_body(c, body);
        if (!code && strcmp(method, "HEAD") == 0)
            code = curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
        else if (!code)
            code = curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
    }
    return code ? -ENOMEM : 0;
}

int transfer_set_target(struct transfer *t, const char *url, const struct dns_address *address) {
    char text[DNS_TEXT_MAX], entry[sizeof(t->address)] = "";
    if (address) {
        dns_format(address, text);
        snprintf(entry, sizeof(entry), "::%s:", text);
    }
    if (strcmp(entry, t->address) != 0) {
        struct curl_slist *list = address ? curl_slist_append(NULL, entry) : NULL;
        if (address && !list)
            return -ENOMEM;
        curl_easy_setopt(t->easy, CURLOPT_CONNECT_TO, list);
        curl_slist_free_all(t->connect_to);
        t->connect_to = list;
        memcpy(t->address, entry, sizeof(entry));
    }
    t->error = 0;
    t->message[0] = '\0';
    t->response->body.len = 0;
    t->response->headers.len = 0;
    return curl_easy_setopt(t->easy, CURLOPT_URL, url) ? -ENOMEM : 0;
}

/* --- outcome --- */

static int connect_error(struct transfer *t) {
    long error = 0;
    curl_easy_getinfo(t->easy, CURLINFO_OS_ERRNO, &error);
    if (error)
        return -(int)error;
    return t->engine->socket_error ? t->engine->socket_error : -ECONNREFUSED;
}

static int error_of(struct transfer *t) {
    switch (t->code) {
    case CURLE_OK:
        return 0;
    case CURLE_URL_MALFORMAT:
        return -EINVAL;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return -ENXIO;
    case CURLE_COULDNT_CONNECT:
        return connect_error(t);
    case CURLE_OPERATION_TIMEDOUT:
        return -ETIME;
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
        return -ECONNRESET;
    case CURLE_PEER_FAILED_VERIFICATION:
        return -EKEYREJECTED;
    case CURLE_BAD_CONTENT_ENCODING:
        return -EBADMSG;
    case CURLE_OUT_OF_MEMORY:
        return -ENOMEM;
    default:
        return -EPROTO;
    }
}

int transfer_outcome(struct transfer *t) {
    long status = 0;
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    t->response->status = (int)status;
    int r = t->error ? t->error : error_of(t);
    if (t->error == -EFBIG)
        snprintf(t->message, sizeof(t->message), "the response is larger than allowed (%zu bytes)",
                 t->engine->session->max_body);
    else if (r < 0 && !t->message[0])
        snprintf(t->message, sizeof(t->message), "%s", curl_easy_strerror(t->code));
    return r;
}

bool transfer_is_unconnected(struct transfer *t) {
    curl_off_t connected = 0;
    curl_easy_getinfo(t->easy, CURLINFO_CONNECT_TIME_T, &connected);
    return t->code == CURLE_COULDNT_CONNECT ||
           (t->code == CURLE_OPERATION_TIMEDOUT && connected == 0);
}
