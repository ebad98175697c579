/* core_loop.c - a loop for others: tasks that other threads start on it, and another event loop
 * that turns it. */
#include "loop_case.h"

#include <trine/loop.h>
#include <trine/select.h>
#include <trine/sync.h>
#include <trine/task.h>

#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>

/* --- tasks from other threads --- */

static _Atomic(trine_executor *) shared;
static atomic_int stop;

/* A thread with a loop that others may use, until `stop`. */
static int host(struct nothing *n) {
    (void)n;
    trine_executor *e;
    CHECK_OK(trine_loop_open(&e));
    atomic_store(&shared, e);
    while (!atomic_load(&stop))
        CHECK_OK(trine_sleep(TRINE_MS(1)));
    trine_executor_close(&e);
    CHECK(e == NULL);
    return 0;
}
TRINE_TASK(host, struct nothing);

static void *host_main(void *unused) {
    CHECK_OK(trine_run(host, NULL));
    return unused;
}

static pthread_t host_start(void) {
    pthread_t thread;
    atomic_store(&stop, 0);
    atomic_store(&shared, NULL);
    CHECK_EQ(pthread_create(&thread, NULL, host_main, NULL), 0);
    while (!atomic_load(&shared))
        usleep(100);
    return thread;
}

static void host_stop(pthread_t thread) {
    atomic_store(&stop, 1);
    CHECK_EQ(pthread_join(thread, NULL), 0);
}

struct visit {
    int in, out;
    pid_t tid;
    int64_t pause;
};

static atomic_int arrivals;

static int visit(struct visit *v) {
    v->tid = gettid();
    atomic_fetch_add(&arrivals, 1);
    int r = trine_sleep(v->pause);
    v->out = v->in + 1;
    return r;
}
TRINE_TASK(visit, struct visit);

TEST(a_task_runs_as_a_coroutine_of_the_other_threads_loop) {
    pthread_t thread = host_start();
    struct visit v[100];
    for (int i = 0; i < 100; i++)
        v[i] = (struct visit){.in = i, .pause = TRINE_MS(100)};
    int64_t before = test_now_ms();
    {
        TRINE_SCOPE(s);
        CHECK_OK(trine_map(s, shared, visit, v, 100));
        CHECK_OK(trine_join(s));
    }
    CHECK(test_now_ms() - before < 5000); /* they sleep together */
    for (int i = 0; i < 100; i++) {
        CHECK_EQ(v[i].out, i + 1);
        CHECK(v[i].tid == v[0].tid && v[i].tid != gettid());
    }
    host_stop(thread);
}

static int fails(struct visit *v) {
    (void)v;
    return -EIO;
}
TRINE_TASK(fails, struct visit);

TEST(its_error_reaches_the_scope_that_it_was_started_in) {
    pthread_t thread = host_start();
    struct visit v = {0};
    {
        TRINE_SCOPE(s, .policy = TRINE_COLLECT);
        trine_future *f = trine_start(s, shared, fails, &v);
        int status;
        CHECK_OK(trine_await(f, &status));
        CHECK_EQ(status, -EIO);
        CHECK_EQ(trine_join(s), -EIO);
    }
    host_stop(thread);
}

TEST(its_scope_ends_it) {
    pthread_t thread = host_start();
    struct visit v = {.pause = TRINE_SEC(600)};
    {
        TRINE_SCOPE(s);
        trine_future *f = trine_start(s, shared, visit, &v);
        while (trine_status(f) == -EINPROGRESS && trine_sleep(TRINE_MS(20)) == 0)
            trine_cancel(f, 0);
        CHECK_EQ(trine_status(f), -ECANCELED);
    }
    {
        TRINE_SCOPE(s, .timeout = TRINE_MS(50));
        CHECK_OK(trine_submit(s, shared, visit, &v));
        CHECK_EQ(trine_join(s), -ETIMEDOUT);
    }
    host_stop(thread);
}

/* Cancelled before it arrives, while it begins, runs, ends, is on its way back. */
TEST(cancel_at_any_moment_gives_it_back_once) {
    pthread_t thread = host_start();
    int cancelled = 0;
    for (int i = 0; i < 3000; i++) {
        struct visit v = {.in = i, .pause = i % 3 ? 0 : TRINE_US(50)};
        TRINE_SCOPE(s, .policy = TRINE_COLLECT);
        trine_future *f = trine_start(s, shared, visit, &v);
        for (volatile int spin = 0; spin < i % 1000 * 20; spin++)
            ;
        trine_cancel(f, 0);
        int status;
        CHECK_OK(trine_await(f, &status));
        CHECK(status == 0 || status == -ECANCELED);
        CHECK(status != 0 || v.out == i + 1);
        cancelled += status != 0;
    }
    CHECK(cancelled > 0);
    host_stop(thread);
}

static atomic_bool may_leave;

static int stay(struct visit *v) {
    atomic_fetch_add(&arrivals, 1);
    while (!atomic_load(&may_leave)) {
        int r = trine_sleep(TRINE_US(100));
        if (r < 0)
            return r;
    }
    v->out = v->in + 1;
    return 0;
}
TRINE_TASK(stay, struct visit);

