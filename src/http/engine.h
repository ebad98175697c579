/* engine.h - libcurl on one loop: several multi handles with the hosts hashed over them, their
 * sockets and timers, and the transfers that run in them. */
#ifndef TRINE_HTTP_ENGINE_H
#define TRINE_HTTP_ENGINE_H

#include "base/list.h"
#include "core/loop.h"
#include "http/session.h"

struct multi;
struct socket;

enum { ENGINE_MULTIS = 16 };

struct engine {
    struct list node; /* in the session */
    trine_http *session;
    struct loop *loop;
    unsigned users; /* requests under way, whether in libcurl or in a look-up */
    struct multi *multis[ENGINE_MULTIS];
    unsigned multi_count;
    long idle_share;         /* connections that each of them may keep idle */
    struct socket **sockets; /* by descriptor */
    size_t socket_slots;
    struct list watched; /* sockets that the loop watches */
    struct list spare;   /* transfers to use again, last in first out */
    unsigned spare_count;
    struct list ending; /* transfers that were cancelled: removed at the next kick */
    struct message kick;
    bool kicked;            /* the message is under way */
    struct strand *drainer; /* waits until it has come */
    int socket_error;       /* of the last socket(2) that failed */
};

/* One request's place in libcurl. */
struct transfer {
    struct list node; /* in engine->spare or ->ending */
    struct engine *engine;
    CURL *easy;
    CURLU *url;
    struct multi *multi; /* where it runs; NULL: nowhere */
    struct strand *strand;
    int reason;    /* of a cancellation */
    CURLcode code; /* outcome */

    trine_http_response *response; /* what the callbacks fill */
    int error;                     /* why a callback stopped the transfer */
    struct curl_slist *connect_to; /* the address in force */
    char address[80];
    bool changed; /* has options besides the common ones: reset before the next use */
    char message[CURL_ERROR_SIZE];
};

struct engine *engine_new(trine_http *session, struct loop *loop);
void engine_free(struct engine *e);

/* A request begins: a transfer with the session's options; NULL when memory is short. */
struct transfer *engine_acquire(struct engine *e);

/* It is over. May wait for a message of its own, in a drain. */
void engine_release(struct transfer *t, struct strand *self);

/* [S] Runs the transfer to its end: 0, and its outcome is in t->code; or why the wait ended. `host`
 * says which multi handle has it. */
int engine_perform(struct transfer *t, const char *host, struct strand *self);

#endif
