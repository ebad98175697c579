/* tcp.c - TCP listeners and connections on the loop's operations.
 *
 * Invariants: a descriptor is used on the loop of the thread that made it, and nowhere else: a
 * backend remembers what it has registered by number, and only close here tells it to forget.
 * A call counts itself in endpoint.calls while it may touch the object after a wait: close frees
 * what nobody is in, else the last call to leave does. fd is -1 from close on.
 *
 * Rejected: a plain descriptor as the user's handle. A number that was closed and given out again
 * by the kernel cannot be told from the old one, and TLS will need a place for its state. Rejected:
 * sendfile(2); it saves one copy, measured 0.6 to 4 of 24 us for a file of 15 KB, but it raises
 * SIGPIPE without a flag to turn that off, and is no operation of the loop. */
#include <trine/net.h>

#include "base/fault.h"
#include "base/panic.h"
#include "core/loop.h"
#include "net/addr.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

enum { BACKLOG_DEFAULT = 1024 };

/* What connections and listeners begin with. */
struct endpoint {
    struct loop *owner;
    int fd;
    unsigned calls;
};

struct trine_conn {
    struct endpoint end;
};

struct trine_listener {
    struct endpoint end;
    uint16_t port;
};

static void enter(struct endpoint *e) {
    REQUIRE(e && e->owner == loop_self(), "a connection or listener is used in a thread that did "
                                          "not open it: accept, connect and use it in one thread");
    e->calls++;
}

static void leave(struct endpoint *e) {
    if (--e->calls == 0 && e->fd < 0)
        free(e);
}

static void endpoint_close(struct endpoint *e) {
    enter(e);
    REQUIRE(e->fd >= 0, "a connection or listener is closed twice");
    loop_forget_fd(e->owner, e->fd);
    close(e->fd);
    e->fd = -1;
    leave(e);
}

/* One operation; [S]. */
static int64_t do_io(struct endpoint *e, enum io_code code, void *buf, size_t len, int flags) {
    struct io_op op = {.code = code, .fd = e->fd, .buf = buf, .len = len, .flags = flags};
    return e->fd < 0 ? -EBADF : loop_do_io(&op);
}

