/*
 * The head of an HTTP/1.1 request (RFC 9112), taken apart. Pure: no I/O, no memory of its own.
 */
#ifndef SERVE_REQUEST_H
#define SERVE_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

enum {
    REQUEST_HEAD_MAX = 16 << 10, /* bytes of a request line and its headers */
    REQUEST_PATH_MAX = 4096      /* bytes of a decoded path, its NUL included */
};

struct request {
    int status;         /* 0: can be answered; else what is wrong: 400, 405, 414, 505 */
    bool head_only;     /* HEAD */
    bool keep_alive;    /* the client wants it, and the end of the request is known */
    bool old;           /* HTTP/1.0: keeping alive must be said in the answer */
    const char *target; /* as it came, for the log; in the bytes that were parsed */
    size_t target_len;
    const char *query; /* "?..." of the target, or nothing */
    size_t query_len;
    char path[REQUEST_PATH_MAX]; /* decoded, without its leading slashes: "a/b c.html", "" */
};

/*
 * Takes the first request of `bytes` apart: the length of its head, its empty line included; 0 when
 * the head is not complete yet. A body is not read: a request that has one is answered without
 * keep_alive, so that no byte of it is ever taken for a request.
 */
size_t request_parse(const char *bytes, size_t len, struct request *ret_request);

/* Decodes a path's %XX into `out`, which has `size` bytes, and drops leading slashes; false: a bad
 * escape, a NUL, or too long. */
bool request_decode_path(const char *path, size_t len, char *out, size_t size);

/* Writes "/" and the path so that it can stand in a Location header: bytes that are not plain are
 * escaped. False when it does not fit. */
bool request_encode_path(const char *path, char *out, size_t size);

#endif
