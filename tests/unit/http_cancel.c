/* http_cancel.c - a request ends when it is asked to, wherever it is: in the look-up, while it
 * connects, before the headers, in the body; and its own timeout is told from the scope's. */
#include "http_server.h"

#include "core/loop.h"
#include "net/dns.h"

#include <fcntl.h>
#include <trine/http.h>
#include <trine/task.h>

static trine_http *http;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t change = PTHREAD_COND_INITIALIZER;
static bool released;
static int blocked;

static int fake_lookup(const char *host, struct dns_addresses *ret) {
    pthread_mutex_lock(&lock);
    if (strncmp(host, "blocked", 7) == 0) {
        blocked++;
        pthread_cond_broadcast(&change);
        while (!released)
            pthread_cond_wait(&change, &lock);
    }
    pthread_mutex_unlock(&lock);
    *ret = (struct dns_addresses){.count = 1, .at = {{.family = AF_INET, .bytes = {127, 0, 0, 1}}}};
    if (strcmp(host, "two.test") == 0) { /* nobody listens on the first */
        ret->at[1] = ret->at[0];
        ret->at[0].bytes[3] = 2;
        ret->count = 2;
    }
    return strcmp(host, "none.test") == 0 ? -ENXIO : 0;
}

static void await_lookup(int number) {
    pthread_mutex_lock(&lock);
    while (blocked <= number)
        pthread_cond_wait(&change, &lock);
    pthread_mutex_unlock(&lock);
}

static void release(void) {
    pthread_mutex_lock(&lock);
    released = true;
    pthread_cond_broadcast(&change);
    pthread_mutex_unlock(&lock);
}

struct fetch {
    const char *url;
    int result;
    int64_t timeout;
    trine_http_response page;
};

static int fetch(struct fetch *f) {
    const trine_http_request request = {.size = sizeof(request),
                                        .url = f->url,
                                        .timeout = f->timeout};
    f->result = trine_http_send(http, &request, &f->page);
    return 0;
}
TRINE_TASK(fetch, struct fetch);

static void start(void) {
    dns_lookup = fake_lookup;
    server_start();
    CHECK_OK(trine_http_open(&http, NULL));
}

static void stop(struct fetch *f) {
    trine_http_response_free(&f->page);
    trine_http_close(&http);
    server_stop();
}

/* --- cancelled from outside, at each of the places --- */

struct place {
    enum { IN_LOOKUP, IN_CONNECT, AT_SERVER } where;
    const char *path;
};

/* A full queue of connections that nobody accepts: a further one gets no answer. */
static int mute_port;

static void open_mute_port(void) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_EQ(bind(fd, (struct sockaddr *)&a, size), 0);
    CHECK_EQ(listen(fd, 0), 0);
    CHECK_EQ(getsockname(fd, (struct sockaddr *)&a, &size), 0);
    mute_port = ntohs(a.sin_port);
    for (int pending = 0; !pending;) {
        int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        CHECK(connect(client, (struct sockaddr *)&a, size) == 0 || errno == EINPROGRESS);
        struct pollfd p = {.fd = client, .events = POLLOUT};
        pending = poll(&p, 1, 200) == 0;
    }
}

static void url_of(const struct place *p, int number, char *url, size_t size) {
    char host[32] = "127.0.0.1";
    if (p->where == IN_LOOKUP) /* a new name, so a look-up of its own */
        snprintf(host, sizeof(host), "blocked%d.test", number);
    int port = p->where == IN_CONNECT ? mute_port : server.port;
    snprintf(url, size, "http://%s:%d%s", host, port, p->path);
}

/* How long the end took; `number` were cancelled there before. */
static int64_t cancel_one(const struct place *p, struct fetch *f, int number) {
    char url[128];
    url_of(p, number, url, sizeof(url));
    *f = (struct fetch){.url = url, .result = 1};
    TRINE_SCOPE(s);
    CHECK_OK(trine_spawn(s, fetch, f));
    for (int i = 0; i < 3; i++)
        CHECK_OK(trine_sleep(0) ?: trine_yield());
    while (p->where == AT_SERVER && server_read(&server.hanging) <= number)
        CHECK_OK(trine_sleep(TRINE_US(100))); /* let the loop work */
    if (p->where == IN_LOOKUP)
        await_lookup(number);
    CHECK_EQ(f->result, 1);
    int64_t before = trine_now();
    trine_scope_cancel(s, 0);
    CHECK_EQ(trine_join(s), -ECANCELED);
    int64_t took = trine_now() - before;
    CHECK_EQ(f->result, -ECANCELED);
    CHECK(f->page.error[0]);
    if (p->where == AT_SERVER)
        server_await(&server.gone, number + 1); /* the connection was closed at once */
    return took;
}

