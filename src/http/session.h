/* session.h - what all requests of a client session have in common; read-only once it is open, but
 * for the list of engines, which has a lock. */
#ifndef TRINE_HTTP_SESSION_H
#define TRINE_HTTP_SESSION_H

#include <trine/http.h>

#include "base/list.h"

#include <curl/curl.h>
#include <pthread.h>

struct engine;
struct loop;

struct trine_http {
    struct curl_slist *headers;           /* for the host that was asked for */
    struct curl_slist *headers_elsewhere; /* for other hosts: without credentials */
    char *user_agent, *ca_file;
    int64_t timeout; /* 0: none */
    long connect_timeout_ms;
    size_t max_body;
    unsigned max_redirects;
    unsigned max_per_host;
    bool proxy; /* the environment names one: libcurl resolves */

    pthread_mutex_t lock;
    struct list engines; /* one for each loop that has used the session */
};

/* The engine of the caller's loop, made at the first call. Errors: -ENOMEM, and those of opening
 * the loop's backend. */
int session_engine(trine_http *http, struct engine **ret_engine);

/* The session of who gives none. */
int session_default(trine_http **ret_http);

/* The headers that a request adds, before those of `base` that it does not replace; `bare` leaves
 * credentials out. An owned list in *ret_list; -EINVAL, -ENOMEM. */
int headers_merge(const struct curl_slist *base, const char *const *add, size_t count, bool bare,
                  struct curl_slist **ret_list);

/* Do both begin with the same header name, up to the colon? */
bool header_same_name(const char *a, const char *b);

#endif
