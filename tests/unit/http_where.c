/* http_where.c - the same call in a coroutine, a plain thread, a thread task and a process worker;
 * and one session used from all of a process's at the same time. */
#define TEST_TRINE_INIT
#include "http_server.h"

#include <trine/http.h>

struct fetch {
    char url[128];
    int result, status;
    char body[16];
};

static trine_http *http; /* NULL in a worker process: there the process's own session is used */

static int fetch(struct fetch *f) {
    trine_http_response page = {0};
    f->result = trine_http_get(http, f->url, &page);
    f->status = page.status;
    if (f->result == 0)
        snprintf(f->body, sizeof(f->body), "%s", (char *)page.body.ptr);
    trine_http_response_free(&page);
    return f->result;
}
TRINE_TASK(fetch, struct fetch);

static struct fetch request(const char *path) {
    struct fetch f = {.result = 1};
    snprintf(f.url, sizeof(f.url), "%s", server_url("127.0.0.1", path));
    return f;
}

static void check(const struct fetch *f) {
    CHECK_EQ(f->result, 0);
    CHECK_EQ(f->status, 200);
    CHECK_STR(f->body, "hello");
}

static void start(void) {
    server_start();
    CHECK_OK(trine_http_open(&http, NULL));
}

static void stop(void) {
    trine_http_close(&http);
    server_stop();
}

enum { N = 40 };

static int spawn_many(trine_executor *on) {
    static struct fetch f[N];
    for (int i = 0; i < N; i++)
        f[i] = request("/hello");
    TRINE_SCOPE(s, .limit = 8);
    CHECK_OK(trine_map(s, on, fetch, f, N));
    CHECK_OK(trine_join(s));
    for (int i = 0; i < N; i++)
        check(&f[i]);
    return 0;
}

static int in_coroutines(void *unused) {
    (void)unused;
    return spawn_many(NULL);
}
TRINE_TASK(in_coroutines, void);

TEST(in_coroutines) {
    start();
    CHECK_OK(trine_run(in_coroutines, NULL));
    CHECK_EQ(server_read(&server.requests), N);
    CHECK(server_read(&server.connections) <= 8);
    stop();
}

enum { CROWD = 150, ROUNDS = 4 };

static int visitor(struct fetch *f) {
    for (int i = 0; i < ROUNDS; i++) {
        fetch(f);
        check(f);
    }
    return 0;
}
TRINE_TASK(visitor, struct fetch);

static int crowd(void *unused) {
    (void)unused;
    static struct fetch f[CROWD];
    for (int i = 0; i < CROWD; i++)
        f[i] = request("/hello");
    TRINE_SCOPE(s);
    CHECK_OK(trine_map(s, NULL, visitor, f, CROWD));
    CHECK_OK(trine_join(s));
    return 0;
}
TRINE_TASK(crowd, void);

/* libcurl by itself would close connections that the others' next requests need. */
TEST(a_crowd_keeps_its_connections) {
    start();
    CHECK_OK(trine_run(crowd, NULL));
    CHECK_EQ(server_read(&server.requests), CROWD * ROUNDS);
    CHECK(server_read(&server.connections) <= CROWD);
    stop();
}

TEST(connections_to_a_host_can_be_limited) {
    server_start();
    const trine_http_opts opts = {.size = sizeof(opts), .max_per_host = 3};
    CHECK_OK(trine_http_open(&http, &opts));
    CHECK_OK(trine_run(crowd, NULL));
    CHECK_EQ(server_read(&server.connections), 3);
    stop();
}

TEST(in_a_plain_thread) {
    start();
    struct fetch f = request("/hello");
    fetch(&f);
    check(&f);
    stop();
}

TEST(in_thread_tasks) {
    start();
    trine_executor *pool;
    const trine_threads_opts opts = {.size = sizeof(opts), .workers = 4};
    CHECK_OK(trine_threads_open(&pool, &opts));
    spawn_many(pool);
    CHECK(server_read(&server.connections) <= 4);
    trine_executor_close(&pool);
    stop();
}

