/* processes_hostile.c - workers that were taken over, and write into what they share with the
 * program what no worker would: it costs the task that they ran, or none, and nobody else's. */
#include "processes_help.h"
#include "worker_says.h"

#include "exec/wire.h"

#include <trine/task.h>

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

enum deed {
    DEED_NONE,
    PUT_TOO_FAR,
    PUT_BACK,
    TAKEN_TOO_FAR,
    TAKEN_BACK,
    ANSWERED_AND_MORE,
    OVERWRITTEN
};

struct act {
    enum deed deed;
    pid_t pid;
    int out;
};

static void ring(void) {
    ssize_t written = write(WORKER_BELL, &(uint64_t){1}, sizeof(uint64_t));
    (void)written;
}

/* The results before are not to be lost as well. */
static void await_reader(struct stream *s) {
    while (atomic_load(&s->memory->taken) != s->mine) {
        ring();
        usleep(500);
    }
}

/* It gets no further: only by force does it end. */
static void stay(void) {
    ring();
    for (;;)
        pause();
}

/* Out of range, wherever the program is in the stream. */
static uint64_t impossible(const struct stream *s, bool too_far) {
    return too_far ? s->mine + STREAM_BYTES + 1 : s->mine - STREAM_BYTES - 1;
}

/* The answer to the first task of the first worker, and a byte that belongs to nothing, at once. */
static void answer_and_more(const struct act *a) {
    uint8_t bytes[WIRE_HEADER + sizeof(*a) + 1] = {0};
    struct frame f = {.type = FRAME_RESULT, .worker = 1, .sequence = 1, .body = sizeof(*a)};
    wire_encode(&f, bytes);
    memcpy(bytes + WIRE_HEADER, a, sizeof(*a));
    say(bytes, sizeof(bytes));
}

enum { AHEAD = 3, SMALL = 16 << 10, LARGE = 1 << 20 };

/* Once what is behind it is there. */
static void overwrite_what_is_ahead(void) {
    struct stream *s = &worker_memory()->in;
    uint64_t most = AHEAD * (WIRE_HEADER + WIRE_HEADER + SMALL);
    while (atomic_load(&s->memory->put) - s->mine < most)
        usleep(500);
    memset(s->memory->bytes, 0xee, STREAM_BYTES);
    memset(worker_memory()->areas, 0xee, (size_t)AREAS * AREA_BYTES);
    raise(SIGKILL);
}

static int act(struct act *a) {
    struct flags *m = worker_memory();
    a->pid = getpid();
    a->out = 1;
    switch (a->deed) {
    case DEED_NONE:
        return 0;
    case PUT_TOO_FAR:
    case PUT_BACK:
        await_reader(&m->out);
        atomic_store(&m->out.memory->put, impossible(&m->out, a->deed == PUT_TOO_FAR));
        break;
    case TAKEN_TOO_FAR:
    case TAKEN_BACK:
        atomic_store(&m->in.memory->taken, impossible(&m->in, a->deed == TAKEN_TOO_FAR));
        if (trine_progress("done", 4) < 0)
            return -EIO;
        break;
    case ANSWERED_AND_MORE:
        answer_and_more(a);
        break;
    case OVERWRITTEN:
        overwrite_what_is_ahead();
        break;
    }
    stay();
    return 0;
}
TRINE_TASK(act, struct act);

static void check_killed_for(const trine_future *f, const char *what) {
    CHECK_EQ(trine_status(f), -EPROTO);
    CHECK_EQ(trine_error_of(f)->signal, SIGKILL);
    if (!strstr(trine_error_of(f)->detail, what))
        test_fail(__FILE__, __LINE__, "\"%s\" is not in: %s", what, trine_error_of(f)->detail);
}

static void check_pool_goes_on(trine_executor *pool) {
    struct act good[30] = {{0}};
    CHECK_OK(trine_map_all(pool, act, good, 30));
    for (int i = 0; i < 30; i++)
        CHECK_EQ(good[i].out, 1);
}

