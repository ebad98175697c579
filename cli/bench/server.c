/* server.c - what cell_io asks: answers each request with its own number after a delay, and closes.
 * One descriptor a connection, and several ports, each with a queue of connections of its own: so
 * ten thousand may come at the same moment and none has to knock twice.
 *
 * Rejected: `trine serve`, which keeps a descriptor a connection for the file to send. */
#include "bench/cell.h"

#include <trine/net.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT = 512, BACKLOG = 65535 /* the kernel takes what it allows */ };

struct server {
    int64_t delay;
    int ports;
};

struct door {
    trine_listener *listener;
    int64_t delay;
    trine_scope *visitors;
};

struct visitor {
    trine_conn *conn;
    int64_t delay;
};

static int converse(trine_conn *conn, int64_t delay) {
    char text[TEXT];
    size_t len = 0;
    do {
        int64_t got = trine_conn_read(conn, text + len, TEXT - 1 - len);
        if (got <= 0)
            return got < 0 ? (int)got : -EPROTO;
        len += (size_t)got;
        text[len] = '\0';
    } while (!strstr(text, "\r\n\r\n") && len < TEXT - 1);
    unsigned long number = strncmp(text, "GET /", 5) == 0 ? strtoul(text + 5, NULL, 10) : 0;
    int error = trine_sleep(delay);
    if (error < 0)
        return error;
    char body[32];
    int body_len = snprintf(body, sizeof(body), "%lu\n", number);
    int size = snprintf(text, TEXT,
                        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n"
                        "Connection: close\r\n\r\n%s",
                        body_len, body);
    return trine_conn_write(conn, text, (size_t)size);
}

static int serve_one(struct visitor *v) {
    converse(v->conn, v->delay); /* a client that is gone is none of the server's failures */
    trine_conn_close(&v->conn);
    free(v);
    return 0;
}
TRINE_TASK(serve_one, struct visitor);

static int accept_all(struct door *d) {
    for (;;) {
        trine_conn *conn;
        int error = trine_tcp_accept(d->listener, &conn);
        if (error == -EMFILE || error == -ENFILE)
            continue; /* accept has paused */
        if (error < 0)
            return error;
        struct visitor *v = malloc(sizeof(*v));
        if (!v)
            return -ENOMEM;
        *v = (struct visitor){conn, d->delay};
        error = trine_spawn(d->visitors, serve_one, v);
        if (error < 0)
            return error;
    }
}
TRINE_TASK(accept_all, struct door);

static int serve(struct server *s) {
    static struct door doors[CELL_PORTS_MOST];
    TRINE_SCOPE(scope, .policy = TRINE_COLLECT, .name = "visitors");
    for (int i = 0; i < s->ports; i++) {
        doors[i] = (struct door){.delay = s->delay, .visitors = scope};
        int error = trine_tcp_listen("127.0.0.1", 0, BACKLOG, &doors[i].listener);
        if (error < 0)
            return error;
        printf("port %u\n", trine_listener_port(doors[i].listener));
    }
    fflush(stdout);
    for (int i = 0; i < s->ports; i++)
        trine_spawn(scope, accept_all, &doors[i]);
    return trine_join(scope);
}
TRINE_TASK(serve, struct server);

int cell_server(const struct cell *c) {
    struct server s = {c->a * 1000, (int)c->b < CELL_PORTS_MOST ? (int)c->b : CELL_PORTS_MOST};
    return cell_fail("the server", trine_run(serve, &s)); /* it is ended by a signal */
}
