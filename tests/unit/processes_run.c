/* processes_run.c - tasks in worker processes that do what they should: arguments and results of
 * all sizes, errors, and many scopes and threads on one pool. */
#define TEST_TRINE_INIT
#include "test.h"

#include <trine.h>
#include <trine/task.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

static trine_executor *pool_of(unsigned workers) {
    trine_executor *pool = NULL;
    const trine_processes_opts opts = {.size = sizeof(opts), .workers = workers};
    CHECK_OK(trine_processes_open(&pool, &opts));
    return pool;
}

struct square {
    int in, out;
    pid_t pid;
};

static int square(struct square *a) {
    a->out = a->in * a->in;
    a->pid = getpid();
    return a->in;
}
TRINE_TASK(square, struct square);

TEST(a_struct_goes_there_and_back) {
    trine_executor *pool = pool_of(1);
    {
        TRINE_SCOPE(s);
        struct square a = {.in = 12};
        trine_future *f = trine_start(s, pool, square, &a);
        int status = -1;
        CHECK_OK(trine_await(f, &status));
        CHECK_EQ(status, 12);
        CHECK_EQ(a.out, 144);
        CHECK(a.pid > 0 && a.pid != getpid());
        CHECK_EQ(trine_error_of(f), NULL);
    }
    trine_executor_close(&pool);
    CHECK_EQ(pool, NULL);
}

struct nothing {
    char unused;
};

/* The same from a coroutine, with other coroutines going on meanwhile. */
static int from_coroutine(struct nothing *unused) {
    (void)unused;
    trine_executor *pool = pool_of(2);
    static struct square a[500];
    int pids = 0;
    while (pids == 0) { /* until both workers have worked: one may come late */
        TRINE_SCOPE(s);
        for (int i = 0; i < 500; i++)
            a[i] = (struct square){.in = i};
        CHECK_OK(trine_map(s, pool, square, a, 500));
        CHECK_OK(trine_join(s));
        for (int i = 0; i < 500; i++) {
            CHECK_EQ(a[i].out, i * i);
            pids += i > 0 && a[i].pid != a[0].pid;
        }
    }
    trine_executor_close(&pool);
    return 0;
}
TRINE_TASK(from_coroutine, struct nothing);

TEST(map_from_a_coroutine) {
    struct nothing nothing = {0};
    CHECK_OK(trine_run(from_coroutine, &nothing));
}

struct io {
    int in;
    char note[100];
    int out;
    char text[20];
};

static int overwrite_all(struct io *a) {
    int in = a->in;
    memset(a, 'x', sizeof(*a));
    a->out = in + 1;
    snprintf(a->text, sizeof(a->text), "was %d", in);
    return in < 0 ? in : 0;
}
TRINE_TASK_IO(overwrite_all, struct io, out);

TEST(only_outputs_come_back_and_only_on_success) {
    trine_executor *pool = pool_of(1);
    struct io good = {.in = 5, .note = "mine", .out = 1}, bad = {.in = -EDOM, .out = 7};
    {
        TRINE_SCOPE(s, .policy = TRINE_COLLECT);
        trine_submit(s, pool, overwrite_all, &good);
        CHECK_EQ(trine_join(s), 0);
        trine_future *f = trine_start(s, pool, overwrite_all, &bad);
        int status;
        CHECK_OK(trine_await(f, &status));
        CHECK_EQ(status, -EDOM);
        CHECK_STR(trine_error_of(f)->task, "overwrite_all");
        CHECK_EQ(trine_error_of(f)->signal, 0);
    }
    CHECK_EQ(good.in, 5);
    CHECK_STR(good.note, "mine");
    CHECK_EQ(good.out, 6);
    CHECK_STR(good.text, "was 5");
    CHECK_EQ(bad.in, -EDOM);
    CHECK_EQ(bad.out, 7);
    trine_executor_close(&pool);
}

struct large {
    size_t step;
    _Alignas(64) unsigned char bytes[3 << 20];
};

static int add_step(struct large *a) {
    if ((uintptr_t)a % _Alignof(struct large) != 0)
        return -EFAULT;
    for (size_t i = 0; i < sizeof(a->bytes); i++)
        a->bytes[i] = (unsigned char)(a->bytes[i] + a->step);
    return 0;
}
TRINE_TASK(add_step, struct large);

