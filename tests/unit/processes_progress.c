/* processes_progress.c - what a task reports before it is done, from a worker process, a thread and
 * a coroutine. */
#include "processes_help.h"

#include "exec/stream.h"
#include "exec/wire.h"

#include <trine/shared.h>
#include <trine/task.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>

struct report {
    unsigned count, size;
    int ends_by; /* a signal; 0: it returns */
    int64_t result;
};

static int report_all(struct report *r) {
    static _Thread_local unsigned char piece[100000];
    for (unsigned i = 0; i < r->count; i++) {
        memset(piece, (int)i, r->size);
        memcpy(piece, &i, sizeof(i) < r->size ? sizeof(i) : r->size);
        int error = trine_progress(piece, r->size);
        if (error < 0)
            return error;
    }
    if (r->ends_by)
        raise(r->ends_by);
    r->result = r->count;
    return 0;
}
TRINE_TASK(report_all, struct report);

static int report_words(trine_bytes in, trine_buf *out) {
    const char *at = in.ptr, *end = at + in.len;
    while (at < end) {
        const char *space = memchr(at, ' ', (size_t)(end - at));
        size_t len = (size_t)((space ? space : end) - at);
        int r = trine_progress(at, len);
        if (r < 0)
            return r;
        at += len + 1;
    }
    return trine_buf_append(out, "done", 4);
}
TRINE_BYTES_TASK(report_words);

static trine_channel *follower_new(size_t capacity) {
    trine_channel *c = trine_channel_new(sizeof(trine_buf), capacity);
    CHECK(c);
    return c;
}

static void take_piece(trine_channel *c, unsigned i, unsigned size) {
    trine_buf piece;
    CHECK_OK(trine_channel_recv(c, &piece));
    CHECK_EQ(piece.len, size);
    if (size >= sizeof(i))
        CHECK(memcmp(piece.ptr, &i, sizeof(i)) == 0);
    if (size > sizeof(i))
        CHECK_EQ(((unsigned char *)piece.ptr)[size - 1], (unsigned char)i);
    trine_buf_free(&piece);
}

/* More than the stream and the channel hold: the task waits for the follower. */
static void follow(trine_executor *on, unsigned count, unsigned size, size_t capacity) {
    struct report r = {.count = count, .size = size};
    trine_channel *c = follower_new(capacity);
    {
        TRINE_SCOPE(s);
        trine_future *f = trine_start_opts(s, on, report_all, &r, .progress = c);
        for (unsigned i = 0; i < count; i++)
            take_piece(c, i, size);
        int status = -1;
        CHECK_OK(trine_await(f, &status));
        CHECK_EQ(status, 0);
    }
    CHECK_EQ(r.result, count);
    CHECK_EQ(trine_channel_count(c), 0);
    trine_channel_free(&c);
}

TEST(pieces_come_in_order_and_before_the_result) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 2});
    follow(pool, 100, 8, 128);
    follow(pool, 3, 0, 4);
    follow(pool, 1, 100000, 1);
    trine_executor_close(&pool);
}

TEST(a_slow_follower_holds_the_task_up) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    follow(pool, 40, 100000, 1);
    trine_executor_close(&pool);
}

TEST(all_pieces_are_there_when_the_task_is_done) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    struct report r = {.count = 50, .size = 16};
    trine_channel *c = follower_new(50);
    {
        TRINE_SCOPE(s);
        trine_future *f = trine_start_opts(s, pool, report_all, &r, .progress = c);
        int status = -1;
        CHECK_OK(trine_await(f, &status));
        CHECK_EQ(status, 0);
        CHECK_EQ(trine_channel_count(c), 50);
    }
    for (unsigned i = 0; i < 50; i++)
        take_piece(c, i, 16);
    trine_channel_free(&c);
    trine_executor_close(&pool);
}