TEST(in_process_workers) {
    server_start();
    trine_executor *pool;
    const trine_processes_opts opts = {.size = sizeof(opts), .workers = 2};
    int r = trine_processes_open(&pool, &opts);
    if (r == -ENOSYS)
        test_skip("no pidfd here: an old kernel, or valgrind");
    CHECK_OK(r);
    spawn_many(pool);
    CHECK(server_read(&server.connections) <= 2); /* the session of each is kept between tasks */
    trine_executor_close(&pool);
    server_stop();
}

static void *thread_main(void *arg) {
    struct fetch *f = arg;
    for (int i = 0; i < 5; i++) {
        fetch(f);
        check(f);
    }
    return NULL;
}

static int everywhere(trine_executor **pool) {
    struct fetch f[N], threads[4];
    pthread_t plain[4];
    TRINE_SCOPE(s);
    for (int i = 0; i < 4; i++) {
        threads[i] = request("/hello");
        CHECK_EQ(pthread_create(&plain[i], NULL, thread_main, &threads[i]), 0);
    }
    for (int i = 0; i < N; i++) {
        f[i] = request("/hello");
        CHECK_OK(trine_submit(s, i % 2 ? *pool : NULL, fetch, &f[i]));
    }
    CHECK_OK(trine_join(s));
    for (int i = 0; i < 4; i++)
        pthread_join(plain[i], NULL);
    for (int i = 0; i < N; i++)
        check(&f[i]);
    return 0;
}
TRINE_TASK(everywhere, trine_executor *);

TEST(one_session_everywhere_at_once) {
    start();
    trine_executor *pool;
    CHECK_OK(trine_threads_open(&pool, NULL));
    CHECK_OK(trine_run(everywhere, &pool));
    trine_executor_close(&pool);
    stop();
}

/* A thread that is over leaves its connections in the session, and its loop to the next thread. */
TEST(threads_come_and_go) {
    start();
    for (int i = 0; i < 20; i++) {
        struct fetch f = request("/hello");
        pthread_t thread;
        CHECK_EQ(pthread_create(&thread, NULL, thread_main, &f), 0);
        pthread_join(thread, NULL);
    }
    CHECK(server_read(&server.connections) <= 2);
    stop();
}

#ifdef __SANITIZE_ADDRESS__
enum { SMALL_STACK = 64 << 10 }; /* its frames are larger */
#else
enum { SMALL_STACK = 16 << 10 };
#endif

static int in_a_small_coroutine(void *unused) {
    (void)unused;
    struct fetch f = request("/hello");
    fetch(&f);
    check(&f);
    return 0;
}
TRINE_TASK(in_a_small_coroutine, void);

TEST(in_a_coroutine_with_a_small_stack) {
    start();
    const trine_run_opts opts = {.size = sizeof(opts), .stack_size = SMALL_STACK};
    CHECK_OK(trine_run_task(&in_a_small_coroutine_task, NULL, &opts));
    stop();
}

TEST(a_thread_task_is_cancelled_in_its_request) {
    start();
    trine_executor *pool;
    CHECK_OK(trine_threads_open(&pool, NULL));
    bool quick = false;
    for (int i = 1; i <= QUICK_TRIES && !quick; i++) {
        struct fetch f = request("/hang-headers");
        TRINE_SCOPE(s);
        CHECK_OK(trine_submit(s, pool, fetch, &f));
        server_await(&server.hanging, i);
        int64_t before = trine_now();
        trine_scope_cancel(s, 0);
        CHECK_EQ(trine_join(s), -ECANCELED);
        quick = trine_now() - before < slow_ms(20);
        CHECK_EQ(f.result, -ECANCELED);
        server_await(&server.gone, i);
    }
    CHECK(quick);
    trine_executor_close(&pool);
    stop();
}
