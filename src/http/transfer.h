/* transfer.h - one request's easy handle: its options and callbacks. */
#ifndef TRINE_HTTP_TRANSFER_H
#define TRINE_HTTP_TRANSFER_H

#include "http/engine.h"
#include "net/dns.h"

/* A fresh one with the session's options, or NULL. */
struct transfer *transfer_new(struct engine *e);
void transfer_free(struct transfer *t);

/* Method, headers and body of a request; `list` (may be NULL: the session's) must outlive it. */
int transfer_set_request(struct transfer *t, const char *method, trine_bytes body,
                         struct curl_slist *list);

/* Where to go on the next hop. `address` NULL: libcurl finds out. */
int transfer_set_target(struct transfer *t, const char *url, const struct dns_address *address);

/* What became of it: 0, or a negative errno with t->message filled. */
int transfer_outcome(struct transfer *t);

/* Did it fail before a connection stood, so that another address may do? */
bool transfer_is_unconnected(struct transfer *t);

/* sockets.c: libcurl's sockets are opened close-on-exec, and forgotten before they are closed. */
curl_socket_t engine_open_socket(void *engine, curlsocktype purpose, struct curl_sockaddr *a);
int engine_close_socket(void *engine, curl_socket_t fd);

#endif