TEST(what_a_dead_task_had_reported_is_not_lost) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    struct report r = {.count = 7, .size = 8, .ends_by = SIGKILL};
    trine_channel *c = follower_new(8);
    {
        TRINE_SCOPE(s, .policy = TRINE_COLLECT);
        trine_future *f = trine_start_opts(s, pool, report_all, &r, .progress = c);
        CHECK_EQ(trine_join(s), -EOWNERDEAD);
        CHECK_EQ(trine_error_of(f)->signal, SIGKILL);
    }
    CHECK_EQ(trine_channel_count(c), 7);
    for (unsigned i = 0; i < 7; i++)
        take_piece(c, i, 8);
    trine_channel_free(&c);
    trine_executor_close(&pool);
}

TEST(nobody_needs_to_follow) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    struct report r = {.count = 1000, .size = 8};
    CHECK_OK(trine_map_all(pool, report_all, &r, 1));
    CHECK_EQ(r.result, 1000);
    trine_channel *c = follower_new(1);
    trine_channel_close(c);
    r = (struct report){.count = 1000, .size = 8};
    {
        TRINE_SCOPE(s);
        CHECK_OK(trine_submit_opts(s, pool, report_all, &r, .progress = c));
        CHECK_OK(trine_join(s));
    }
    CHECK_EQ(r.result, 1000);
    trine_channel_free(&c);
    trine_executor_close(&pool);
}

TEST(a_piece_over_the_limit_is_an_error_of_the_call) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1, .max_result = 99});
    struct report r = {.count = 1, .size = 100};
    trine_channel *c = follower_new(1);
    {
        TRINE_SCOPE(s, .policy = TRINE_COLLECT);
        CHECK_OK(trine_submit_opts(s, pool, report_all, &r, .progress = c));
        CHECK_EQ(trine_join(s), -EMSGSIZE);
    }
    CHECK_EQ(trine_channel_count(c), 0);
    trine_channel_free(&c);
    trine_executor_close(&pool);
}

TEST(a_task_that_waits_for_its_follower_can_be_cancelled) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1, .grace = TRINE_MS(20)});
    struct report r = {.count = 1000, .size = 100000};
    trine_channel *c = follower_new(1);
    trine_buf piece;
    {
        TRINE_SCOPE(s, .policy = TRINE_COLLECT);
        trine_future *f = trine_start_opts(s, pool, report_all, &r, .progress = c);
        CHECK_OK(trine_channel_recv(c, &piece)); /* it has begun */
        trine_buf_free(&piece);
        trine_cancel(f, 0);
        trine_join(s);
        CHECK_EQ(trine_status(f), -ECANCELED);
    }
    while (trine_channel_try_recv(c, &piece) == 0)
        trine_buf_free(&piece);
    trine_channel_free(&c);
    r = (struct report){.count = 1, .size = 8}; /* and the next one is not met by it */
    CHECK_OK(trine_map_all(pool, report_all, &r, 1));
    trine_executor_close(&pool);
}

TEST(a_bytes_task_reports_as_well) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    trine_channel *c = follower_new(8);
    trine_buf out = {0}, piece;
    {
        TRINE_SCOPE(s);
        trine_future *f =
            trine_start_bytes_opts(s, pool, report_words, ((trine_bytes){"one two three", 13}),
                                   &out, .name = "words", .progress = c);
        int status = -1;
        CHECK_OK(trine_await(f, &status));
        CHECK_EQ(status, 0);
    }
    static const char *const words[] = {"one", "two", "three"};
    for (int i = 0; i < 3; i++) {
        CHECK_OK(trine_channel_recv(c, &piece));
        CHECK(piece.len == strlen(words[i]) && memcmp(piece.ptr, words[i], piece.len) == 0);
        trine_buf_free(&piece);
    }
    CHECK(out.len == 4 && memcmp(out.ptr, "done", 4) == 0);
    trine_buf_free(&out);
    trine_channel_free(&c);
    trine_executor_close(&pool);
}

TEST(a_thread_task_reports_in_the_same_way) {
    trine_executor *pool = NULL;
    CHECK_OK(trine_threads_open(&pool, TRINE_OPTS(trine_threads_opts, .workers = 1)));
    follow(pool, 200, 16, 1);
    trine_executor_close(&pool);
}

