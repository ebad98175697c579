/* http_server.h - a small HTTP server for tests: plain threads, blocking sockets, 127.0.0.1, one
 * thread a connection. What it answers depends on the path alone; what it saw is counted. */
#ifndef TRINE_TEST_HTTP_SERVER_H
#define TRINE_TEST_HTTP_SERVER_H

#include "test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

enum { SERVER_CONNECTIONS = 512, SERVER_REQUEST = 1 << 16 };

struct server {
    int fd, port;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t change;
    /* Under the lock, only growing: */
    int connections, requests;
    int hanging, gone; /* requests left without an answer; clients that left such a one */
    int ended;         /* connections closed by the server */
    int gates, answered;
    int clients[SERVER_CONNECTIONS];
    pthread_t threads[SERVER_CONNECTIONS];
};

static struct server server = {.lock = PTHREAD_MUTEX_INITIALIZER,
                               .change = PTHREAD_COND_INITIALIZER};

/* A time as sanitizers and valgrind need it. */
static inline int64_t slow_ms(int ms) {
    const char *slow = getenv("TRINE_TEST_SLOW");
    return (int64_t)ms * 1000000 * (slow ? atoi(slow) : 1);
}

/* So often something is tried that must be quick once: the machine may be busy at any moment. */
enum { QUICK_TRIES = 5 };

static inline void server_count(int *counter) {
    pthread_mutex_lock(&server.lock);
    ++*counter;
    pthread_cond_broadcast(&server.change);
    pthread_mutex_unlock(&server.lock);
}

static inline int server_read(int *counter) {
    pthread_mutex_lock(&server.lock);
    int value = *counter;
    pthread_mutex_unlock(&server.lock);
    return value;
}

/* Waits until the counter has reached `value`; the test's time limit ends it otherwise. */
static inline void server_await(int *counter, int value) {
    pthread_mutex_lock(&server.lock);
    while (*counter < value)
        pthread_cond_wait(&server.change, &server.lock);
    pthread_mutex_unlock(&server.lock);
}

static inline void server_put(int fd, const void *bytes, size_t n) {
    for (const char *p = bytes; n;) {
        ssize_t r = send(fd, p, n, MSG_NOSIGNAL);
        if (r <= 0)
            return;
        p += r;
        n -= (size_t)r;
    }
}

__attribute__((format(printf, 2, 3))) static inline void server_print(int fd, const char *format,
                                                                      ...) {
    char text[SERVER_REQUEST + 512];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    server_put(fd, text, (size_t)n);
}

static inline void server_answer(int fd, const char *head, const char *body) {
    server_print(fd, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n%s\r\n%s", strlen(body), head,
                 body);
}

/* Says nothing more until the client is gone. */
static inline void server_hang(int fd) {
    char byte;
    server_count(&server.hanging);
    while (recv(fd, &byte, 1, 0) > 0)
        ;
    server_count(&server.gone);
}

static inline void server_gzip(int fd) { /* 600 bytes: "words " a hundred times */
    static const unsigned char packed[] = {0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00,
                                           0x02, 0x03, 0x2b, 0xcf, 0x2f, 0x4a, 0x29, 0x56,
                                           0x28, 0x1f, 0x25, 0x47, 0x49, 0xaa, 0x92, 0x00,
                                           0x2d, 0x38, 0x2e, 0xb6, 0x58, 0x02, 0x00, 0x00};
    server_print(fd, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n",
                 sizeof(packed));
    server_put(fd, packed, sizeof(packed));
}

static inline void server_redirect(int fd, const char *path) {
    int status, hops;
    char to[256];
    if (sscanf(path, "/redirect/%d/%d", &status, &hops) == 2 && hops > 1)
        server_print(fd, "HTTP/1.1 %d Go\r\nLocation: %d\r\nContent-Length: 4\r\n\r\ngone", status,
                     hops - 1);
    else if (sscanf(path, "/redirect/%d/%d", &status, &hops) == 2)
        server_print(fd, "HTTP/1.1 %d Go\r\nLocation: /echo\r\nContent-Length: 0\r\n\r\n", status);
    else if (sscanf(path, "/to?%255s", to) == 1)
        server_print(fd, "HTTP/1.1 302 Go\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n", to);
}