static int cancel_there(struct place *p) {
    struct fetch f;
    int number = 0;
    while (cancel_one(p, &f, number) >= slow_ms(10)) {
        CHECK(++number < QUICK_TRIES);
        trine_http_response_free(&f.page);
    }
    f.url = server_url("127.0.0.1", "/hello");
    TRINE_SCOPE(again);
    CHECK_OK(trine_spawn(again, fetch, &f));
    CHECK_OK(trine_join(again));
    CHECK_EQ(f.result, 0);
    CHECK_EQ(f.page.status, 200);
    trine_http_response_free(&f.page);
    return 0;
}
TRINE_TASK(cancel_there, struct place);

static void cancel_at(struct place p) {
    struct fetch none = {0};
    start();
    CHECK_OK(trine_run(cancel_there, &p));
    release();
    stop(&none);
}

TEST(cancelled_in_the_lookup) {
    cancel_at((struct place){IN_LOOKUP, "/hello"});
}

TEST(cancelled_while_it_connects) {
    open_mute_port();
    cancel_at((struct place){IN_CONNECT, "/"});
}

TEST(cancelled_before_the_headers) {
    cancel_at((struct place){AT_SERVER, "/hang-headers"});
}

TEST(cancelled_in_the_body) {
    cancel_at((struct place){AT_SERVER, "/hang-body"});
}

/* --- timeouts --- */

TEST(the_requests_own_timeout_is_ETIME) {
    static const char *const paths[] = {"/hang-headers", "/hang-body"};
    start();
    struct fetch f = {.timeout = TRINE_MS(30)};
    for (int i = 0; i < 2; i++) {
        f.url = server_url("127.0.0.1", paths[i]);
        int64_t before = trine_now();
        fetch(&f);
        CHECK_EQ(f.result, -ETIME);
        CHECK(trine_now() - before >= TRINE_MS(30));
        CHECK(strstr(f.page.error, "30 ms"));
    }
    f.url = server_url("blocked.test", "/hello");
    fetch(&f);
    CHECK_EQ(f.result, -ETIME);
    release();
    stop(&f);
}

struct late_one {
    trine_scope *scope;
};

static int end_when_it_hangs(struct late_one *l) {
    while (!server_read(&server.hanging)) {
        int r = trine_sleep(TRINE_US(100));
        if (r < 0)
            return r;
    }
    trine_scope_set_deadline(l->scope, trine_now());
    return 0;
}
TRINE_TASK(end_when_it_hangs, struct late_one);

static int deadline_comes(void *unused) {
    (void)unused;
    struct fetch f = {.url = server_url("127.0.0.1", "/hang-body")};
    TRINE_SCOPE(others);
    TRINE_SCOPE(s, .timeout = TRINE_SEC(600));
    struct late_one l = {s};
    CHECK_OK(trine_spawn(others, end_when_it_hangs, &l));
    fetch(&f);
    CHECK_EQ(f.result, -ETIMEDOUT);
    fetch(&f); /* in a scope that has ended nothing begins */
    CHECK_EQ(f.result, -ETIMEDOUT);
    CHECK_EQ(server_read(&server.requests), 1);
    trine_http_response_free(&f.page);
    return trine_join(others);
}
TRINE_TASK(deadline_comes, void);

TEST(the_scopes_deadline_is_ETIMEDOUT) {
    struct fetch none = {0};
    start();
    CHECK_OK(trine_run(deadline_comes, NULL));
    stop(&none);
}

TEST(the_scopes_deadline_is_ETIMEDOUT_in_a_plain_thread) {
    start();
    struct fetch f = {.url = server_url("127.0.0.1", "/hang-body")};
    int tries = 0;
    for (int64_t t = slow_ms(20); !server_read(&server.hanging); t *= 2, tries++) {
        TRINE_SCOPE(s, .timeout = t); /* until the request has come so far before the end */
        fetch(&f);
        CHECK_EQ(f.result, -ETIMEDOUT);
        fetch(&f);
        CHECK_EQ(f.result, -ETIMEDOUT);
    }
    CHECK(server_read(&server.requests) <= tries);
    stop(&f);
}

TEST(the_connect_timeout_is_ETIME) {
    open_mute_port();
    const trine_http_opts opts = {.size = sizeof(opts), .connect_timeout = TRINE_MS(40)};
    CHECK_OK(trine_http_open(&http, &opts));
    char url[64];
    snprintf(url, sizeof(url), "http://127.0.0.1:%d/", mute_port);
    struct fetch f = {.url = url};
    fetch(&f);
    CHECK_EQ(f.result, -ETIME);
    CHECK(f.page.elapsed >= TRINE_MS(40) && f.page.elapsed < TRINE_SEC(10));
    trine_http_response_free(&f.page);
    trine_http_close(&http);
}

/* --- names --- */