TEST(a_closed_loop_takes_nothing_and_waits_for_what_it_has) {
    pthread_t thread = host_start();
    struct visit v = {.in = 1}, late = {0};
    trine_executor *e = shared;
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    trine_future *stays = trine_start(s, e, stay, &v);
    while (!atomic_load(&arrivals))
        CHECK_OK(trine_sleep(TRINE_MS(1)));
    atomic_store(&stop, 1);
    int status = 0;
    for (int64_t end = test_now_ms() + 20000; status == 0 && test_now_ms() < end;) {
        late = (struct visit){.in = 1}; /* what comes before it closes is done */
        trine_future *f = trine_start(s, e, visit, &late);
        CHECK_OK(trine_await(f, &status));
        trine_future_drop(f);
        CHECK(status < 0 || late.out == 2);
    }
    CHECK_EQ(status, -ESHUTDOWN);
    CHECK_EQ(late.out, 0);
    CHECK_EQ(trine_status(stays), -EINPROGRESS);
    CHECK_EQ(pthread_tryjoin_np(thread, NULL), EBUSY);
    atomic_store(&may_leave, true);
    CHECK_EQ(trine_join(s), -ESHUTDOWN);
    CHECK_OK(trine_status(stays));
    CHECK_EQ(v.out, 2);
    CHECK_EQ(pthread_join(thread, NULL), 0);
}

IN_LOOP(a_loop_may_be_its_own_executor) {
    trine_executor *e;
    CHECK_OK(trine_loop_open(&e));
    struct visit v = {.in = 6};
    CHECK_OK(trine_map_all(e, visit, &v, 1));
    CHECK_EQ(v.out, 7);
    trine_executor_close(&e);
    return 0;
}

static void *submit_many(void *arg) {
    struct visit v[200];
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 200; i++)
            v[i] = (struct visit){.in = i};
        TRINE_SCOPE(s);
        CHECK_OK(trine_map(s, shared, visit, v, 200));
        CHECK_OK(trine_join(s));
        for (int i = 0; i < 200; i++)
            CHECK_EQ(v[i].out, i + 1);
    }
    return arg;
}

TEST(many_threads_share_a_loop) {
    pthread_t thread = host_start(), others[4];
    for (int i = 0; i < 4; i++)
        CHECK_EQ(pthread_create(&others[i], NULL, submit_many, NULL), 0);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(pthread_join(others[i], NULL), 0);
    host_stop(thread);
}

/* --- another event loop --- */

static int count_up(struct visit *v) {
    for (int i = 0; i < 5; i++) {
        int r = trine_sleep(v->pause);
        if (r < 0)
            return r;
        v->out++;
    }
    return 0;
}
TRINE_TASK(count_up, struct visit);

/* An event loop in the smallest form: waits for one descriptor, or a time. True: before `patience`
 * ms were over. */
static bool foreign_loop(int fd, const int *value, int wanted, int patience) {
    int64_t until = test_now_ms() + patience;
    int64_t next = trine_loop_turn();
    while (*value < wanted && test_now_ms() < until) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int64_t ms = next == TRINE_NEVER ? patience : (next + 999999) / 1000000;
        poll(&p, 1, ms > patience ? patience : (int)ms);
        next = trine_loop_turn();
    }
    return *value >= wanted;
}

TEST(another_event_loop_turns_it) {
    int fd = trine_loop_fd();
    CHECK(fd >= 0);
    CHECK_EQ(trine_loop_fd(), fd);
    trine_scope memory, *s = trine_scope_open(&memory, NULL, "here");
    struct visit v = {.pause = TRINE_MS(5)};
    trine_spawn(s, count_up, &v);
    CHECK_EQ(v.out, 0);
    CHECK(foreign_loop(fd, &v.out, 5, 20000));
    CHECK_OK(trine_join(s));
    trine_scope_close(&s);
}

struct reader {
    int fd, got;
};

static int read_it(struct reader *r) {
    uint64_t count;
    while (r->got < 3) {
        trine_case ready = TRINE_CASE_READ(r->fd);
        int which = trine_select(&ready, 1, -1);
        if (which < 0)
            return which;
        r->got += read(r->fd, &count, sizeof(count)) == sizeof(count);
    }
    return 0;
}
TRINE_TASK(read_it, struct reader);

static void *write_slowly(void *arg) {
    struct reader *r = arg;
    for (int i = 0; i < 3; i++) {
        usleep(20000);
        ssize_t n = write(r->fd, &(uint64_t){1}, sizeof(uint64_t));
        CHECK_EQ(n, 8);
    }
    return NULL;
}

TEST(its_descriptor_is_readable_when_io_is_ready) {
    int fd = trine_loop_fd();
    struct reader r = {.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    trine_scope memory, *s = trine_scope_open(&memory, NULL, "here");
    trine_spawn(s, read_it, &r);
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, write_slowly, &r), 0);
    CHECK(foreign_loop(fd, &r.got, 3, 20000));
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_OK(trine_join(s));
    trine_scope_close(&s);
    close(r.fd);
}

struct mail {
    trine_channel *c;
    int got;
};

static int receive_mail(struct mail *m) {
    int item, r;
    while ((r = trine_channel_recv(m->c, &item)) == 0)
        m->got++;
    return r == -EPIPE ? 0 : r;
}
TRINE_TASK(receive_mail, struct mail);

static void *send_mail(void *arg) {
    struct mail *m = arg;
    for (int i = 0; i < 3; i++) {
        usleep(20000);
        CHECK_OK(trine_channel_send(m->c, &i));
    }
    return NULL;
}

TEST(its_descriptor_is_readable_when_another_thread_sends) {
    int fd = trine_loop_fd();
    struct mail m = {.c = trine_channel_new(sizeof(int), 1)};
    trine_scope memory, *s = trine_scope_open(&memory, NULL, "here");
    trine_spawn(s, receive_mail, &m);
    pthread_t thread;
    CHECK_EQ(trine_loop_turn(), TRINE_NEVER);
    CHECK_EQ(pthread_create(&thread, NULL, send_mail, &m), 0);
    CHECK(foreign_loop(fd, &m.got, 3, 20000));
    CHECK_EQ(pthread_join(thread, NULL), 0);
    trine_channel_close(m.c);
    CHECK_OK(trine_join(s));
    trine_scope_close(&s);
    trine_channel_free(&m.c);
}
