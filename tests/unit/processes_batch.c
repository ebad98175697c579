/* processes_batch.c - a map's structs reach workers many at a time; nothing that is seen from
 * outside may differ for that: each is a task, up to the one that fails, dies or is cancelled. What
 * was done is counted where it is done, and must be what came back. */
#include "processes_help.h"
#include "worker_says.h"

#include <trine/shared.h>

#include <fcntl.h>

enum { MANY = 20000, THAT_ONE = 9000 };

/* What item THAT_ONE does. */
enum deed { NOTHING, FAILS, DIES, WAITS, HANGS, LIES, OVERSTATES };

struct item {
    uint64_t in;
    enum deed deed;
    char path[48];      /* a file that says that it waits */
    trine_counter done; /* by all items */
    struct {
        uint64_t square;
        pid_t by;
        bool alone; /* something was answered between it and the one before */
    } out;
};

/* Has the worker answered since it was asked last? */
static bool has_answered(void) {
    static uint64_t seen = UINT64_MAX;
    uint64_t before = seen;
    seen = worker_replies()->mine;
    return seen != before;
}

static void wait_for_cancel(const char *path) {
    close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    while (!trine_cancelled())
        usleep(1000);
}

static void lie(void) {
    static const char no_frame[WIRE_HEADER] = "this is no frame at all";
    say(no_frame, sizeof(no_frame));
}

/* The answer to the first batch of a pool's first worker: all went well, though nothing is done. */
static void overstate(void) {
    uint8_t header[WIRE_HEADER];
    wire_encode(&(struct frame){.type = FRAME_RESULT, .worker = 1, .sequence = 1, .status = 5},
                header);
    say(header, sizeof(header));
}

static int square(struct item *i) {
    bool alone = has_answered();
    if (i->deed == FAILS)
        return -EDOM;
    if (i->deed == DIES)
        raise(SIGKILL);
    if (i->deed == WAITS)
        wait_for_cancel(i->path);
    if (i->deed == OVERSTATES)
        overstate();
    if (i->deed == LIES && !alone)
        lie();
    while (i->deed == HANGS || i->deed == OVERSTATES || (i->deed == LIES && !alone))
        pause();
    i->out.square = i->in * i->in;
    i->out.by = getpid();
    i->out.alone = alone;
    i->in = 0; /* which does not come back */
    return i->done.memory_.id_ ? trine_counter_add(&i->done, 1, NULL) : 0;
}
TRINE_TASK_IO(square, struct item, out);

static trine_counter done;

static struct item *items_new(size_t n, enum deed deed) {
    struct item *all = calloc(n ? n : 1, sizeof(*all));
    CHECK(all);
    CHECK_OK(trine_counter_open(&done));
    for (size_t i = 0; i < n; i++) {
        all[i].in = i + 1;
        all[i].done = done;
    }
    if (n > THAT_ONE)
        all[THAT_ONE].deed = deed;
    return all;
}

static bool is_done(const struct item *i) {
    return i->out.square == i->in * i->in && i->out.by > 0;
}

static bool is_untouched(const struct item *i) {
    return !i->out.square && !i->out.by;
}

/* How many came back; each as a whole or not at all. */
static int64_t count_done(const struct item *all, size_t n) {
    int64_t came_back = 0;
    for (size_t i = 0; i < n; i++) {
        CHECK_EQ(all[i].in, i + 1);
        CHECK(is_done(&all[i]) || is_untouched(&all[i]));
        came_back += is_done(&all[i]);
    }
    return came_back;
}

static int64_t count_of(const trine_counter *c) {
    int64_t value;
    CHECK_OK(trine_counter_add(c, 0, &value));
    return value;
}

static void items_free(struct item *all) {
    trine_counter_free(&done);
    free(all);
}

TEST(each_item_of_a_map_of_any_length_is_done_once) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 2});
    for (size_t n = 0; n < MANY; n = 3 * n + 1) {
        struct item *all = items_new(n, NOTHING);
        CHECK_OK(trine_map_all(pool, square, all, n));
        CHECK_EQ(count_done(all, n), n);
        CHECK_EQ(count_of(&done), n);
        items_free(all);
    }
    trine_executor_close(&pool);
}