TEST(a_struct_of_megabytes_keeps_its_alignment) {
    trine_executor *pool = pool_of(1);
    static struct large a;
    for (size_t i = 0; i < sizeof(a.bytes); i++)
        a.bytes[i] = (unsigned char)(i * 7);
    for (a.step = 1; a.step <= 3; a.step++) {
        TRINE_SCOPE(s);
        trine_submit(s, pool, add_step, &a);
        CHECK_OK(trine_join(s));
    }
    for (size_t i = 0; i < sizeof(a.bytes); i++)
        if (a.bytes[i] != (unsigned char)(i * 7 + 6))
            test_fail(__FILE__, __LINE__, "byte %zu", i);
    trine_executor_close(&pool);
}

/* Every byte is read and another one written, the last first. */
static int invert(trine_bytes in, trine_buf *out) {
    int r = trine_buf_reserve(out, in.len);
    if (r < 0)
        return r;
    const unsigned char *from = in.ptr;
    unsigned char *to = out->ptr;
    for (size_t i = 0; i < in.len; i++)
        to[i] = (unsigned char)~from[in.len - 1 - i];
    out->len = in.len;
    return 1;
}
TRINE_BYTES_TASK(invert);

TEST(bytes_of_all_sizes_with_a_buffer_that_is_reused) {
    static const size_t sizes[] = {0, 1, 64 << 10, 5 << 20, 1, 0, 1000, 3 << 20, 64 << 10};
    trine_executor *pool = pool_of(1);
    unsigned char *bytes = malloc(5 << 20);
    CHECK(bytes);
    trine_buf out = {0};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        size_t n = sizes[i];
        for (size_t at = 0; at < n; at++)
            bytes[at] = (unsigned char)(at * 31 + i);
        TRINE_SCOPE(s);
        trine_future *f = trine_start_bytes(s, pool, invert, ((trine_bytes){bytes, n}), &out);
        int status;
        CHECK_OK(trine_await(f, &status));
        CHECK_EQ(status, 1);
        CHECK_EQ(out.len, n);
        for (size_t at = 0; at < n; at++)
            if (((unsigned char *)out.ptr)[at] != (unsigned char)~bytes[n - 1 - at])
                test_fail(__FILE__, __LINE__, "size %zu, byte %zu", n, at);
    }
    trine_buf_free(&out);
    free(bytes);
    trine_executor_close(&pool);
}

static int append_then_fail(trine_bytes in, trine_buf *out) {
    int r = trine_buf_append(out, in.ptr, in.len);
    return r < 0 ? r : -EILSEQ;
}
TRINE_BYTES_TASK(append_then_fail);

TEST(a_failed_bytes_task_gives_no_bytes) {
    trine_executor *pool = pool_of(1);
    trine_buf out = {0};
    {
        TRINE_SCOPE(s, .policy = TRINE_COLLECT);
        trine_future *f =
            trine_start_bytes(s, pool, append_then_fail, ((trine_bytes){"ab", 2}), &out);
        CHECK_EQ(trine_join(s), -EILSEQ);
        CHECK_EQ(trine_status(f), -EILSEQ);
        CHECK_EQ(out.len, 0);
    }
    trine_buf_free(&out);
    trine_executor_close(&pool);
}

/* A task on a stack has a descriptor that no other process can find. */
TEST(a_descriptor_outside_of_any_module_is_an_error) {
    trine_executor *pool = pool_of(1);
    {
        TRINE_SCOPE(s, .policy = TRINE_COLLECT);
        struct square a = {.in = 2};
        trine_task task = square_task;
        trine_future *f = trine_start_task(s, pool, &task, &a, TRINE_HERE_);
        CHECK_EQ(trine_join(s), -ENOEXEC);
        CHECK(strstr(trine_error_of(f)->detail, "TRINE_TASK"));
        CHECK_EQ(a.out, 0);
    }
    trine_executor_close(&pool);
}

struct sleepy {
    int64_t ns;
    int sum;
};

static int add_up(struct sleepy *a) {
    a->sum++;
    return 0;
}
TRINE_TASK(add_up, struct sleepy);

/* [S] calls and a scope with threads, in a worker: it is a plain thread there. */
static int use_the_library(struct sleepy *a) {
    int64_t before = trine_now();
    int r = trine_sleep(a->ns);
    if (r < 0)
        return r;
    if (trine_now() - before < a->ns)
        return -ETIME;
    trine_executor *threads;
    r = trine_threads_open(&threads, NULL);
    if (r < 0)
        return r;
    struct sleepy parts[10] = {{0}};
    {
        TRINE_SCOPE(s);
        trine_map(s, threads, add_up, parts, 10);
        r = trine_join(s);
    }
    for (int i = 0; i < 10; i++)
        a->sum += parts[i].sum;
    trine_executor_close(&threads);
    return r;
}
TRINE_TASK(use_the_library, struct sleepy);