struct nothing {
    int unused;
};

static int follow_a_coroutine(struct nothing *n) {
    (void)n;
    follow(NULL, 200, 16, 1);
    return 0;
}
TRINE_TASK(follow_a_coroutine, struct nothing);

TEST(a_coroutine_reports_in_the_same_way) {
    CHECK_OK(trine_run(follow_a_coroutine, &(struct nothing){0}));
}

TEST(a_coroutine_hears_that_its_follower_has_gone) {
    struct report r = {.count = 3, .size = 8};
    trine_executor *pool = NULL;
    trine_channel *c = follower_new(8);
    trine_channel_close(c);
    CHECK_OK(trine_threads_open(&pool, NULL));
    {
        TRINE_SCOPE(s, .policy = TRINE_COLLECT);
        CHECK_OK(trine_submit_opts(s, pool, report_all, &r, .progress = c));
        CHECK_EQ(trine_join(s), -EPIPE);
    }
    trine_channel_free(&c);
    trine_executor_close(&pool);
}

/* A worker's own loop reports for its task. */
static int report_from_coroutine(struct report *r) {
    return report_all(r);
}
TRINE_TASK(report_from_coroutine, struct report);

static int run_a_loop(struct report *r) {
    return trine_run(report_from_coroutine, r);
}
TRINE_TASK(run_a_loop, struct report);

TEST(what_a_loop_in_a_worker_reports_is_its_tasks) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    struct report r = {.count = 5, .size = 8};
    trine_channel *c = follower_new(8);
    {
        TRINE_SCOPE(s);
        CHECK_OK(trine_submit_opts(s, pool, run_a_loop, &r, .progress = c));
        CHECK_OK(trine_join(s));
    }
    for (unsigned i = 0; i < 5; i++)
        take_piece(c, i, 8);
    trine_channel_free(&c);
    trine_executor_close(&pool);
}

TEST_ABORTS(the_channel_must_have_pieces, "the channel's items are trine_buf, not of 8 bytes") {
    struct report r = {.count = 1, .size = 8};
    trine_channel *c = trine_channel_new(8, 1);
    TRINE_SCOPE(s);
    (void)trine_submit_opts(s, NULL, report_all, &r, .progress = c);
}

/* --- the bound --- */

enum { COUNTED = 1000, COUNTED_SIZE = 1000, CAPACITY = 3 };

struct counted {
    trine_counter reported;
};

static int report_and_count(struct counted *n) {
    char piece[COUNTED_SIZE] = {0};
    int r = 0;
    for (unsigned i = 0; i < COUNTED && r >= 0; i++) {
        memcpy(piece, &i, sizeof(i));
        piece[COUNTED_SIZE - 1] = (char)i;
        r = trine_progress(piece, sizeof(piece));
        if (r >= 0)
            r = trine_counter_add(&n->reported, 1, NULL);
    }
    return r < 0 ? r : 0;
}
TRINE_TASK(report_and_count, struct counted);

static int64_t reported(const struct counted *n) {
    int64_t value;
    CHECK_OK(trine_counter_add(&n->reported, 0, &value));
    return value;
}

/* As many pieces as are in the stream, on their way to the channel, and in it. */
TEST(a_task_reports_no_more_than_stream_and_channel_hold) {
    enum { IN_STREAM = STREAM_BYTES / (WIRE_HEADER + COUNTED_SIZE) };
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    trine_channel *c = follower_new(CAPACITY);
    struct counted n;
    CHECK_OK(trine_counter_open(&n.reported));
    {
        TRINE_SCOPE(s);
        CHECK_OK(trine_submit_opts(s, pool, report_and_count, &n, .progress = c));
        CHECK(EVENTUALLY(reported(&n) >= IN_STREAM && trine_channel_count(c) == CAPACITY, 20000));
        for (int i = 0; i < 50; i++) { /* whatever comes later would be seen */
            usleep(1000);
            CHECK(reported(&n) <= IN_STREAM + 1 + CAPACITY);
        }
        for (unsigned i = 0; i < COUNTED; i++)
            take_piece(c, i, COUNTED_SIZE);
        CHECK_OK(trine_join(s));
    }
    CHECK_EQ(reported(&n), COUNTED);
    CHECK_EQ(trine_channel_count(c), 0);
    trine_counter_free(&n.reported);
    trine_channel_free(&c);
    trine_executor_close(&pool);
}

