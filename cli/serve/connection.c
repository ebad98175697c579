/*
 * connection.c - one connection: reads requests, answers them in order.
 *
 * Invariants: in[start..end) is what came and is not answered; pipelined requests wait there. A
 * request counts as in progress from its complete head to its last byte sent. Where the end of a
 * request is not known for sure, the connection ends after the answer. Every wait has a deadline.
 *
 * A file's first part goes out with the header in one send, from a buffer that is used again: that
 * costs one copy more than sendfile, and one system call and one packet less. Disk reads block the
 * loop, as they do in other servers of this kind: the pages of a demo are in the cache.
 */
#include "serve/files.h"
#include "serve/server.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEAD_TIME TRINE_SEC(30)  /* for a request to arrive, idle time before it included */
#define SEND_TIME TRINE_SEC(60)  /* for each 64 KiB of an answer to be taken */
#define LINGER_TIME TRINE_SEC(1) /* see linger() */
enum {
    LINGER_BYTES = 1 << 20,
    LOCATION_MAX = 3 * REQUEST_PATH_MAX + REQUEST_HEAD_MAX, /* escaped path and query */
    HEADER_MAX = LOCATION_MAX + 512
};
_Static_assert(HEADER_MAX + LOCATION_MAX <= ANSWER_BUFFER, "both are in it at the same time");

static int64_t read_before(trine_conn *c, int64_t deadline, char *to, size_t len) {
    int64_t left = deadline - trine_now();
    if (left <= 0)
        return -ETIMEDOUT;
    TRINE_SCOPE(s, .timeout = left);
    return trine_conn_read(c, to, len);
}

static int write_in_time(trine_conn *c, const char *bytes, size_t len) {
    TRINE_SCOPE(s, .timeout = SEND_TIME);
    return trine_conn_write(c, bytes, len);
}

/* --- answers ---------------------------------------------------------------------------------- */

static const char *reason(int status) {
    switch (status) {
    case 200:
        return "OK";
    case 301:
        return "Moved Permanently";
    case 400:
        return "Bad Request";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 414:
        return "URI Too Long";
    case 431:
        return "Request Header Fields Too Large";
    case 503:
        return "Service Unavailable";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "Internal Server Error";
    }
}

struct answer {
    int status;
    const char *type;
    int64_t size;         /* of the body */
    struct file file;     /* fd -1: the body is a line of text instead */
    const char *location; /* encoded path of a redirect, or NULL */
};

static int status_of(int error) {
    switch (error) {
    case -ENOENT:
    case -ENOTDIR:
    case -ENAMETOOLONG:
        return 404;
    case -EACCES:
    case -EPERM:
    case -ELOOP:
    case -EXDEV:
        return 403;
    case -EMFILE:
    case -ENFILE:
    case -ENOMEM:
        return 503;
    default:
        return 500;
    }
}

/* Where a directory without its last "/" really is. */
static void put_location(const struct request *r, char *location) {
    bool fits = request_encode_path(r->path, location, 3 * REQUEST_PATH_MAX);
    size_t used = fits ? strlen(location) : 0;
    location[used++] = '/';
    memcpy(location + used, r->query, r->query_len);
    location[used + r->query_len] = '\0';
}

/* Finds out what the answer is. `location` has LOCATION_MAX bytes for a redirect's target. */
static struct answer find_answer(struct server *s, struct request *r, char *location) {
    struct answer a = {.status = r->status, .type = "text/plain", .file = {.fd = -1}};
    if (a.status)
        return a;
    size_t len = strlen(r->path);
    bool is_directory = !len || r->path[len - 1] == '/';
    int error = -ENAMETOOLONG;
    if (is_directory && len + sizeof("index.html") <= sizeof(r->path))
        memcpy(r->path + len, "index.html", sizeof("index.html"));
    if (!is_directory || r->path[len])
        error = files_open(s->root, r->path, &a.file);
    if (error == 0) {
        a.status = 200;
        a.type = files_type(r->path);
        a.size = a.file.size;
    } else if (error == -EISDIR && !is_directory) {
        a.status = 301;
        a.location = location;
        put_location(r, location);
    } else {
        a.status = error == -EISDIR ? 404 : status_of(error);
    }
    return a;
}

static size_t put_header(struct server *s, const struct request *r, const struct answer *a,
                         char *out, size_t size) {
    server_clock(s, NULL);
    int used =
        snprintf(out, size,
                 "HTTP/1.1 %d %s\r\nServer: trine/" TRINE_VERSION "\r\nDate: %s\r\n"
                 "Content-Type: %s\r\nContent-Length: %" PRId64 "\r\n%s%s%s%s%s\r\n",
                 a->status, reason(a->status), s->date, a->type, a->size,
                 a->status == 405 ? "Allow: GET, HEAD\r\n" : "", a->location ? "Location: " : "",
                 a->location ? a->location : "", a->location ? "\r\n" : "",
                 !r->keep_alive ? "Connection: close\r\n"
                 : r->old       ? "Connection: keep-alive\r\n"
                                : "");
    return (size_t)used;
}

