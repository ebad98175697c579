/* multi.h - between engine.c and sockets.c: one multi handle, and the sockets of all. */
#ifndef TRINE_HTTP_MULTI_H
#define TRINE_HTTP_MULTI_H

#include "http/engine.h"

struct multi {
    CURLM *curl;
    struct engine *engine;
    struct timer timer;
    bool due; /* libcurl wants to be called at once */
    unsigned running;
    long limit; /* connections that it may keep, idle ones and others */
};

struct socket {
    struct list node; /* in engine->watched while it is watched */
    struct watch watch;
    struct multi *multi;
    unsigned wanted;     /* by libcurl; 0: the connection lies idle */
    unsigned registered; /* with the loop */
};

/* Has libcurl look at a socket (CURL_SOCKET_TIMEOUT: at its timers) and ends the transfers that are
 * done. On the loop's own stack. */
void multi_run(struct multi *m, curl_socket_t fd, int events);

/* A running transfer is to end with `reason`: at the next kick. */
void transfer_cancel(struct transfer *t, int reason);

/* libcurl's socket callback; `multi` is the struct. */
int socket_wanted(CURL *easy, curl_socket_t fd, int what, void *multi, void *unused);

/* Ends all watches. */
void sockets_unwatch(struct engine *e);
void sockets_free(struct engine *e);

#endif