/* Before it and behind it are tasks on the same workers. */
static void check_only_one_fails(enum deed deed, const char *what) {
    enum { GOOD = 40 };
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 2});
    struct act good[GOOD] = {{0}}, bad = {.deed = deed};
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    CHECK_OK(trine_map(s, pool, act, good, GOOD / 2));
    trine_future *f = trine_start(s, pool, act, &bad);
    CHECK_OK(trine_map(s, pool, act, good + GOOD / 2, GOOD / 2));
    CHECK_EQ(trine_join(s), -EPROTO);
    for (int i = 0; i < GOOD; i++)
        CHECK_EQ(good[i].out, 1);
    CHECK_EQ(bad.out, 0);
    check_killed_for(f, what);
    trine_error errors[2];
    CHECK_EQ(trine_errors(s, errors, 2), 1);
    trine_scope_close(&s);
    check_pool_goes_on(pool);
    trine_executor_close(&pool);
}

TEST(who_has_written_more_than_there_is_room_for) {
    check_only_one_fails(PUT_TOO_FAR, "because it sent more than its stream can hold");
}

TEST(who_has_written_less_than_was_read) {
    check_only_one_fails(PUT_BACK, "because it sent more than its stream can hold");
}

static int same_bytes(trine_bytes in, trine_buf *out) {
    return trine_buf_append(out, in.ptr, in.len);
}
TRINE_BYTES_TASK(same_bytes);

/* How far a worker has read is looked at when there is something to send: here what is larger than
 * the stream, which goes to another worker then. */
static void check_reader(enum deed deed) {
    enum { LONG = AREA_BYTES + 1 };
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    trine_channel *told = trine_channel_new(sizeof(trine_buf), 1);
    struct act bad = {.deed = deed};
    unsigned char *bytes = malloc(LONG);
    trine_buf piece, out = {0};
    CHECK(told && bytes);
    for (size_t i = 0; i < LONG; i++)
        bytes[i] = (unsigned char)(i * 31 + i / 4093);
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    trine_future *f = trine_start_opts(s, pool, act, &bad, .progress = told);
    CHECK_EQ(trine_channel_recv(told, &piece), 0);
    trine_future *next = trine_start_bytes(s, pool, same_bytes, ((trine_bytes){bytes, LONG}), &out);
    CHECK_EQ(trine_join(s), -EPROTO);
    check_killed_for(f, "it has read what was never sent");
    CHECK_EQ(bad.out, 0);
    CHECK_EQ(trine_status(next), 0);
    CHECK_EQ(out.len, LONG);
    CHECK(memcmp(out.ptr, bytes, LONG) == 0);
    trine_scope_close(&s);
    trine_buf_free(&piece);
    trine_buf_free(&out);
    free(bytes);
    trine_channel_free(&told);
    check_pool_goes_on(pool);
    trine_executor_close(&pool);
}

TEST(who_has_read_what_was_never_sent) {
    check_reader(TAKEN_TOO_FAR);
}

TEST(who_has_read_less_than_can_be) {
    check_reader(TAKEN_BACK);
}

/* It is idle then: no task is lost, but its worker. */
TEST(who_writes_without_a_task) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    struct act a = {.deed = ANSWERED_AND_MORE}, next = {0};
    TRINE_SCOPE(s);
    CHECK_OK(trine_submit(s, pool, act, &a));
    CHECK_EQ(trine_join(s), 0);
    trine_scope_close(&s);
    CHECK_EQ(a.out, 1);
    char state;
    CHECK(EVENTUALLY(parent_of(a.pid, &state) == 0 || state == 'Z', 20000));
    CHECK_OK(trine_map_all(pool, act, &next, 1));
    CHECK_EQ(next.out, 1);
    CHECK(next.pid != a.pid);
    check_pool_goes_on(pool);
    trine_executor_close(&pool);
}

/* --- before its greeting --- */

struct start {
    char once[64];      /* a file: only who creates it is bad; "": all are */
    struct frame frame; /* that it begins with */
};