TEST(a_worker_may_use_the_library) {
    trine_executor *pool = pool_of(2);
    struct sleepy a[4];
    for (int i = 0; i < 4; i++)
        a[i] = (struct sleepy){.ns = TRINE_MS(2)};
    {
        TRINE_SCOPE(s);
        trine_map(s, pool, use_the_library, a, 4);
        CHECK_OK(trine_join(s));
    }
    for (int i = 0; i < 4; i++)
        CHECK_EQ(a[i].sum, 10);
    trine_executor_close(&pool);
}

enum { THREADS = 8, ROUNDS = 5, TASKS = 40 };

static void *use_shared_pool(void *arg) {
    trine_executor *pool = arg;
    for (int round = 0; round < ROUNDS; round++) {
        struct square a[TASKS];
        for (int i = 0; i < TASKS; i++)
            a[i] = (struct square){.in = round * TASKS + i};
        TRINE_SCOPE(s, .limit = 7);
        CHECK_OK(trine_map(s, pool, square, a, TASKS));
        CHECK_OK(trine_join(s));
        for (int i = 0; i < TASKS; i++)
            CHECK_EQ(a[i].out, a[i].in * a[i].in);
    }
    return NULL;
}

TEST(many_threads_and_scopes_share_a_pool_with_a_short_queue) {
    trine_executor *pool = NULL;
    const trine_processes_opts opts = {.size = sizeof(opts), .workers = 3, .queue = 2};
    CHECK_OK(trine_processes_open(&pool, &opts));
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, use_shared_pool, pool), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    trine_executor_close(&pool);
}

TEST(two_pools_have_workers_of_their_own) {
    trine_executor *first = pool_of(1), *second = pool_of(1);
    struct square a = {.in = 2}, b = {.in = 3}, c = {.in = 4};
    {
        TRINE_SCOPE(s);
        trine_submit(s, first, square, &a);
        trine_submit(s, second, square, &b);
        CHECK_EQ(trine_join(s), 0);
    }
    CHECK_EQ(a.out, 4);
    CHECK_EQ(b.out, 9);
    CHECK(a.pid != b.pid);
    trine_executor_close(&first);
    {
        TRINE_SCOPE(s);
        trine_submit(s, second, square, &c);
        CHECK_EQ(trine_join(s), 0);
    }
    CHECK_EQ(c.pid, b.pid);
    trine_executor_close(&second);
}

/* Each end comes at another moment of the worker's way to its sleep; one that is missed costs the
 * two seconds after which it is killed, and a hundred of those the program's time. */
static int count_slow_ends(void) {
    int slow = 0;
    for (int i = 0; i < 300; i++) {
        trine_executor *pool = pool_of(1);
        struct square a = {.in = i};
        CHECK_OK(trine_map_all(pool, square, &a, 1));
        for (volatile int spin = 0; spin < i * 37 % 4000; spin++)
            ;
        if (i % 10 == 0)
            usleep(3000); /* it sleeps by now */
        int64_t before = trine_now();
        trine_executor_close(&pool);
        slow += trine_now() - before > TRINE_SEC(2);
    }
    return slow;
}

/* One of five times: on a busy machine an end may be slow that was not missed. */
TEST(a_worker_that_is_about_to_sleep_learns_of_the_end) {
    int tries = 5;
    while (count_slow_ends() > 0)
        CHECK(--tries > 0);
}

static atomic_bool stop_busy;

static void *be_busy(void *unused) {
    (void)unused;
    unsigned long sum = 0;
    while (!atomic_load(&stop_busy)) {
        char *p = malloc(64 + sum % 4096);
        CHECK(p);
        memset(p, (int)sum, 64);
        sum += (unsigned char)p[sum % 64] + 1u;
        free(p);
    }
    return NULL;
}

TEST(a_pool_opens_beside_eight_busy_threads) {
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, be_busy, NULL), 0);
    for (int round = 0; round < 3; round++) {
        trine_executor *pool = pool_of(4);
        struct square a[20];
        for (int i = 0; i < 20; i++)
            a[i] = (struct square){.in = i};
        TRINE_SCOPE(s);
        trine_map(s, pool, square, a, 20);
        CHECK_EQ(trine_join(s), 0);
        trine_scope_close(&s);
        trine_executor_close(&pool);
    }
    atomic_store(&stop_busy, true);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
}

static int get_pid(struct square *a) {
    a->pid = getpid();
    return 0;
}
TRINE_TASK(get_pid, struct square);

