/* net_tcp.c - connections: bytes arrive whole and in order, every way in which a wait can end, and
 * what happens when descriptors run out. In coroutines unless the name says threads. */
#include "test.h"

#include <trine/net.h>

#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <valgrind/valgrind.h>

enum { BIG = 8 << 20 };

typedef void (*body_fn)(void);

static int run_case(body_fn *body) {
    (*body)();
    return 0;
}
TRINE_TASK(run_case, body_fn);

/* Runs a body as the main coroutine. */
static void in_loop(body_fn body) {
    CHECK_EQ(trine_run(run_case, &body), 0);
}

static trine_listener *listen_here(void) {
    trine_listener *l = NULL;
    CHECK_EQ(trine_tcp_listen("127.0.0.1", 0, 0, &l), 0);
    return l;
}

/* Both ends of one connection; the kernel completes it before it is accepted. */
struct ends {
    trine_conn *client, *server;
};

static struct ends connect_here(void) {
    trine_listener *l = listen_here();
    struct ends e = {NULL, NULL};
    CHECK_EQ(trine_tcp_connect("127.0.0.1", trine_listener_port(l), &e.client), 0);
    CHECK_EQ(trine_tcp_accept(l, &e.server), 0);
    trine_listener_close(&l);
    CHECK(!l);
    return e;
}

static void close_both(struct ends *e) {
    trine_conn_close(&e->client);
    trine_conn_close(&e->server);
    CHECK(!e->client && !e->server);
}

static void read_exactly(trine_conn *c, void *buf, size_t len) {
    for (size_t done = 0; done < len;) {
        int64_t got = trine_conn_read(c, (char *)buf + done, len - done);
        CHECK(got > 0);
        done += (size_t)got;
    }
}

static int open_descriptors(void) {
    DIR *d = opendir("/proc/self/fd");
    int count = 0;
    while (readdir(d))
        count++;
    closedir(d);
    return count;
}

/* --- bytes ------------------------------------------------------------------------------------ */

static unsigned char pattern(size_t i) {
    return (unsigned char)(i * 2654435761u >> 24);
}

static int send_big(trine_conn **c) {
    unsigned char *bytes = malloc(BIG);
    for (size_t i = 0; i < BIG; i++)
        bytes[i] = pattern(i);
    int status = trine_conn_write(*c, bytes, BIG);
    free(bytes);
    return status < 0 ? status : trine_conn_shutdown(*c);
}
TRINE_TASK(send_big, trine_conn *);

static void check_big(trine_conn *c) {
    static unsigned char buf[10007];
    size_t at = 0;
    for (int64_t got; (got = trine_conn_read(c, buf, sizeof(buf))) != 0;) {
        CHECK_OK(got);
        for (int64_t i = 0; i < got; i++, at++)
            if (buf[i] != pattern(at))
                CHECK_EQ(buf[i], pattern(at));
    }
    CHECK_EQ(at, BIG);
}

static void both_ways(void) {
    struct ends e = connect_here();
    TRINE_SCOPE(s);
    trine_spawn(s, send_big, &e.client);
    trine_spawn(s, send_big, &e.server);
    check_big(e.server);
    check_big(e.client);
    CHECK_EQ(trine_join(s), 0);
    close_both(&e);
}
TEST(large_writes_arrive_whole_both_ways) {
    in_loop(both_ways);
}

static void *threads_client(void *port) {
    trine_conn *c;
    CHECK_EQ(trine_tcp_connect("127.0.0.1", *(uint16_t *)port, &c), 0);
    char answer[4];
    CHECK_EQ(trine_conn_write(c, "ping", 4), 0);
    read_exactly(c, answer, 4);
    CHECK(memcmp(answer, "pong", 4) == 0);
    check_big(c);
    trine_conn_close(&c);
    return NULL;
}

