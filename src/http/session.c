/* session.c - opening and closing a client session, and its engines: one for each loop that uses
 * it, since libcurl's handles belong to one thread at a time.
 *
 * Invariant: an engine that runs no request has nothing in its loop, neither watch nor timer nor
 * message. So the thread of that loop may end, and the loop go to another thread, and the session
 * may be closed by any thread, without a word to the loop.
 *
 * Lock order: `default_lock`, then nothing; a session's `lock`, then nothing.
 * Rejected: a thread of the session's own that runs all transfers (two switches of threads for each
 * page, and one core for all); one session a thread (callers would have to keep the books). */
#include "http/session.h"

#include "base/fault.h"
#include "base/panic.h"
#include "core/loop.h"
#include "http/engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TIMEOUT_DEFAULT TRINE_SEC(30)
#define CONNECT_TIMEOUT_DEFAULT TRINE_SEC(10)
enum { MAX_BODY_DEFAULT = 64 << 20, MAX_REDIRECTS_DEFAULT = 10 };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static CURLcode curl_ready;

static void prepare_curl(void) {
    curl_ready = curl_global_init(CURL_GLOBAL_DEFAULT);
}

static bool environment_has_proxy(void) {
    static const char *const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                                        "ALL_PROXY"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        const char *value = getenv(names[i]);
        if (value && *value)
            return true;
    }
    return false;
}

/* Copies a string option, "" as NULL; false when memory is short. */
static bool copy(const char *from, char **ret) {
    *ret = from && *from ? strdup(from) : NULL;
    return *ret || !from || !*from;
}

static int copy_options(trine_http *h, const trine_http_opts *o) {
    if (o->ca_file && access(o->ca_file, R_OK) < 0)
        return -errno;
    const char *agent = o->user_agent ? o->user_agent : "trine/" TRINE_VERSION;
    if (!copy(agent, &h->user_agent) || !copy(o->ca_file, &h->ca_file))
        return -ENOMEM;
    int64_t connect = o->connect_timeout ? o->connect_timeout : CONNECT_TIMEOUT_DEFAULT;
    int64_t ms = (connect + TRINE_MS(1) - 1) / TRINE_MS(1);
    h->connect_timeout_ms = connect < 0 || ms > INT32_MAX ? INT32_MAX : (long)ms;
    h->timeout = o->timeout ? o->timeout : TIMEOUT_DEFAULT;
    if (h->timeout < 0)
        h->timeout = 0;
    h->max_body = o->max_body ? o->max_body : MAX_BODY_DEFAULT;
    int redirects = o->max_redirects ? o->max_redirects : MAX_REDIRECTS_DEFAULT;
    h->max_redirects = redirects < 0 ? 0 : (unsigned)redirects;
    h->max_per_host = o->max_per_host;
    h->proxy = environment_has_proxy();
    int r = headers_merge(NULL, o->headers, o->header_count, false, &h->headers);
    return r < 0 ? r : headers_merge(h->headers, NULL, 0, true, &h->headers_elsewhere);
}

int trine_http_open(trine_http **ret_http, const trine_http_opts *opts) {
    static const trine_http_opts defaults = {.size = sizeof(defaults)};
    const trine_http_opts *o = opts ? opts : &defaults;
    REQUIRE(o->size == sizeof(*o), "trine_http_opts.size is %u: set it to sizeof", o->size);
    pthread_once(&once, prepare_curl);
    trine_http *h = curl_ready == CURLE_OK ? FAULT(calloc(1, sizeof(*h)), NULL, ENOMEM) : NULL;
    if (!h)
        return -ENOMEM;
    pthread_mutex_init(&h->lock, NULL);
    list_init(&h->engines);
    int r = copy_options(h, o);
    if (r < 0)
        trine_http_close(&h);
    else
        *ret_http = h;
    return r;
}

void trine_http_close(trine_http **http) {
    trine_http *h = *http;
    *http = NULL;
    if (!h)
        return;
    for (struct list *node; (node = list_pop(&h->engines));)
        engine_free(container_of(node, struct engine, node));
    curl_slist_free_all(h->headers);
    curl_slist_free_all(h->headers_elsewhere);
    free(h->user_agent);
    free(h->ca_file);
    pthread_mutex_destroy(&h->lock);
    free(h);
}

int session_engine(trine_http *h, struct engine **ret_engine) {
    struct loop *loop = loop_self();
    int r = loop_open_backend(loop);
    if (r < 0)
        return r;
    struct engine *found = NULL;
    pthread_mutex_lock(&h->lock);
    LIST_EACH(node, &h->engines) {
        struct engine *e = container_of(node, struct engine, node);
        if (e->loop == loop) {
            found = e;
            break;
        }
    }
    if (!found) {
        found = engine_new(h, loop);
        if (found)
            list_push(&h->engines, &found->node);
    }
    pthread_mutex_unlock(&h->lock);
    if (!found)
        return -ENOMEM;
    *ret_engine = found;
    return 0;
}

int session_default(trine_http **ret_http) {
    static pthread_mutex_t default_lock = PTHREAD_MUTEX_INITIALIZER;
    static trine_http *session; /* never closed: other threads may use it while the program exits */
    pthread_mutex_lock(&default_lock);
    int r = session ? 0 : trine_http_open(&session, NULL);
    *ret_http = session;
    pthread_mutex_unlock(&default_lock);
    return r;
}
