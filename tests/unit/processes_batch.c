/* processes_batch.c - a map's structs reach workers many at a time; nothing that is seen from
 * outside may differ for that: each is a task, up to the one that fails, dies or is cancelled. */
#include "processes_help.h"
#include "worker_says.h"

#include <fcntl.h>

enum { MANY = 20000, THAT_ONE = 9000 };

/* What item THAT_ONE does. */
enum deed { NOTHING, FAILS, DIES, WAITS, HANGS, LIES };

struct item {
    uint64_t in;
    enum deed deed;
    char path[48]; /* a file that says that it waits */
    struct {
        uint64_t square;
        pid_t by;
    } out;
};

static void wait_for_cancel(const char *path) {
    close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    while (!trine_cancelled())
        usleep(1000);
}

static int square(struct item *i) {
    if (i->deed == FAILS)
        return -EDOM;
    if (i->deed == DIES)
        raise(SIGKILL);
    if (i->deed == WAITS)
        wait_for_cancel(i->path);
    if (i->deed == LIES)
        say("this is no frame at all, and so long that it is read as one: "
            "this is no frame at all, and so long that it is read as one",
            122);
    while (i->deed == HANGS || i->deed == LIES)
        pause();
    i->out.square = i->in * i->in;
    i->out.by = getpid();
    i->in = 0; /* which does not come back */
    return 0;
}
TRINE_TASK_IO(square, struct item, out);

static struct item *items_new(size_t n, enum deed deed) {
    struct item *all = calloc(n, sizeof(*all));
    CHECK(all);
    for (size_t i = 0; i < n; i++)
        all[i].in = i + 1;
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

/* All before that one are done, it is not, and each of the others is or is not. */
static void check_up_to_that_one(const struct item *all) {
    for (size_t i = 0; i < MANY; i++) {
        CHECK_EQ(all[i].in, i + 1);
        CHECK(i < THAT_ONE ? is_done(&all[i]) : is_done(&all[i]) || is_untouched(&all[i]));
    }
    CHECK(is_untouched(&all[THAT_ONE]));
}

TEST(each_item_of_a_map_of_any_length_is_done_once) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 2});
    for (size_t n = 0; n < MANY; n = 3 * n + 1) {
        struct item *all = items_new(n, NOTHING);
        CHECK_OK(trine_map_all(pool, square, all, n));
        for (size_t i = 0; i < n; i++) {
            CHECK(is_done(&all[i]));
            CHECK_EQ(all[i].in, i + 1);
        }
        free(all);
    }
    trine_executor_close(&pool);
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

/* One worker, so that all before it have come to it before. */
static void map_up_to(enum deed deed, int error) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    struct item *all = items_new(MANY, deed);
    CHECK_EQ(trine_map_all(pool, square, all, MANY), error);
    check_up_to_that_one(all);
    free(all);
    trine_executor_close(&pool);
}

TEST(an_error_ends_a_map_and_what_was_done_before_it_is_done) {
    map_up_to(FAILS, -EDOM);
}

TEST(a_worker_that_dies_takes_one_item_along_and_not_those_before_it) {
    map_up_to(DIES, -EOWNERDEAD);
}

TEST(a_worker_that_writes_no_frames_takes_one_item_along) {
    map_up_to(LIES, -EPROTO);
}

TEST(a_time_limit_is_an_items) {
    trine_executor *pool =
        pool_open((trine_processes_opts){.workers = 1, .task_timeout = TRINE_MS(100)});
    struct item *all = items_new(MANY, HANGS);
    CHECK_EQ(trine_map_all(pool, square, all, MANY), -ETIME);
    check_up_to_that_one(all);
    free(all);
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
    size_t done = 0;
    for (size_t i = 0; i < MANY; i++)
        done += is_done(&o.all[i]);
    for (size_t i = 0; i <= THAT_ONE; i++)
        CHECK(is_done(&o.all[i]));
    CHECK(done <= THAT_ONE + 1 + BATCHES_AHEAD);
    unlink(path);
    free(o.all);
}

/* --- the length of batches --- */

/* The first ones are short, so that batches are long when the slow ones come. */
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

TEST(slow_items_among_fast_ones_are_shared_out) {
    enum { FAST = 12000, SLOW = 300, ALL = 30000 };
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 2});
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
    CHECK(by_first >= SLOW / 5 && by_first <= SLOW - SLOW / 5);
    free(all);
    trine_executor_close(&pool);
}

TEST(a_worker_is_replaced_after_its_number_of_items) {
    enum { FEW = 1200, A_WORKER = 300 };
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1, .max_tasks = A_WORKER});
    static struct pace all[FEW];
    CHECK_OK(trine_map_all(pool, keep_pace, all, FEW));
    for (int i = 0; i < FEW; i++)
        CHECK(all[i].by == all[i / A_WORKER * A_WORKER].by &&
              (i < A_WORKER || all[i].by != all[i - A_WORKER].by));
    trine_executor_close(&pool);
}