/* False: the connection ends. */
static inline bool server_respond(int fd, const char *path, const char *request) {
    static char large[100000];
    if (strcmp(path, "/hello") == 0) {
        server_answer(fd, "Content-Type: text/plain\r\nX-Twice: one\r\nX-Twice: two\r\n", "hello");
    } else if (strcmp(path, "/echo") == 0) {
        server_answer(fd, "Content-Type: message/http\r\n", request);
    } else if (strcmp(path, "/head") == 0) {
        server_print(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    } else if (strcmp(path, "/chunked") == 0) {
        server_print(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                         "5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n");
    } else if (strcmp(path, "/gzip") == 0) {
        server_gzip(fd);
    } else if (strcmp(path, "/badgzip") == 0) {
        server_answer(fd, "Content-Encoding: gzip\r\n", "this is not gzip at all");
    } else if (strcmp(path, "/large") == 0) {
        server_print(fd, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", sizeof(large));
        server_put(fd, large, sizeof(large));
    } else if (strcmp(path, "/gate") == 0) { /* answers when the test counts `gates` */
        server_count(&server.hanging);
        server_await(&server.gates, 1);
        server_answer(fd, "", "hello");
        server_count(&server.answered);
    } else if (strcmp(path, "/last") == 0) { /* closes without saying so before */
        server_answer(fd, "", "last");
        return false;
    } else if (strcmp(path, "/headers") == 0) { /* 300,000 bytes of them */
        server_print(fd, "HTTP/1.1 200 OK\r\n");
        for (int i = 0; i < 300; i++)
            server_print(fd, "X-Filler-%d: %0990d\r\n", i, i);
        server_print(fd, "Content-Length: 0\r\n\r\n");
    } else if (strcmp(path, "/dies") == 0) {
        server_print(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        return false;
    } else if (strcmp(path, "/silent") == 0) {
        return false;
    } else if (strcmp(path, "/garbage") == 0) {
        server_print(fd, "220 mail.example ESMTP\r\n");
        return false;
    } else if (strcmp(path, "/hang-headers") == 0) {
        server_hang(fd);
        return false;
    } else if (strcmp(path, "/hang-body") == 0) {
        server_print(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        server_hang(fd);
        return false;
    } else if (strncmp(path, "/redirect/", 10) == 0 || strncmp(path, "/to?", 4) == 0) {
        server_redirect(fd, path);
    } else {
        server_print(fd, "HTTP/1.1 404 No\r\nContent-Length: 4\r\n\r\nnone");
    }
    return true;
}

/* One request with its body; false when the client has closed. */
static inline bool server_receive(int fd, char *request) {
    size_t n = 0, whole = SIZE_MAX;
    while (n < whole) {
        ssize_t r = recv(fd, request + n, SERVER_REQUEST - 1 - n, 0);
        if (r <= 0)
            return false;
        n += (size_t)r;
        request[n] = '\0';
        char *end = strstr(request, "\r\n\r\n");
        if (!end)
            continue;
        char *length = strcasestr(request, "\r\nContent-Length:");
        whole = (size_t)(end + 4 - request) +
                (length && length < end ? strtoul(length + 17, 0, 10) : 0);
    }
    return true;
}

static inline void *server_serve(void *arg) {
    int fd = *(int *)arg;
    char *request = malloc(SERVER_REQUEST), path[512];
    while (server_receive(fd, request) && sscanf(request, "%*s %511s", path) == 1) {
        server_count(&server.requests);
        if (!server_respond(fd, path, request))
            break;
    }
    shutdown(fd, SHUT_RDWR);
    free(request);
    server_count(&server.ended);
    return NULL;
}

static inline void *server_accept(void *unused) {
    for (int fd; (fd = accept4(server.fd, NULL, NULL, SOCK_CLOEXEC)) >= 0;) {
        int i = server_read(&server.connections);
        if (i == SERVER_CONNECTIONS)
            abort();
        server.clients[i] = fd;
        server_count(&server.connections); /* before it can end */
        pthread_create(&server.threads[i], NULL, server_serve, &server.clients[i]);
    }
    return unused;
}

static inline void server_start(void) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(a);
    server.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(server.fd, (struct sockaddr *)&a, size) < 0 || listen(server.fd, 512) < 0 ||
        getsockname(server.fd, (struct sockaddr *)&a, &size) < 0)
        test_fail(__FILE__, __LINE__, "no server: %s", strerror(errno));
    server.port = ntohs(a.sin_port);
    pthread_create(&server.thread, NULL, server_accept, NULL);
}

static inline void server_stop(void) {
    shutdown(server.fd, SHUT_RDWR);
    pthread_join(server.thread, NULL);
    close(server.fd);
    for (int i = 0; i < server.connections; i++) {
        shutdown(server.clients[i], SHUT_RDWR);
        pthread_join(server.threads[i], NULL);
        close(server.clients[i]);
    }
}

/* "http://HOST:PORT/PATH"; a few of them are valid at a time. */
static inline const char *server_url(const char *host, const char *path) {
    static __thread char urls[4][512];
    static __thread unsigned next;
    char *url = urls[next++ % 4];
    snprintf(url, sizeof(urls[0]), "http://%s:%d%s", host, server.port, path);
    return url;
}

#endif