/* --- pieces that nobody takes --- */

struct begun {
    char path[64];
};

static int report_and_return(struct begun *b) {
    (void)b;
    for (int i = 0; i < 4; i++)
        if (trine_progress("x", 1) < 0)
            return -ECANCELED;
    return 0;
}
TRINE_TASK(report_and_return, struct begun);

static int leave_mark_and_wait(struct begun *b) {
    FILE *file = fopen(b->path, "we");
    CHECK(file);
    fclose(file);
    while (!trine_cancelled())
        usleep(1000);
    return -ECANCELED;
}
TRINE_TASK(leave_mark_and_wait, struct begun);

/* The answer lies behind the pieces, and the next task has begun: neither may keep the first one.
 */
TEST(a_task_is_cancelled_whose_pieces_nobody_takes) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1, .grace = TRINE_MS(20)});
    trine_channel *pieces = trine_channel_new(sizeof(trine_buf), 1);
    struct begun b;
    snprintf(b.path, sizeof(b.path), "/tmp/trine-begun-%d", (int)getpid());
    CHECK(pieces);
    TRINE_SCOPE(outer);
    TRINE_SCOPE(inner);
    CHECK_OK(trine_submit_opts(inner, pool, report_and_return, &b, .progress = pieces));
    CHECK_OK(trine_submit(outer, pool, leave_mark_and_wait, &b));
    while (access(b.path, F_OK) < 0)
        CHECK_OK(trine_sleep(TRINE_MS(1)));
    CHECK_OK(unlink(b.path));
    trine_scope_cancel(inner, -ECANCELED);
    int r = trine_join(inner);
    CHECK(r == -ECANCELED || r == 0);
    trine_scope_close(&inner);
    trine_scope_cancel(outer, -ECANCELED);
    CHECK_EQ(trine_join(outer), -ECANCELED);
    trine_scope_close(&outer);
    trine_buf piece;
    while (trine_channel_try_recv(pieces, &piece) == 0)
        trine_buf_free(&piece);
    trine_channel_free(&pieces);
    trine_executor_close(&pool);
}

/* --- a task that began behind such a one --- */

struct behind {
    char path[64]; /* it writes its pid there each time that it runs */
    bool dies;
};

static int run_behind(struct behind *b) {
    pid_t pid = getpid();
    int fd = open(b->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    CHECK(write(fd, &pid, sizeof(pid)) == sizeof(pid));
    close(fd);
    if (b->dies)
        raise(SIGKILL);
    while (access(b->path, W_OK) == 0 && !trine_cancelled())
        usleep(1000);
    return 0;
}
TRINE_TASK(run_behind, struct behind);

static struct behind behind_new(bool dies) {
    static int number;
    struct behind b = {.dies = dies};
    snprintf(b.path, sizeof(b.path), "/tmp/trine-behind-%d-%d", (int)getpid(), number++);
    unlink(b.path);
    return b;
}

static size_t runs_of(const struct behind *b, pid_t *ret_pid) {
    pid_t pids[8];
    int fd = open(b->path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, pids, sizeof(pids));
    if (fd >= 0)
        close(fd);
    if (n > 0)
        *ret_pid = pids[0];
    return (size_t)n / sizeof(pid_t);
}

/* The result of the first lies behind what it reported, which nobody has taken yet. */
TEST(a_result_behind_pieces_is_kept_when_the_next_task_ends_their_worker) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    trine_channel *c = follower_new(1);
    struct report first = {.count = 4, .size = 10};
    struct behind next = behind_new(true);
    pid_t worker = 0;
    char state;
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    trine_future *f = trine_start_opts(s, pool, report_all, &first, .progress = c);
    trine_future *g = trine_start(s, pool, run_behind, &next);
    CHECK(EVENTUALLY(runs_of(&next, &worker) == 1, 20000));
    CHECK(EVENTUALLY(parent_of(worker, &state) == 0, 20000));
    for (unsigned i = 0; i < 4; i++)
        take_piece(c, i, 10);
    CHECK_EQ(trine_join(s), -EOWNERDEAD);
    CHECK_EQ(trine_status(f), 0);
    CHECK_EQ(first.result, 4);
    CHECK_EQ(trine_status(g), -EOWNERDEAD);
    CHECK_EQ(runs_of(&next, &worker), 1);
    trine_scope_close(&s);
    unlink(next.path);
    trine_channel_free(&c);
    trine_executor_close(&pool);
}

