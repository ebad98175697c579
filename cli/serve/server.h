/*
 * One server: what its connections share. All of it belongs to the loop's thread.
 */
#ifndef SERVE_SERVER_H
#define SERVE_SERVER_H

#include "serve/request.h"

#include <trine/net.h>

#include <time.h>

/* A connection, or a spare one: its memory is used again, last in, first out. */
struct connection {
    struct server *server;
    trine_conn *conn;
    struct connection *next_spare;
    struct connection *next; /* of all, in use or not */
    size_t start, end;       /* what was received and not yet handled: in[start..end) */
    struct request request;
    char in[REQUEST_HEAD_MAX];
};

/* What an answer is put together in; one for each answer that is being sent. */
enum { ANSWER_BUFFER = 64 << 10 };
struct answer_buffer {
    struct answer_buffer *next_spare;
    char bytes[ANSWER_BUFFER];
};

struct server {
    trine_listener *listener;
    int root;
    int64_t delay;
    unsigned limit;
    int log_fd; /* -1: none */
    bool log_failed;
    unsigned in_progress; /* requests that came and are not answered yet */
    struct connection *all, *spare;
    struct answer_buffer *spare_buffers;
    time_t second; /* that the texts below are of */
    char date[32]; /* of the Date header */
    char log_time[24];
};

/* Serves one connection until it ends, and closes it. A task of the connections' scope. */
int connection_run(struct connection *c);

/* Closes it and keeps its memory for the next one. */
void connection_end(struct connection *c);

/* Brings the server's texts of the time up to date; ms: the milliseconds of the second. */
void server_clock(struct server *s, unsigned *ret_ms);

/*
 * Notes a request in the log, by one write(2), before the client sees a byte of the answer: who has
 * an answer finds it in the log, also when either side is killed. The line:
 *     2024-05-06T07:08:09.123Z STATUS BYTES IN-PROGRESS TARGET
 * BYTES is the answer's body as announced, TARGET is "-" when there was none to be read.
 */
void server_log(struct server *s, int status, int64_t bytes, const char *target, size_t target_len);

#endif