/* Sends the header, which is in the buffer already, and the file: 0, or why not all of it went. */
static int send_file(struct connection *c, struct answer_buffer *b, size_t used,
                     const struct file *f) {
    int64_t at = 0;
    do {
        size_t room = sizeof(b->bytes) - used;
        int64_t left = f->size - at;
        ssize_t got = pread(f->fd, b->bytes + used, left < (int64_t)room ? (size_t)left : room, at);
        if (got < 0 || (got == 0 && left > 0))
            return got < 0 ? -errno : -EIO; /* it has shrunk: its length was promised */
        int status = write_in_time(c->conn, b->bytes, used + (size_t)got);
        if (status < 0)
            return status;
        at += got;
        used = 0;
    } while (at < f->size);
    return 0;
}

static struct answer_buffer *take_buffer(struct server *s) {
    struct answer_buffer *b = s->spare_buffers;
    if (b)
        s->spare_buffers = b->next_spare;
    return b ? b : malloc(sizeof(*b));
}

static void give_buffer(struct server *s, struct answer_buffer *b) {
    b->next_spare = s->spare_buffers;
    s->spare_buffers = b;
}

static int send_answer(struct connection *c, struct answer_buffer *b, struct answer *a) {
    char text[64];
    int text_len = 0;
    if (a->file.fd < 0) {
        text_len = snprintf(text, sizeof(text), "%d %s\n", a->status, reason(a->status));
        a->size = text_len;
    }
    size_t used = put_header(c->server, &c->request, a, b->bytes, HEADER_MAX);
    server_log(c->server, a->status, a->size, c->request.target, c->request.target_len);
    if (c->request.head_only || a->file.fd < 0) {
        if (!c->request.head_only) {
            memcpy(b->bytes + used, text, (size_t)text_len);
            used += (size_t)text_len;
        }
        return write_in_time(c->conn, b->bytes, used);
    }
    return send_file(c, b, used, &a->file);
}

/* Answers c->request: 0, or why the connection cannot go on. */
static int answer(struct connection *c) {
    struct server *s = c->server;
    if (s->delay) {
        int status = trine_sleep(s->delay);
        if (status < 0)
            return status;
    }
    struct answer_buffer *b = take_buffer(s);
    if (!b)
        return -ENOMEM;
    char *location = b->bytes + HEADER_MAX; /* the body comes there when the header is done */
    struct answer a = find_answer(s, &c->request, location);
    int status = send_answer(c, b, &a);
    if (a.file.fd >= 0)
        close(a.file.fd);
    give_buffer(s, b);
    return status;
}

/* --- requests --------------------------------------------------------------------------------- */

/* Waits until c->request is a whole request; 0, or why there is none: -ENODATA when the client is
 * done. A head that is too long is a request as well, with the status that says so. */
static int next_request(struct connection *c) {
    int64_t deadline = trine_now() + HEAD_TIME;
    for (;;) {
        size_t used = request_parse(c->in + c->start, c->end - c->start, &c->request);
        if (used) {
            c->start += used;
            return 0;
        }
        if (c->start) {
            memmove(c->in, c->in + c->start, c->end - c->start);
            c->end -= c->start;
            c->start = 0;
        }
        if (c->end == sizeof(c->in)) {
            c->request = (struct request){.status = 431, .target = "-", .target_len = 1};
            return 0;
        }
        int64_t got = read_before(c->conn, deadline, c->in + c->end, sizeof(c->in) - c->end);
        if (got <= 0)
            return got < 0 ? (int)got : -ENODATA;
        c->end += (size_t)got;
    }
}

/* After an answer to a request whose end is not known. Closing a socket with unread bytes resets
 * the connection, and the client may lose the answer: so says RFC 9112, section 9.6. */
static void linger(struct connection *c) {
    if (trine_conn_shutdown(c->conn) < 0)
        return;
    int64_t deadline = trine_now() + LINGER_TIME, dropped = 0, got;
    while (dropped < LINGER_BYTES &&
           (got = read_before(c->conn, deadline, c->in, sizeof(c->in))) > 0)
        dropped += got;
}

int connection_run(struct connection *c) {
    struct server *s = c->server;
    int status;
    do {
        status = next_request(c);
        if (status < 0)
            break;
        s->in_progress++;
        status = answer(c);
        s->in_progress--;
    } while (status == 0 && c->request.keep_alive);
    if (status == 0)
        linger(c);
    connection_end(c);
    return 0; /* what becomes of one connection is no failure of the server */
}