/* Its follower is late, not the task: neither it nor the next one is struck. */
TEST(a_task_is_not_over_its_time_when_its_follower_is) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    trine_channel *c = follower_new(1);
    struct report first = {.count = 4, .size = 10};
    struct behind next = behind_new(false);
    pid_t worker = 0;
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    trine_future *f =
        trine_start_opts(s, pool, report_all, &first, .progress = c, .timeout = TRINE_SEC(3));
    CHECK_OK(trine_submit(s, pool, run_behind, &next));
    int status = -1;
    CHECK_OK(trine_await(f, &status));
    CHECK_EQ(status, 0);
    CHECK(EVENTUALLY(runs_of(&next, &worker) == 1, 20000));
    unlink(next.path);
    CHECK_EQ(trine_join(s), 0);
    trine_buf piece;
    while (trine_channel_try_recv(c, &piece) == 0)
        trine_buf_free(&piece);
    trine_scope_close(&s);
    trine_channel_free(&c);
    trine_executor_close(&pool);
}

/* A pool is not one worker short for as long as a follower takes its time. */
TEST(a_worker_that_has_died_behind_pieces_is_replaced_at_once) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    trine_channel *c = follower_new(1);
    struct report dies = {.count = 4, .size = 10, .ends_by = SIGKILL}, lives = {0};
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    trine_future *f = trine_start_opts(s, pool, report_all, &dies, .progress = c);
    CHECK_OK(trine_map_all(pool, report_all, &lives, 1));
    for (unsigned i = 0; i < 4; i++)
        take_piece(c, i, 10);
    CHECK_EQ(trine_join(s), -EOWNERDEAD);
    CHECK_EQ(trine_status(f), -EOWNERDEAD);
    trine_scope_close(&s);
    trine_channel_free(&c);
    trine_executor_close(&pool);
}

/* Each is replaced, as long as they are few: they keep descriptors. */
TEST(workers_that_have_died_behind_pieces_are_a_bounded_number) {
    enum { TASKS = 60, PIECES = 3, WORKERS = 2, FEW = 40 };
    trine_executor *pool = pool_open((trine_processes_opts){.workers = WORKERS});
    trine_channel *c = follower_new(1);
    static struct report dies[TASKS];
    size_t before = count_descriptors();
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    for (int i = 0; i < TASKS; i++) {
        dies[i] = (struct report){.count = PIECES, .size = 10, .ends_by = SIGKILL};
        CHECK_OK(trine_submit_opts(s, pool, report_all, &dies[i], .progress = c));
    }
    if (EVENTUALLY(count_descriptors() > before + FEW, 500)) /* while nobody takes a piece */
        test_fail(__FILE__, __LINE__, "%zu descriptors, before %zu", count_descriptors(), before);
    for (int i = 0; i < TASKS * PIECES; i++) {
        trine_buf piece;
        CHECK_OK(trine_channel_recv(c, &piece));
        trine_buf_free(&piece);
    }
    CHECK_EQ(trine_join(s), -EOWNERDEAD);
    trine_scope_close(&s);
    trine_channel_free(&c);
    trine_executor_close(&pool);
}
