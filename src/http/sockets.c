/* sockets.c - libcurl's sockets and the loop's watches.
 *
 * A socket stays watched while its connection lies idle between two requests, which saves two
 * system calls for each. When it turns readable meanwhile, the server has closed it: the watch
 * ends, and libcurl finds out at the next use.
 *
 * Invariant: a registered watch ends before its descriptor is closed, since all closing goes
 * through engine_close_socket. Rejected: to follow each CURL_POLL_REMOVE at once. */
#include "base/fault.h"
#include "http/multi.h"
#include "http/transfer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void socket_unwatch(struct engine *e, struct socket *s) {
    if (s->registered) {
        loop_watch(e->loop, &s->watch, 0);
        s->registered = 0;
        list_remove(&s->node);
    }
}

static void socket_ready(struct watch *w, unsigned events) {
    struct socket *s = container_of(w, struct socket, watch);
    if (!s->wanted) {
        socket_unwatch(s->multi->engine, s);
        return;
    }
    int what = (events & WATCH_READ ? CURL_CSELECT_IN : 0) |
               (events & WATCH_WRITE ? CURL_CSELECT_OUT : 0) |
               (events & WATCH_ERROR ? CURL_CSELECT_ERR : 0);
    multi_run(s->multi, w->fd, what);
}

static struct socket *socket_of(struct engine *e, int fd) {
    size_t slot = (size_t)fd;
    if (slot >= e->socket_slots) {
        size_t slots = e->socket_slots ? e->socket_slots : 64;
        while (slots <= slot)
            slots *= 2;
        struct socket **sockets =
            FAULT(realloc(e->sockets, slots * sizeof(*sockets)), NULL, ENOMEM);
        if (!sockets)
            return NULL;
        memset(sockets + e->socket_slots, 0, (slots - e->socket_slots) * sizeof(*sockets));
        e->sockets = sockets;
        e->socket_slots = slots;
    }
    if (!e->sockets[slot]) {
        struct socket *s = e->sockets[slot] = FAULT(calloc(1, sizeof(*s)), NULL, ENOMEM);
        if (s) {
            list_init(&s->node);
            s->watch = (struct watch){.fd = fd, .ready = socket_ready};
        }
    }
    return e->sockets[slot];
}

static int socket_watch(struct multi *m, int fd, unsigned wanted) {
    struct engine *e = m->engine;
    struct socket *s = socket_of(e, fd);
    if (!s)
        return -ENOMEM;
    s->multi = m;
    s->wanted = wanted;
    if (s->registered == wanted)
        return 0;
    int r = loop_watch(e->loop, &s->watch, wanted);
    if (r < 0)
        return r;
    if (!s->registered)
        list_push(&e->watched, &s->node);
    s->registered = wanted;
    return 0;
}

int socket_wanted(CURL *easy, curl_socket_t fd, int what, void *multi, void *unused) {
    (void)unused;
    struct multi *m = multi;
    struct engine *e = m->engine;
    if (what == CURL_POLL_REMOVE) {
        if ((size_t)fd < e->socket_slots && e->sockets[fd])
            e->sockets[fd]->wanted = 0;
        return 0;
    }
    unsigned wanted =
        (what & CURL_POLL_IN ? WATCH_READ : 0u) | (what & CURL_POLL_OUT ? WATCH_WRITE : 0u);
    int r = socket_watch(m, fd, wanted);
    if (r < 0) { /* telling libcurl would kill the whole multi handle */
        struct transfer *t;
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&t);
        transfer_cancel(t, r);
    }
    return 0;
}

curl_socket_t engine_open_socket(void *engine, curlsocktype purpose, struct curl_sockaddr *a) {
    (void)purpose;
    struct engine *e = engine;
    int fd = FAULT(socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol), -1, EMFILE, ENFILE,
                   ENOMEM);
    if (fd < 0) {
        e->socket_error = -errno;
        return CURL_SOCKET_BAD;
    }
    return fd;
}

int engine_close_socket(void *engine, curl_socket_t fd) {
    struct engine *e = engine;
    if ((size_t)fd < e->socket_slots && e->sockets[fd]) {
        socket_unwatch(e, e->sockets[fd]);
        free(e->sockets[fd]);
        e->sockets[fd] = NULL;
    }
    return close(fd);
}

void sockets_unwatch(struct engine *e) {
    LIST_EACH(node, &e->watched) {
        socket_unwatch(e, container_of(node, struct socket, node));
    }
}

void sockets_free(struct engine *e) {
    for (size_t i = 0; i < e->socket_slots; i++)
        free(e->sockets[i]);
    free(e->sockets);
}
