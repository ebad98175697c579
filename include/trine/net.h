/* trine/net.h - TCP connections. See trine.h for [S], errors, time and threads.
 *
 * A connection or a listener belongs to the thread that opened it and to that thread's coroutines;
 * two of them may read and write one connection at the same time, but not two read or two write.
 * Every descriptor is close-on-exec and non-blocking, every connection has TCP_NODELAY. No call
 * raises SIGPIPE.
 *
 *     static int greet(void *unused) {
 *         trine_conn *conn;
 *         int status = trine_tcp_connect("127.0.0.1", 8000, &conn);
 *         if (status < 0)
 *             return status;
 *         status = trine_conn_write(conn, "hello\n", 6);
 *         trine_conn_close(&conn);
 *         return status;
 *     } */
#ifndef TRINE_NET_H
#define TRINE_NET_H

#include <trine.h>
#ifdef __cplusplus
extern "C" {
#endif

typedef struct trine_conn trine_conn;         /* one connection */
typedef struct trine_listener trine_listener; /* where connections come in */

/* Listens on an address of this machine. `host` is an IPv4 or IPv6 address or a name ("0.0.0.0" and
 * "::" are all addresses); `port` 0 picks a free one; `backlog` is how many connections the kernel
 * keeps until they are accepted, 0: 1,024. *ret_listener is the caller's to close.
 * Errors: -ENXIO (no such host), -EREMOTEIO (no name server answered), -EINVAL (no host name at
 * all, or too long), -EBUSY (too many look-ups hang), -EADDRINUSE, -EADDRNOTAVAIL, -EACCES,
 * -EMFILE, -ENFILE, -ENOBUFS, -ENOMEM. [S] any thread. */
TRINE_MUST_USE_ int trine_tcp_listen(const char *host, uint16_t port, int backlog,
                                     trine_listener **ret_listener);

/* The port that it listens on. Never waits. */
TRINE_PUBLIC_ uint16_t trine_listener_port(const trine_listener *l);

/* Waits for a connection. *ret_conn is the caller's to close. Errors: -EBADF (the listener was
 * closed meanwhile); -EMFILE, -ENFILE, -ENOBUFS, -ENOMEM: the connection stays in the backlog, and
 * the error is given after a pause of 50 ms, so that a caller who just tries again does not spin.
 * Connections that broke before they were accepted are passed over. [S] the listener's thread. */
TRINE_MUST_USE_ int trine_tcp_accept(trine_listener *l, trine_conn **ret_conn);

/* Closes a listener and sets *l to NULL; who waits in accept gets -EBADF. NULL is fine. Does not
 * suspend; the listener's thread. */
TRINE_PUBLIC_ void trine_listener_close(trine_listener **l);

/* Connects to a host, an address or a name whose addresses are tried in turn; the error is that of
 * the last one. Errors: -ECONNREFUSED, -ENETUNREACH, -EHOSTUNREACH and others of connect(2); those
 * of looking a name up and of too few descriptors, as trine_tcp_listen. Note that -ETIMEDOUT may be
 * the kernel's as well as the scope's. [S] any thread. */
TRINE_MUST_USE_ int trine_tcp_connect(const char *host, uint16_t port, trine_conn **ret_conn);

/* Reads what is there, at most `len` bytes, waiting for the first: how many; 0: the peer has sent
 * all. Errors: -ECONNRESET, -EBADF (closed meanwhile) and those of recv(2). [S] owner's thread. */
TRINE_MUST_USE_ int64_t trine_conn_read(trine_conn *c, void *buf, size_t len);

/* Writes all `len` bytes: 0. Errors: -EPIPE, -ECONNRESET (the peer is gone), -EBADF (closed
 * meanwhile) and those of send(2); how much was written is then unknown. [S] owner's thread. */
TRINE_MUST_USE_ int trine_conn_write(trine_conn *c, const void *buf, size_t len);

/* Says that nothing more will be written; reading goes on. Errors: -ENOTCONN. Does not suspend;
 * owner's thread. */
TRINE_MUST_USE_ int trine_conn_shutdown(trine_conn *c);

/* Closes a connection and sets *c to NULL; who waits in it gets -EBADF. What was written is still
 * sent. NULL is fine. Does not suspend; owner's thread. */
TRINE_PUBLIC_ void trine_conn_close(trine_conn **c);

#ifdef __cplusplus
}
#endif
#endif