TEST(workers_are_replaced_after_max_tasks) {
    trine_executor *pool = NULL;
    const trine_processes_opts opts = {.size = sizeof(opts), .workers = 1, .max_tasks = 3};
    CHECK_OK(trine_processes_open(&pool, &opts));
    struct square a[10] = {{0}};
    {
        TRINE_SCOPE(s);
        trine_map(s, pool, get_pid, a, 10);
        CHECK_EQ(trine_join(s), 0);
    }
    for (int i = 0; i < 9; i += 3) {
        CHECK_EQ(a[i].pid, a[i + 1].pid);
        CHECK_EQ(a[i].pid, a[i + 2].pid);
        CHECK(a[i].pid != a[i + 3].pid);
    }
    trine_executor_close(&pool);
}

TEST(a_closed_pool_finishes_what_it_took) {
    trine_executor *pool = pool_of(2);
    static struct square a[200];
    TRINE_SCOPE(s);
    for (int i = 0; i < 200; i++)
        a[i] = (struct square){.in = i};
    CHECK_OK(trine_map(s, pool, square, a, 200));
    trine_executor_close(&pool);
    CHECK_EQ(trine_join(s), 0);
    for (int i = 0; i < 200; i++)
        CHECK_EQ(a[i].out, i * i);
}

/* --- a task that has a loop, scopes and a pool of its own --- */

struct inside {
    enum { IN_THREAD, IN_LOOP, IN_POOL } where;
    int waits, reason, cleaned_up;
    atomic_bool begun;
};

static int wait_long(struct inside *i) {
    atomic_store(&i->begun, true);
    i->waits = trine_sleep(TRINE_SEC(600));
    i->reason = trine_cancel_reason();
    i->cleaned_up = 1;
    return i->waits;
}
TRINE_TASK(wait_long, struct inside);

static int wait_in_scope(struct inside *i) {
    TRINE_SCOPE(s);
    trine_spawn(s, wait_long, i);
    trine_join(s);
    return 0;
}
TRINE_TASK(wait_in_scope, struct inside);

/* Its own thread is what is cancelled; the scope takes that to the pool's. */
static int wait_in_pool(struct inside *i) {
    trine_executor *pool;
    CHECK_OK(trine_threads_open(&pool, TRINE_OPTS(trine_threads_opts, .workers = 1)));
    {
        TRINE_SCOPE(s);
        CHECK_OK(trine_submit(s, pool, wait_long, i));
        while (!atomic_load(&i->begun))
            sched_yield();
        CHECK_OK(trine_progress(i, 0)); /* now it may be cancelled */
        trine_join(s);
    }
    trine_executor_close(&pool);
    return 0;
}

static int wait_inside(struct inside *i) {
    if (i->where != IN_POOL)
        CHECK_OK(trine_progress(i, 0));
    if (i->where == IN_LOOP)
        CHECK(trine_run(wait_in_scope, i) <= 0);
    else if (i->where == IN_POOL)
        wait_in_pool(i);
    else
        wait_long(i);
    return 0; /* so that what it noted comes back */
}
TRINE_TASK(wait_inside, struct inside);

static void check_end_reaches(int where, int reason) {
    trine_executor *pool = NULL;
    trine_channel *begun = trine_channel_new(sizeof(trine_buf), 1);
    struct inside i = {.where = where};
    trine_buf piece;
    CHECK_OK(trine_processes_open(&pool, TRINE_OPTS(trine_processes_opts, .workers = 1,
                                                    .grace = TRINE_SEC(20))));
    {
        TRINE_SCOPE(s);
        CHECK_OK(trine_submit_opts(s, pool, wait_inside, &i, .progress = begun));
        CHECK_OK(trine_channel_recv(begun, &piece));
        if (reason == -ETIMEDOUT)
            trine_scope_set_deadline(s, trine_now());
        else
            trine_scope_cancel(s, reason);
        CHECK_EQ(trine_join(s), reason);
    }
    CHECK_EQ(i.waits, -ECANCELED);
    CHECK_EQ(i.reason, reason);
    CHECK_EQ(i.cleaned_up, 1);
    CHECK_OK(trine_map_all(pool, square, &(struct square){.in = 1}, 1)); /* its worker is of use */
    trine_executor_close(&pool);
    trine_channel_free(&begun);
}

TEST(a_cancellation_with_its_reason_reaches_what_a_task_waits_for) {
    check_end_reaches(IN_THREAD, -EREMOTEIO);
    check_end_reaches(IN_LOOP, -EREMOTEIO);
    check_end_reaches(IN_POOL, -EREMOTEIO);
}

TEST(a_deadline_reaches_what_a_task_waits_for) {
    check_end_reaches(IN_THREAD, -ETIMEDOUT);
    check_end_reaches(IN_LOOP, -ETIMEDOUT);
    check_end_reaches(IN_POOL, -ETIMEDOUT);
}