/* A failure to set it costs speed only. */
static void set_nodelay(int fd) {
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static int open_socket(const struct addr *a) {
    int fd = FAULT(socket(a->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), -1,
                   EMFILE, ENFILE, ENOBUFS, ENOMEM);
    if (fd < 0)
        return -errno;
    set_nodelay(fd);
    return fd;
}

/* Takes the descriptor, also on failure. */
static int conn_new(int fd, struct trine_conn **ret_conn) {
    struct trine_conn *c = FAULT(malloc(sizeof(*c)), NULL, ENOMEM);
    if (!c) {
        close(fd);
        return -ENOMEM;
    }
    c->end = (struct endpoint){.owner = loop_self(), .fd = fd};
    *ret_conn = c;
    return 0;
}

/* --- listening -------------------------------------------------------------------------------- */

static int bind_and_listen(int fd, const struct addr *a, int backlog, uint16_t *ret_port) {
    int on = 1; /* connections of a former run that linger do not keep the port */
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    struct addr bound = {.len = sizeof(bound.v6)};
    if (FAULT(bind(fd, &a->any, a->len), -1, EADDRINUSE, EADDRNOTAVAIL, EACCES) < 0 ||
        FAULT(listen(fd, backlog > 0 ? backlog : BACKLOG_DEFAULT), -1, EADDRINUSE) < 0 ||
        FAULT(getsockname(fd, &bound.any, &bound.len), -1, ENOBUFS) < 0)
        return -errno;
    *ret_port = addr_port(&bound);
    return 0;
}

int trine_tcp_listen(const char *host, uint16_t port, int backlog, trine_listener **ret_listener) {
    struct addr_list list;
    int status = addr_resolve(host, port, &list);
    if (status < 0)
        return status;
    int fd = open_socket(&list.addrs[0]); /* accepted sockets inherit TCP_NODELAY from it */
    if (fd < 0)
        return fd;
    struct trine_listener *l = FAULT(malloc(sizeof(*l)), NULL, ENOMEM);
    status = l ? bind_and_listen(fd, &list.addrs[0], backlog, &l->port) : -ENOMEM;
    if (status < 0) {
        close(fd);
        free(l);
        return status;
    }
    l->end = (struct endpoint){.owner = loop_self(), .fd = fd};
    *ret_listener = l;
    return 0;
}

uint16_t trine_listener_port(const trine_listener *l) {
    return l->port;
}

/* Errors of a connection that is gone, or that a firewall rule forbids; accept(2) lists them. */
static bool concerns_one_connection(int64_t error) {
    switch (error) {
    case -ECONNABORTED:
    case -EPROTO:
    case -EPERM:
    case -ENETDOWN:
    case -ENOPROTOOPT:
    case -EHOSTDOWN:
    case -ENONET:
    case -EHOSTUNREACH:
    case -ENETUNREACH:
        return true;
    default:
        return false;
    }
}

static bool is_shortage(int64_t error) {
    return error == -EMFILE || error == -ENFILE || error == -ENOBUFS || error == -ENOMEM;
}

int trine_tcp_accept(trine_listener *l, trine_conn **ret_conn) {
    enter(&l->end);
    int64_t fd;
    do
        fd = do_io(&l->end, IO_ACCEPT, NULL, 0, SOCK_CLOEXEC | SOCK_NONBLOCK);
    while (concerns_one_connection(fd));
    leave(&l->end);
    if (fd >= 0)
        return conn_new((int)fd, ret_conn);
    if (is_shortage(fd)) {
        /* The backlog stays readable, so without a pause a caller's loop would be a spin. */
        int status = trine_sleep(TRINE_MS(50));
        return status < 0 ? status : (int)fd;
    }
    return (int)fd;
}

void trine_listener_close(trine_listener **l) {
    if (*l)
        endpoint_close(&(*l)->end);
    *l = NULL;
}

/* --- connections ------------------------------------------------------------------------------ */

static int connect_one(struct addr *a, trine_conn **ret_conn) {
    int fd = open_socket(a);
    if (fd < 0)
        return fd;
    struct io_op op = {.code = IO_CONNECT, .fd = fd, .buf = &a->any, .len = a->len};
    int64_t status = loop_do_io(&op);
    if (status < 0) {
        loop_forget_fd(loop_self(), fd);
        close(fd);
        return (int)status;
    }
    return conn_new(fd, ret_conn);
}

int trine_tcp_connect(const char *host, uint16_t port, trine_conn **ret_conn) {
    struct addr_list list;
    int status = addr_resolve(host, port, &list);
    if (status < 0)
        return status;
    /* In a scope that ends all further ones fail at once, and so the last error is its reason. */
    status = -ENXIO;
    for (unsigned i = 0; i < list.count && status < 0; i++)
        status = connect_one(&list.addrs[i], ret_conn);
    return status;
}

int64_t trine_conn_read(trine_conn *c, void *buf, size_t len) {
    REQUIRE(len > 0, "trine_conn_read into a buffer of no bytes: 0 would read as the end");
    enter(&c->end);
    int64_t got = do_io(&c->end, IO_RECV, buf, len, 0);
    leave(&c->end);
    return got;
}

int trine_conn_write(trine_conn *c, const void *buf, size_t len) {
    enter(&c->end);
    int64_t sent = 0;
    for (const char *at = buf, *end = at + len; at < end && sent >= 0; at += sent)
        sent = do_io(&c->end, IO_SEND, (void *)at, (size_t)(end - at), MSG_NOSIGNAL);
    leave(&c->end);
    return sent < 0 ? (int)sent : 0;
}

int trine_conn_shutdown(trine_conn *c) {
    enter(&c->end);
    int status = c->end.fd < 0 ? -EBADF : shutdown(c->end.fd, SHUT_WR) < 0 ? -errno : 0;
    leave(&c->end);
    return status;
}

void trine_conn_close(trine_conn **c) {
    if (*c)
        endpoint_close(&(*c)->end);
    *c = NULL;
}