TEST(plain_threads) {
    trine_listener *l = listen_here();
    uint16_t port = trine_listener_port(l);
    pthread_t thread;
    pthread_create(&thread, NULL, threads_client, &port);
    trine_conn *c;
    char question[4];
    CHECK_EQ(trine_tcp_accept(l, &c), 0);
    read_exactly(c, question, 4);
    CHECK(memcmp(question, "ping", 4) == 0);
    CHECK_EQ(trine_conn_write(c, "pong", 4), 0);
    CHECK_EQ(send_big(&c), 0);
    pthread_join(thread, NULL);
    trine_conn_close(&c);
    trine_listener_close(&l);
}

static int echo_one(trine_conn **c) {
    char buf[64];
    int64_t got;
    int status = 0;
    while (status == 0 && (got = trine_conn_read(*c, buf, sizeof(buf))) > 0)
        status = trine_conn_write(*c, buf, (size_t)got);
    trine_conn_close(c);
    return status;
}
TRINE_TASK(echo_one, trine_conn *);

enum { CLIENTS = 200, ROUNDS = 20 };

static int echo_client(uint16_t *port) {
    trine_conn *c;
    int status = trine_tcp_connect("127.0.0.1", *port, &c);
    if (status < 0)
        return status;
    for (int i = 0; i < ROUNDS; i++) {
        char out[32], in[32];
        int len = snprintf(out, sizeof(out), "message %d", i);
        CHECK_EQ(trine_conn_write(c, out, (size_t)len), 0);
        read_exactly(c, in, (size_t)len);
        CHECK(memcmp(in, out, (size_t)len) == 0);
    }
    trine_conn_close(&c);
    return 0;
}
TRINE_TASK(echo_client, uint16_t);

static void echo(void) {
    int before = open_descriptors();
    trine_listener *l = listen_here();
    static uint16_t ports[CLIENTS];
    static trine_conn *conns[CLIENTS];
    {
        TRINE_SCOPE(s);
        for (int i = 0; i < CLIENTS; i++)
            ports[i] = trine_listener_port(l);
        CHECK_EQ(trine_map(s, NULL, echo_client, ports, CLIENTS), 0);
        for (int i = 0; i < CLIENTS; i++) {
            CHECK_EQ(trine_tcp_accept(l, &conns[i]), 0);
            CHECK_EQ(trine_spawn(s, echo_one, &conns[i]), 0);
        }
        CHECK_EQ(trine_join(s), 0);
    }
    trine_listener_close(&l);
    CHECK(open_descriptors() - before <= 2); /* the loop's own: epoll and eventfd */
}
TEST(echo_with_200_clients_leaves_no_descriptor) {
    in_loop(echo);
}

static void end_of_stream(void) {
    struct ends e = connect_here();
    char byte;
    CHECK_EQ(trine_conn_write(e.client, "x", 1), 0);
    CHECK_EQ(trine_conn_shutdown(e.client), 0);
    CHECK_EQ(trine_conn_read(e.server, &byte, 1), 1);
    CHECK_EQ(trine_conn_read(e.server, &byte, 1), 0);
    CHECK_EQ(trine_conn_write(e.server, "y", 1), 0); /* the other direction is still open */
    CHECK_EQ(trine_conn_read(e.client, &byte, 1), 1);
    CHECK_EQ(byte, 'y');
    close_both(&e);
}
TEST(shutdown_ends_one_direction) {
    in_loop(end_of_stream);
}

/* --- errors ----------------------------------------------------------------------------------- */

static void peer_gone(void) {
    struct ends e = connect_here();
    trine_conn_close(&e.server);
    static char bytes[1 << 16];
    int status = 0;
    for (int i = 0; i < 1000 && status == 0; i++)
        status = trine_conn_write(e.client, bytes, sizeof(bytes));
    CHECK(status == -EPIPE || status == -ECONNRESET); /* and no SIGPIPE */
    close_both(&e);
}
TEST(writing_to_a_peer_that_is_gone) {
    in_loop(peer_gone);
}