TEST(a_pool_with_one_place_in_its_queue_does_a_map) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 2, .queue = 1});
    struct item *all = items_new(MANY, NOTHING);
    CHECK_OK(trine_map_all(pool, square, all, MANY));
    CHECK_EQ(count_done(all, MANY), MANY);
    CHECK_EQ(count_of(&done), MANY);
    items_free(all);
    trine_executor_close(&pool);
}

/* --- which maps are cut into batches --- */

static size_t count_alone(trine_processes_opts opts, bool counted) {
    trine_executor *pool = pool_open(opts);
    struct item *all = items_new(MANY, NOTHING);
    for (size_t i = 0; i < MANY && !counted; i++)
        all[i].done = (trine_counter){0}; /* a sandbox cannot reach it */
    CHECK_OK(trine_map_all(pool, square, all, MANY));
    size_t alone = 0;
    for (size_t i = 0; i < MANY; i++)
        alone += all[i].out.alone;
    items_free(all);
    trine_executor_close(&pool);
    return alone;
}

TEST(a_long_map_goes_in_batches) {
    CHECK(count_alone((trine_processes_opts){.workers = 1}, true) < MANY / 4);
    CHECK(count_alone((trine_processes_opts){.workers = 1, .task_timeout = TRINE_SEC(60)}, true) <
          MANY / 4);
}

TEST(no_batches_where_workers_are_replaced_after_a_number_of_tasks) {
    CHECK_EQ(count_alone((trine_processes_opts){.workers = 1, .max_tasks = 10 * MANY}, true), MANY);
}

TEST(no_batches_in_a_sandbox) {
    trine_executor *pool;
    trine_processes_opts opts = {.size = sizeof(opts), .workers = 1, .sandbox = true};
    int r = trine_processes_open(&pool, &opts);
    if (r == -ENOTSUP)
        test_skip("this machine has no sandbox");
    CHECK_OK(r);
    trine_executor_close(&pool);
    CHECK_EQ(count_alone(opts, false), MANY);
}

/* Where all of it comes back. */
struct counted {
    unsigned value;
};

static int count(struct counted *c) {
    c->value++;
    return (int)c->value; /* no error */
}
TRINE_TASK(count, struct counted);

TEST(small_structs_come_back_as_a_whole) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 3});
    struct counted *all = calloc(MANY, sizeof(*all));
    CHECK(all);
    for (unsigned round = 1; round <= 5; round++) {
        CHECK_OK(trine_map_all(pool, count, all, MANY));
        for (size_t i = 0; i < MANY; i++)
            CHECK_EQ(all[i].value, round);
    }
    free(all);
    trine_executor_close(&pool);
}

/* --- the end of one --- */

/* What was done has come back, whatever became of that one. The end of a map cancels what is
 * ahead; the item at hand must not be killed for that. */
static void map_up_to(enum deed deed, int error) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1, .grace = TRINE_SEC(60)});
    struct item *all = items_new(MANY, deed);
    CHECK_EQ(trine_map_all(pool, square, all, MANY), error);
    CHECK_EQ(count_done(all, MANY), count_of(&done));
    CHECK(is_untouched(&all[THAT_ONE]));
    CHECK(is_done(&all[0]));
    items_free(all);
    trine_executor_close(&pool);
}

TEST(an_error_ends_a_map_and_what_was_done_is_done) {
    map_up_to(FAILS, -EDOM);
}

TEST(a_worker_that_dies_takes_one_item_along) {
    map_up_to(DIES, -EOWNERDEAD);
}

TEST(of_a_worker_that_broke_the_rules_nothing_more_is_taken) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    struct item *all = items_new(MANY, NOTHING);
    for (size_t i = THAT_ONE; i < MANY; i++)
        all[i].deed = LIES; /* the first that has one before it in its batch */
    CHECK_EQ(trine_map_all(pool, square, all, MANY), -EPROTO);
    CHECK(count_done(all, MANY) < count_of(&done));
    CHECK(is_done(&all[0]));
    items_free(all);
    trine_executor_close(&pool);
}

TEST(a_batch_of_which_nothing_is_done_is_no_success) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    struct item *all = items_new(MANY, NOTHING);
    all[0].deed = OVERSTATES;
    CHECK_EQ(trine_map_all(pool, square, all, MANY), -EPROTO);
    CHECK(is_untouched(&all[0]));
    items_free(all);
    trine_executor_close(&pool);
}