static int begin_badly(struct start *h) {
    uint8_t header[WIRE_HEADER];
    int fd = h->once[0] ? open(h->once, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
    if (h->once[0] && fd < 0)
        return 0;
    if (fd >= 0)
        close(fd);
    wire_encode(&h->frame, header);
    say(header, sizeof(header));
    stay();
    return 0;
}
TRINE_TASK(begin_badly, struct start);

static const struct frame no_greetings[] = {
    {.type = FRAME_RESULT, .worker = 1}, /* of no task */
    {.type = FRAME_REFUSED, .worker = 1, .status = -EIO},
    {.type = FRAME_HELLO, .worker = UINT32_MAX}, /* of another worker */
};
enum { NO_GREETINGS = sizeof(no_greetings) / sizeof(no_greetings[0]) };

TEST(who_begins_without_a_greeting_is_replaced) {
    for (int i = 0; i < NO_GREETINGS; i++) {
        struct start h = {.frame = no_greetings[i]};
        snprintf(h.once, sizeof(h.once), "/tmp/trine-start-%d-%d", (int)getpid(), i);
        trine_executor *pool = pool_open(
            (trine_processes_opts){.workers = 2, .on_start = &begin_badly_task, .hook_arg = &h});
        check_pool_goes_on(pool);
        CHECK(EVENTUALLY(access(h.once, F_OK) == 0, 20000));
        trine_executor_close(&pool);
        unlink(h.once);
    }
}

TEST(a_pool_of_those_says_so) {
    for (int i = 0; i < NO_GREETINGS; i++) {
        struct start h = {.frame = no_greetings[i]};
        struct act a = {0};
        trine_executor *pool = pool_open(
            (trine_processes_opts){.workers = 1, .on_start = &begin_badly_task, .hook_arg = &h});
        TRINE_SCOPE(s, .policy = TRINE_COLLECT);
        trine_future *f = trine_start(s, pool, act, &a);
        CHECK_EQ(trine_join(s), -EAGAIN);
        CHECK_EQ(a.out, 0);
        if (!strstr(trine_error_of(f)->detail, "was killed because it sent no greeting"))
            test_fail(__FILE__, __LINE__, "%s", trine_error_of(f)->detail);
        trine_scope_close(&s);
        trine_executor_close(&pool);
    }
}

/* --- what was sent ahead --- */

struct small {
    pid_t pid;
    unsigned char bytes[SMALL];
};

struct large {
    pid_t pid;
    unsigned char bytes[LARGE];
};

static void invert(unsigned char *bytes, size_t n) {
    for (size_t i = 0; i < n; i++)
        bytes[i] = (unsigned char)~bytes[i];
}

static int invert_small(struct small *t) {
    t->pid = getpid();
    invert(t->bytes, sizeof(t->bytes));
    return 0;
}
TRINE_TASK(invert_small, struct small);

static int invert_large(struct large *t) {
    t->pid = getpid();
    invert(t->bytes, sizeof(t->bytes));
    return 0;
}
TRINE_TASK(invert_large, struct large);

static unsigned char pattern(size_t i, size_t seed) {
    return (unsigned char)(i * 31 + i / 4093 + seed);
}

static void fill(unsigned char *bytes, size_t n, size_t seed) {
    for (size_t i = 0; i < n; i++)
        bytes[i] = pattern(i, seed);
}

static void check_inverted(const unsigned char *bytes, size_t n, size_t seed) {
    for (size_t i = 0; i < n; i++)
        if (bytes[i] != (unsigned char)~pattern(i, seed))
            test_fail(__FILE__, __LINE__, "task %zu: byte %zu is 0x%02x", seed, i, bytes[i]);
}

/* They are sent again from where the caller has them, never from what that worker could write. */
TEST(what_was_sent_ahead_of_a_worker_that_overwrites_it_comes_back_right) {
    static struct small small[AHEAD];
    static struct large large[AHEAD];
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    struct act bad = {.deed = OVERWRITTEN};
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    trine_future *f = trine_start(s, pool, act, &bad);
    for (size_t i = 0; i < AHEAD; i++) {
        fill(small[i].bytes, SMALL, i);
        fill(large[i].bytes, LARGE, i);
        CHECK_OK(trine_submit(s, pool, invert_small, &small[i]));
        CHECK_OK(trine_submit(s, pool, invert_large, &large[i]));
    }
    CHECK_EQ(trine_join(s), -EOWNERDEAD);
    CHECK_EQ(trine_status(f), -EOWNERDEAD);
    CHECK_EQ(bad.out, 0);
    trine_error errors[2];
    CHECK_EQ(trine_errors(s, errors, 2), 1);
    for (size_t i = 0; i < AHEAD; i++) {
        check_inverted(small[i].bytes, SMALL, i);
        check_inverted(large[i].bytes, LARGE, i);
        CHECK(small[i].pid > 0 && small[i].pid == small[0].pid && large[i].pid == small[0].pid);
    }
    trine_scope_close(&s);
    check_pool_goes_on(pool);
    trine_executor_close(&pool);
}

/* --- before the first task --- */

struct birth {
    char path[64]; /* a byte for each */
};

/* It has greeted meanwhile, most likely: a machine on which it has not starts it less often, too.
 */
static void *babble_soon(void *unused) {
    (void)unused;
    usleep(1000);
    atomic_fetch_add(&worker_memory()->out.memory->put, 1);
    ring();
    return NULL;
}

static int prepare_to_babble(struct birth *b) {
    pthread_t thread;
    int fd = open(b->path, O_WRONLY | O_APPEND | O_CLOEXEC);
    CHECK(write(fd, "x", 1) == 1);
    close(fd);
    int r = -pthread_create(&thread, NULL, babble_soon, NULL);
    return r < 0 ? r : -pthread_detach(thread);
}
TRINE_TASK(prepare_to_babble, struct birth);

static off_t size_of(const char *path) {
    struct stat status;
    CHECK_OK(stat(path, &status));
    return status.st_size;
}

/* Timers never fire early: so many starts take so long at the least. */
TEST(workers_that_babble_are_started_less_and_less_often) {
    enum { PAUSES = 5, LEAST_MS = 10 + 20 + 40 + 80 + 160 };
    struct birth birth = {"/tmp/trine-babble-XXXXXX"};
    int fd = mkostemp(birth.path, O_CLOEXEC);
    CHECK(fd >= 0);
    close(fd);
    int64_t began = test_now_ms();
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1,
                                                            .on_start = &prepare_to_babble_task,
                                                            .hook_arg = &birth});
    CHECK(EVENTUALLY(size_of(birth.path) > PAUSES, 20000));
    CHECK(test_now_ms() - began >= LEAST_MS - 1);
    trine_executor_close(&pool);
    unlink(birth.path);
}