static void refused(void) {
    trine_listener *l = listen_here();
    uint16_t port = trine_listener_port(l);
    CHECK(port > 0);
    trine_listener *other = NULL;
    CHECK_EQ(trine_tcp_listen("127.0.0.1", port, 0, &other), -EADDRINUSE);
    CHECK_EQ(trine_tcp_listen("192.0.2.1", 0, 0, &other), -EADDRNOTAVAIL);
    CHECK(!other);
    trine_listener_close(&l);
    trine_listener_close(&l); /* NULL is fine */
    trine_conn *c = NULL;
    CHECK_EQ(trine_tcp_connect("127.0.0.1", port, &c), -ECONNREFUSED);
    CHECK(!c);
    trine_conn_close(&c);
}
TEST(refused_and_taken_ports) {
    in_loop(refused);
}

static void names(void) {
    if (RUNNING_ON_VALGRIND)
        test_skip("glibc's resolver state of the look-up's thread counts as lost at exit");
    trine_listener *l = listen_here();
    trine_conn *c = NULL;
    CHECK_EQ(trine_tcp_connect("localhost", trine_listener_port(l), &c), 0);
    trine_conn_close(&c);
    int status = trine_tcp_connect("no-such-host.invalid", 80, &c);
    CHECK(status == -ENXIO || status == -EREMOTEIO);
    trine_listener_close(&l);
}
TEST(names_are_looked_up) {
    in_loop(names);
}

/* --- ways in which a wait ends ---------------------------------------------------------------- */

static int read_one(trine_conn **c) {
    char byte;
    return (int)trine_conn_read(*c, &byte, 1);
}
TRINE_TASK(read_one, trine_conn *);

static int accept_one(trine_listener **l) {
    trine_conn *c;
    return trine_tcp_accept(*l, &c);
}
TRINE_TASK(accept_one, trine_listener *);

/* Lets the others run until they wait: each is tried and registered within two turns. */
static void let_wait(void) {
    for (int i = 0; i < 4; i++)
        CHECK_EQ(trine_sleep(1), 0);
}

static int await_status(trine_future *f) {
    int status;
    CHECK_EQ(trine_await(f, &status), 0);
    return status;
}

static void close_wakes(void) {
    struct ends e = connect_here();
    trine_listener *l = listen_here(), *acceptor = l; /* the tasks hold pointers of their own */
    trine_conn *writer = e.server, *reader = e.server;
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    trine_future *write = trine_start(s, NULL, send_big, &writer);
    trine_future *read = trine_start(s, NULL, read_one, &reader);
    trine_future *accept = trine_start(s, NULL, accept_one, &acceptor);
    let_wait();
    CHECK_EQ(trine_status(write), -EINPROGRESS);
    CHECK_EQ(trine_status(read), -EINPROGRESS);
    CHECK_EQ(trine_status(accept), -EINPROGRESS);
    trine_conn_close(&e.server);
    trine_listener_close(&l);
    CHECK_EQ(await_status(write), -EBADF);
    CHECK_EQ(await_status(read), -EBADF);
    CHECK_EQ(await_status(accept), -EBADF);
    trine_conn_close(&e.client);
}
TEST(close_wakes_who_waits) {
    in_loop(close_wakes);
}

/* As send_big, but does not touch the connection after the write: it may be closed. */
static int write_big(trine_conn **c) {
    char *bytes = calloc(1, BIG);
    int status = trine_conn_write(*c, bytes, BIG);
    free(bytes);
    return status;
}
TRINE_TASK(write_big, trine_conn *);

/* At some of these moments the writer has been woken, but has not run, when its connection goes. */
static void close_between(void) {
    static char buf[1 << 20];
    for (int reads = 1; reads <= 24; reads++) {
        struct ends e = connect_here();
        trine_conn *writer = e.server;
        TRINE_SCOPE(s, .policy = TRINE_COLLECT);
        trine_future *write = trine_start(s, NULL, write_big, &writer);
        let_wait();
        for (int i = 0; i < reads; i++)
            CHECK(trine_conn_read(e.client, buf, sizeof(buf) >> (reads / 3)) > 0);
        trine_conn_close(&e.server);
        int status = await_status(write);
        CHECK(status == -EBADF || status == 0);
        close_both(&e);
    }
}
TEST(close_in_the_middle_of_a_write) {
    in_loop(close_between);
}

