/*
 * serve.c - `trine serve`: options, the loop's main task, and the end by a signal.
 *
 * The main task waits for a signal; a sibling accepts, and owns the scope in which each connection
 * is a coroutine. The connections' scope has a limit, so that a full server leaves new connections
 * to the kernel's backlog. Rejected: a thread a CPU with a loop each; one loop is more than the
 * crawls need that it serves, and a log of one writer is an oracle.
 */
#include "serve/server.h"

#include "commands.h"
#include "options.h"
#include "serve/files.h"

#include <trine/signal.h>

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

struct serve_options {
    const char *dir, *host, *log;
    int64_t port, delay, connections;
};

struct serve_run {
    const struct serve_options *options;
    struct server server;
};

TRINE_TASK(connection_run, struct connection);

/* --- accepting -------------------------------------------------------------------------------- */

static struct connection *take_connection(struct server *s) {
    struct connection *c = s->spare;
    if (c) {
        s->spare = c->next_spare;
        return c;
    }
    c = malloc(sizeof(*c)); /* not zeroed: most of it is a buffer that may stay untouched */
    if (c) {
        c->server = s;
        c->next = s->all;
        s->all = c;
    }
    return c;
}

void connection_end(struct connection *c) {
    trine_conn_close(&c->conn);
    c->next_spare = c->server->spare;
    c->server->spare = c;
}

static bool is_shortage(int error) {
    return error == -EMFILE || error == -ENFILE || error == -ENOMEM || error == -ENOBUFS;
}

/* Accepts one connection and starts its coroutine. */
static int accept_one(struct server *s, trine_scope *connections) {
    trine_conn *conn;
    int status = trine_tcp_accept(s->listener, &conn);
    if (status < 0)
        return status;
    struct connection *c = take_connection(s);
    if (!c) {
        trine_conn_close(&conn);
        return -ENOMEM;
    }
    c->conn = conn;
    c->start = c->end = 0;
    status = trine_spawn(connections, connection_run, c);
    if (status < 0)
        connection_end(c);
    return status;
}

static int accept_all(struct server *s) {
    TRINE_SCOPE(connections, .policy = TRINE_COLLECT, .name = "connections", .limit = s->limit,
                .pending = 1);
    bool short_before = false;
    for (;;) {
        int status = accept_one(s, connections);
        if (status < 0 && !is_shortage(status))
            return status;
        if (status < 0 && !short_before)
            fprintf(stderr, "trine serve: connections have to wait: %s\n", strerror(-status));
        short_before = status < 0;
    }
}
TRINE_TASK(accept_all, struct server);

/* --- start and end ---------------------------------------------------------------------------- */

static void print_url(const char *host, uint16_t port) {
    bool v6 = strchr(host, ':') != NULL;
    printf("http://%s%s%s:%u\n", v6 ? "[" : "", host, v6 ? "]" : "", port);
    fflush(stdout);
}

static int serve_until(trine_signal *stop, struct server *s) {
    TRINE_SCOPE(scope, .name = "serve");
    trine_spawn(scope, accept_all, s);
    bool asked = trine_signal_wait(stop) > 0;
    trine_scope_cancel(scope, -ECANCELED);
    int status = trine_join(scope);
    return asked ? 0 : status;
}

static void free_memory(struct server *s) {
    for (struct connection *c = s->all, *next; c; c = next) {
        next = c->next;
        trine_conn_close(&c->conn); /* of one that was cancelled before it began */
        free(c);
    }
    for (struct answer_buffer *b = s->spare_buffers, *next; b; b = next) {
        next = b->next_spare;
        free(b);
    }
}

static int serve_task(struct serve_run *r) {
    const struct serve_options *o = r->options;
    struct server *s = &r->server;
    int status = trine_tcp_listen(o->host, (uint16_t)o->port, 0, &s->listener);
    if (status < 0) {
        fprintf(stderr, "trine serve: cannot listen on %s, port %d: %s\n", o->host, (int)o->port,
                strerror(-status));
        return status;
    }
    trine_signal *stop = NULL;
    status = trine_signal_open(SIGINT, &stop);
    if (status == 0)
        status = trine_signal_add(stop, SIGTERM);
    if (status == 0) {
        print_url(o->host, trine_listener_port(s->listener)); /* from now on we can be stopped */
        status = serve_until(stop, s);
    }
    if (status < 0)
        fprintf(stderr, "trine serve: %s\n", strerror(-status));
    trine_signal_close(&stop);
    trine_listener_close(&s->listener);
    free_memory(s);
    return status;
}
TRINE_TASK(serve_task, struct serve_run);

/* Two descriptors a connection: its socket and the file that it sends. */
static unsigned raise_descriptors(unsigned connections) {
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) < 0)
        return connections;
    rlim_t wanted = (rlim_t)connections * 2 + 64;
    if (l.rlim_cur < wanted) {
        l.rlim_cur = wanted < l.rlim_max ? wanted : l.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &l) < 0)
            getrlimit(RLIMIT_NOFILE, &l);
    }
    rlim_t can = l.rlim_cur > 66 ? (l.rlim_cur - 64) / 2 : 1;
    return can < connections ? (unsigned)can : connections;
}

static int run(const struct serve_options *o) {
    struct serve_run r = {.options = o, .server = {.delay = o->delay, .log_fd = -1}};
    r.server.root = files_open_root(o->dir);
    if (r.server.root < 0) {
        fprintf(stderr, "trine serve: %s: %s\n", o->dir, strerror(-r.server.root));
        return 1;
    }
    if (o->log) {
        r.server.log_fd = open(o->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
        if (r.server.log_fd < 0) {
            fprintf(stderr, "trine serve: --log %s: %s\n", o->log, strerror(errno));
            close(r.server.root);
            return 1;
        }
    }
    r.server.limit = raise_descriptors((unsigned)o->connections);
    int status = trine_run(serve_task, &r);
    if (r.server.log_fd >= 0)
        close(r.server.log_fd);
    close(r.server.root);
    return status < 0 ? 1 : 0;
}

/* --- options ---------------------------------------------------------------------------------- */

/* 0, or the exit status of a mistake. */
static int read_options(int argc, char **argv, struct serve_options *o) {
    static const struct option options[] = {{"host", required_argument, NULL, 'h'},
                                            {"port", required_argument, NULL, 'p'},
                                            {"delay", required_argument, NULL, 'd'},
                                            {"log", required_argument, NULL, 'l'},
                                            {"connections", required_argument, NULL, 'c'},
                                            {0}};
    const char *me = argv[0];
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        bool fine = true;
        if (c == '?')
            return usage_hint(me);
        else if (c == 'h')
            o->host = optarg;
        else if (c == 'p')
            fine = option_number(me, "--port", optarg, 0, 65535, &o->port);
        else if (c == 'd')
            fine = option_seconds(me, "--delay", optarg, 3600, &o->delay);
        else if (c == 'l')
            o->log = optarg;
        else if (c == 'c')
            fine = option_number(me, "--connections", optarg, 1, 100000, &o->connections);
        if (!fine)
            return EXIT_USAGE;
    }
    if (argc - optind != 1)
        return usage_error(me, "one DIR is expected, not %d", argc - optind);
    o->dir = argv[optind];
    return 0;
}

int cmd_serve(int argc, char **argv) {
    struct serve_options o = {.host = "127.0.0.1", .port = 8000, .connections = 1024};
    int status = read_options(argc, argv, &o);
    return status ? status : run(&o);
}