/* --- many along --- */

/* Once others lie ahead, and without a bell: it begins many before it is found out. */
static int babble(struct act *a) {
    char bytes[200] = {0};
    usleep(20000);
    stream_put(worker_replies(), bytes, sizeof(bytes));
    return a->out;
}
TRINE_TASK(babble, struct act);

/* One new worker comes for all that the old one took along: each comes back all the same. */
TEST(tasks_that_may_be_repeated_come_back_however_many_were_taken_along) {
    enum { ALONG = 90 };
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    struct act first = {.deed = DEED_NONE}, along[ALONG] = {{.deed = DEED_NONE}};
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    trine_future *f = trine_start(s, pool, babble, &first);
    for (int i = 0; i < ALONG; i++)
        CHECK_OK(trine_submit_opts(s, pool, act, &along[i], .repeat = true));
    CHECK_EQ(trine_join(s), -EPROTO);
    check_killed_for(f, "because it sent no frame");
    for (int i = 0; i < ALONG; i++)
        CHECK_EQ(along[i].out, 1);
    trine_scope_close(&s);
    trine_executor_close(&pool);
}

static int claim_the_next(struct act *a) {
    (void)a;
    for (uint64_t i = 1; i < 10; i++)
        flag_begin(worker_memory(), i);
    stay();
    return 0;
}
TRINE_TASK(claim_the_next, struct act);

/* An honest one has answered by then. */
TEST(a_task_is_cancelled_that_a_worker_says_it_has_begun_too_early) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    struct act liar = {.deed = DEED_NONE}, next = {.deed = DEED_NONE};
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    trine_future *f = trine_start(s, pool, claim_the_next, &liar);
    {
        TRINE_SCOPE(inner, .timeout = TRINE_MS(200));
        CHECK_OK(trine_submit(inner, pool, act, &next));
        CHECK(trine_join(inner) < 0);
    }
    int status;
    CHECK_OK(trine_await(f, &status));
    check_killed_for(f, "no answer to a task, and has begun the next");
    CHECK_EQ(trine_join(s), -EPROTO);
    trine_scope_close(&s);
    trine_executor_close(&pool);
}