static void deadline(void) {
    struct ends e = connect_here();
    char byte;
    {
        TRINE_SCOPE(s, .timeout = TRINE_MS(5));
        CHECK_EQ(trine_conn_read(e.server, &byte, 1), -ETIMEDOUT);
        CHECK_EQ(trine_conn_read(e.server, &byte, 1), -ETIMEDOUT); /* level-triggered */
    }
    trine_listener *l = listen_here();
    {
        TRINE_SCOPE(s, .timeout = TRINE_MS(5));
        trine_conn *c;
        CHECK_EQ(trine_tcp_accept(l, &c), -ETIMEDOUT);
    }
    CHECK_EQ(trine_conn_write(e.client, "z", 1), 0);
    CHECK_EQ(trine_conn_read(e.server, &byte, 1), 1); /* nothing is broken, nothing was lost */
    CHECK_EQ(byte, 'z');
    trine_listener_close(&l);
    close_both(&e);
}
TEST(a_deadline_ends_a_wait_and_nothing_else) {
    in_loop(deadline);
}
TEST(a_deadline_in_a_plain_thread) {
    deadline();
}

/* --- descriptors ------------------------------------------------------------------------------ */

static void flags(void) {
    bool inherited[64];
    for (int fd = 0; fd < 64; fd++)
        inherited[fd] = fcntl(fd, F_GETFD) >= 0;
    struct ends e = connect_here();
    int sockets = 0;
    for (int fd = 0; fd < 64; fd++) {
        if (inherited[fd] || fcntl(fd, F_GETFD) < 0)
            continue;
        CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        int nodelay = 0;
        socklen_t size = sizeof(nodelay);
        if (getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, &size) < 0)
            continue;
        sockets++;
        CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
        CHECK(nodelay);
    }
    CHECK_EQ(sockets, 2);
    close_both(&e);
}
TEST(sockets_are_cloexec_nonblocking_nodelay) {
    in_loop(flags);
}

static double cpu_seconds(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void out_of_descriptors(void) {
    if (RUNNING_ON_VALGRIND)
        test_skip("valgrind closes what accept gives it above the limit");
    trine_listener *l = listen_here();
    trine_conn *client, *server = NULL;
    CHECK_EQ(trine_tcp_connect("127.0.0.1", trine_listener_port(l), &client), 0);
    struct rlimit full, none;
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &full), 0);
    none = full;
    none.rlim_cur = 3; /* below all that is open */
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    int64_t start = trine_now();
    double cpu = cpu_seconds();
    for (int i = 0; i < 4; i++)
        CHECK_EQ(trine_tcp_accept(l, &server), -EMFILE);
    CHECK(trine_now() - start >= TRINE_MS(200)); /* four pauses of 50 ms */
    CHECK(cpu_seconds() - cpu < 0.1);
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &full), 0);
    CHECK_EQ(trine_tcp_accept(l, &server), 0); /* it stayed in the backlog */
    trine_conn_close(&client);
    trine_conn_close(&server);
    trine_listener_close(&l);
}
TEST(accept_without_descriptors_pauses) {
    in_loop(out_of_descriptors);
}

static void died(int signal) {
    (void)signal;
    _exit(0);
}

static void *misuse(void *conn) {
    signal(SIGABRT, died);
    CHECK_EQ(trine_conn_write(conn, "x", 1), -ECANCELED); /* aborts: the connection is not ours */
    return NULL;
}

TEST(use_in_another_thread_aborts) {
    if (RUNNING_ON_VALGRIND)
        test_skip("a process that dies by design leaks");
    struct ends e = connect_here();
    pthread_t thread;
    pthread_create(&thread, NULL, misuse, e.client);
    pthread_join(thread, NULL);
    CHECK(!"the program should have been aborted");
}
