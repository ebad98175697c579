/* cell_io.c - N requests at the same time, each by a task of its own: coroutines with the library's
 * connections, threads and processes with plain blocking sockets, which is what one has them for.
 * Each answer names the number that was asked for. */
#include "bench/cell.h"

#include <trine/net.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { TEXT = 512, PATIENCE_SECONDS = 60 };

struct request {
    uint32_t number;
    uint16_t port;
    uint32_t answer; /* what comes back */
};

struct run {
    trine_executor *on;
    struct request *requests;
    size_t count;
};

static int put_request(const struct request *r, char text[TEXT]) {
    return snprintf(text, TEXT, "GET /%u HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
                    r->number);
}

/* The answer's text ends with the number in a line. */
static int take_answer(struct request *r, char *text, size_t len) {
    text[len] = '\0';
    const char *body = strstr(text, "\r\n\r\n");
    if (strncmp(text, "HTTP/1.", 7) != 0 || strncmp(text + 8, " 200 ", 5) != 0 || !body)
        return -EPROTO;
    r->answer = (uint32_t)strtoul(body + 4, NULL, 10);
    return 0;
}

/* --- on the loop --- */

static int converse(trine_conn *conn, struct request *r) {
    char text[TEXT];
    size_t len = 0;
    int error = trine_conn_write(conn, text, (size_t)put_request(r, text));
    while (error == 0 && len < TEXT - 1) {
        int64_t got = trine_conn_read(conn, text + len, TEXT - 1 - len);
        if (got <= 0) {
            error = got < 0 ? (int)got : take_answer(r, text, len);
            break;
        }
        len += (size_t)got;
    }
    return error;
}

static int ask_on_loop(struct request *r) {
    trine_conn *conn;
    int error = trine_tcp_connect("127.0.0.1", r->port, &conn);
    if (error < 0)
        return error;
    error = converse(conn, r);
    trine_conn_close(&conn);
    return error;
}
TRINE_TASK(ask_on_loop, struct request);

static int ask_all_on_loop(struct run *r) {
    TRINE_SCOPE(scope, .name = "requests", .timeout = TRINE_SEC(PATIENCE_SECONDS));
    trine_map(scope, NULL, ask_on_loop, r->requests, r->count);
    return trine_join(scope);
}
TRINE_TASK(ask_all_on_loop, struct run);

/* --- blocking --- */

static int converse_blocking(int fd, struct request *r) {
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(r->port),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct timeval patience = {.tv_sec = PATIENCE_SECONDS};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
        return -errno;
    char text[TEXT];
    size_t len = 0;
    int size = put_request(r, text);
    if (send(fd, text, (size_t)size, MSG_NOSIGNAL) != size)
        return -EPIPE;
    while (len < TEXT - 1) {
        ssize_t got = recv(fd, text + len, TEXT - 1 - len, 0);
        if (got <= 0)
            return got < 0 ? -errno : take_answer(r, text, len);
        len += (size_t)got;
    }
    return -EMSGSIZE;
}

static int ask_blocking(struct request *r) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int error = converse_blocking(fd, r);
    close(fd);
    return error;
}
TRINE_TASK_IO(ask_blocking, struct request, answer);

static int ask_all_on_pool(struct run *r) {
    TRINE_SCOPE(scope, .name = "requests");
    trine_map(scope, r->on, ask_blocking, r->requests, r->count);
    return trine_join(scope);
}

static int on_pool(struct run *r, const char *model) {
    unsigned n = (unsigned)r->count;
    int error =
        strcmp(model, "threads") == 0
            ? trine_threads_open(&r->on, TRINE_OPTS(trine_threads_opts, .workers = n, .queue = n))
            : trine_processes_open(&r->on,
                                   TRINE_OPTS(trine_processes_opts, .workers = n, .queue = n));
    if (error < 0)
        return error;
    error = ask_all_on_pool(r);
    trine_executor_close(&r->on);
    return error;
}

int cell_io(const struct cell *c) {
    struct run r = {.requests = calloc((size_t)c->n, sizeof(*r.requests)), .count = (size_t)c->n};
    if (!r.requests || !c->port_count)
        return cell_fail("requests", ENOMEM);
    for (uint32_t i = 0; i < r.count; i++)
        r.requests[i] = (struct request){i + 1, c->ports[i % (uint32_t)c->port_count], 0};
    int64_t start = cell_begin();
    int error =
        strcmp(c->model, "loop") == 0 ? trine_run(ask_all_on_loop, &r) : on_pool(&r, c->model);
    cell_print("wall", cell_seconds(trine_now() - start));
    bool right = true;
    for (uint32_t i = 0; i < r.count; i++)
        right = right && r.requests[i].answer == i + 1;
    free(r.requests);
    if (error < 0)
        return cell_fail("a request", error);
    return right ? 0 : cell_fail("an answer belongs to another request", 0);
}