TEST(a_time_limit_is_an_items) {
    trine_executor *pool = pool_open((
        trine_processes_opts){.workers = 1, .task_timeout = TRINE_MS(300), .grace = TRINE_SEC(60)});
    struct item *all = items_new(MANY, HANGS);
    CHECK_EQ(trine_map_all(pool, square, all, MANY), -ETIME);
    CHECK_EQ(count_done(all, MANY), count_of(&done));
    CHECK(is_untouched(&all[THAT_ONE]));
    items_free(all);
    trine_executor_close(&pool);
}

TEST(a_limit_without_an_end_is_none) {
    trine_executor *pool =
        pool_open((trine_processes_opts){.workers = 1, .task_timeout = INT64_MAX});
    struct item *all = items_new(MANY, NOTHING);
    CHECK_OK(trine_map_all(pool, square, all, MANY));
    items_free(all);
    trine_executor_close(&pool);
}

/* --- cancel --- */

struct cancel {
    trine_scope *scope;
    const char *path;
};

static int cancel_when_it_waits(struct cancel *c) {
    while (access(c->path, F_OK) < 0)
        if (trine_sleep(TRINE_MS(1)) < 0)
            return 0;
    trine_scope_cancel(c->scope, -EINTR);
    return 0;
}
TRINE_TASK(cancel_when_it_waits, struct cancel);

struct one {
    struct item *all;
    int result;
};

static int map_and_cancel(struct one *o) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1, .grace = TRINE_SEC(60)});
    {
        TRINE_SCOPE(s);
        struct cancel c = {s, o->all[THAT_ONE].path};
        CHECK_OK(trine_spawn(s, cancel_when_it_waits, &c));
        o->result = trine_map_all(pool, square, o->all, MANY);
        CHECK_EQ(trine_join(s), -EINTR);
        CHECK_EQ(trine_map_all(pool, square, o->all, MANY), -ECANCELED); /* begins nothing */
    }
    trine_executor_close(&pool);
    return 0;
}
TRINE_TASK(map_and_cancel, struct one);

/* Of a batch that is ahead one item may begin, before its own cancel comes. */
TEST(a_cancelled_map_ends_after_the_item_at_hand) {
    enum { BATCHES_AHEAD = 4 };
    struct one o = {.all = items_new(MANY, WAITS)};
    char *path = o.all[THAT_ONE].path;
    snprintf(path, sizeof(o.all[0].path), "/tmp/trine-batch-%d", (int)getpid());
    for (size_t i = THAT_ONE + 1; i < MANY; i++) {
        o.all[i].deed = WAITS;
        memcpy(o.all[i].path, path, sizeof(o.all[i].path));
    }
    CHECK_OK(trine_run(map_and_cancel, &o));
    CHECK_EQ(o.result, -ECANCELED);
    int64_t came_back = count_done(o.all, MANY);
    CHECK_EQ(came_back, count_of(&done));
    CHECK(came_back > 0 && came_back <= THAT_ONE + 1 + BATCHES_AHEAD);
    unlink(path);
    items_free(o.all);
}

/* --- the length of batches --- */

/* Those around them are fast, so that batches are long when the slow ones come. */
struct pace {
    bool slow;
    pid_t by;
};

static int keep_pace(struct pace *p) {
    if (p->slow)
        usleep(2000);
    p->by = getpid();
    return 0;
}
TRINE_TASK(keep_pace, struct pace);

static bool shares_out(trine_executor *pool) {
    enum { FAST = 12000, SLOW = 300, ALL = 30000 };
    struct pace *all = calloc(ALL, sizeof(*all));
    CHECK(all);
    for (size_t i = FAST; i < FAST + SLOW; i++)
        all[i].slow = true;
    CHECK_OK(trine_map_all(pool, keep_pace, all, ALL));
    unsigned by_first = 0;
    for (size_t i = FAST; i < FAST + SLOW; i++) {
        CHECK(all[i].by > 0);
        by_first += all[i].by == all[FAST].by;
    }
    free(all);
    return by_first >= SLOW / 5 && by_first <= SLOW - SLOW / 5;
}

/* One of five times: a worker may get no processor for so long as the other needs for all. */
TEST(slow_items_among_fast_ones_are_shared_out) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 2});
    struct pace each[2] = {{0}};
    CHECK_OK(trine_processes_each(pool, keep_pace, each)); /* both are there */
    int tries = 5;
    while (!shares_out(pool))
        CHECK(--tries > 0);
    trine_executor_close(&pool);
}