TEST(names_go_through_our_lookup) {
    start();
    struct fetch f = {.url = server_url("anything.test", "/echo")};
    fetch(&f);
    CHECK_EQ(f.result, 0);
    CHECK(strstr(f.page.body.ptr, "Host: anything.test:"));
    f.url = server_url("none.test", "/");
    fetch(&f);
    CHECK_EQ(f.result, -ENXIO);
    CHECK_STR(f.page.error, "could not resolve host: none.test");
    char path[128];
    snprintf(path, sizeof(path), "/to?%s", server_url("other.test", "/echo"));
    f.url = server_url("127.0.0.1", path);
    fetch(&f); /* a redirect's host as well */
    CHECK_EQ(f.result, 0);
    CHECK(strstr(f.page.body.ptr, "Host: other.test:"));
    stop(&f);
}

TEST(the_next_address_is_tried) {
    start();
    struct fetch f = {.url = server_url("two.test", "/hello")};
    struct dns_addresses a;
    fetch(&f);
    CHECK_EQ(f.result, 0);
    CHECK_OK(dns_resolve("two.test", &a));
    CHECK_EQ(a.at[0].bytes[3], 1); /* the one that answers comes first now */
    stop(&f);
}

/* --- many --- */

enum { MANY = 64 };

static int64_t cancel_crowd(int number) {
    static struct fetch f[MANY];
    TRINE_SCOPE(s);
    for (int i = 0; i < MANY; i++) {
        f[i].url = server_url("127.0.0.1", i % 2 ? "/hang-body" : "/hang-headers");
        f[i].url = strdup(f[i].url);
        CHECK_OK(trine_spawn(s, fetch, &f[i]));
    }
    while (server_read(&server.hanging) < (number + 1) * MANY)
        CHECK_OK(trine_sleep(TRINE_US(200)));
    int64_t before = trine_now();
    trine_scope_cancel(s, 0);
    CHECK_EQ(trine_join(s), -ECANCELED);
    int64_t took = trine_now() - before;
    for (int i = 0; i < MANY; i++) {
        CHECK_EQ(f[i].result, -ECANCELED);
        free((char *)f[i].url);
        trine_http_response_free(&f[i].page);
    }
    server_await(&server.gone, (number + 1) * MANY);
    return took;
}

static int cancel_many(void *unused) {
    (void)unused;
    int number = 0;
    while (cancel_crowd(number) >= slow_ms(200))
        CHECK(++number < QUICK_TRIES);
    trine_http_close(&http); /* at once, in the coroutine */
    return 0;
}
TRINE_TASK(cancel_many, void);

TEST(many_are_cancelled_together) {
    start();
    CHECK_OK(trine_run(cancel_many, NULL));
    server_stop();
}

/* Cancelled before the loop had a turn, and the session closed at once: nothing may be left in the
 * loop that still points at it. */
static int cancel_unbegun(void *unused) {
    (void)unused;
    struct fetch f = {.url = server_url("127.0.0.1", "/hang-headers")};
    {
        TRINE_SCOPE(s);
        CHECK_OK(trine_spawn(s, fetch, &f));
        CHECK_OK(trine_yield());
    }
    CHECK_EQ(f.result, -ECANCELED);
    trine_http_response_free(&f.page);
    trine_http_close(&http);
    return trine_sleep(TRINE_MS(1));
}
TRINE_TASK(cancel_unbegun, void);

TEST(a_session_closed_after_a_cancel_leaves_nothing_behind) {
    start();
    CHECK_OK(trine_run(cancel_unbegun, NULL));
    server_stop();
}

/* The answer lies in the socket when a message cancels the request: the loop finds the answer
 * before the cancellation is carried out. The answer counts, and nothing of the session may be left
 * in the loop when it is closed. */
struct late {
    struct message message;
    trine_scope *scope;
};

static void cancel_late(struct message *m) {
    server_await(&server.answered, 1);
    trine_scope_cancel(container_of(m, struct late, message)->scope, 0);
}

/* Keeps the loop from sleeping, so that it handles messages and asks for I/O in one turn. */
static int spin(struct fetch *until) {
    while (until->result == 1)
        CHECK_OK(trine_yield());
    return 0;
}
TRINE_TASK(spin, struct fetch);

static int cancel_answered(void *unused) {
    (void)unused;
    struct fetch f = {.url = server_url("127.0.0.1", "/gate"), .result = 1};
    TRINE_SCOPE(others);
    CHECK_OK(trine_spawn(others, spin, &f));
    {
        TRINE_SCOPE(s);
        struct late late = {{.handle = cancel_late}, s};
        CHECK_OK(trine_spawn(s, fetch, &f));
        while (!server_read(&server.hanging))
            CHECK_OK(trine_sleep(TRINE_US(100)));
        loop_post(loop_self(), &late.message);
        server_count(&server.gates);
        CHECK_EQ(trine_join(s), -ECANCELED);
    }
    CHECK_EQ(f.result, 0);
    CHECK_EQ(f.page.status, 200);
    trine_http_response_free(&f.page);
    trine_http_close(&http);
    return trine_sleep(TRINE_MS(1));
}
TRINE_TASK(cancel_answered, void);

TEST(an_answer_beats_a_cancellation) {
    start();
    CHECK_OK(trine_run(cancel_answered, NULL));
    server_stop();
}
