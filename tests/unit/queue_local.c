/* queue_local.c - the queue between processes within one process: threads, coroutines, waits that
 * end early, and what becomes of a queue that is closed, freed or never was. */
#include "test.h"

#include <trine/queue.h>

#include "exec/shared_map.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <valgrind/valgrind.h>

static trine_queue open_queue(size_t item_size, size_t capacity) {
    trine_queue q = {0};
    CHECK_OK(trine_queue_open(item_size, capacity, &q));
    return q;
}

TEST(items_come_out_in_order_and_round_the_end) {
    trine_queue q = open_queue(3, 5);
    unsigned char in[3], out[3];
    unsigned next_in = 0, next_out = 0;
    for (int round = 0; round < 40; round++) {
        for (int i = 0; i < 1 + round % 5; i++, next_in++) {
            memset(in, (int)next_in, sizeof(in));
            CHECK_EQ(trine_queue_put(&q, in), 0);
        }
        CHECK_EQ(trine_queue_count(&q), 1 + round % 5);
        for (int i = 0; i < 1 + round % 5; i++, next_out++) {
            CHECK_EQ(trine_queue_get(&q, out), 0);
            CHECK(out[0] == (unsigned char)next_out && out[1] == out[0] && out[2] == out[0]);
        }
    }
    CHECK_EQ(trine_queue_count(&q), 0);
    CHECK_EQ(trine_queue_lost(&q), 0);
    trine_queue_free(&q);
}

TEST(a_closed_queue_is_drained_then_ends) {
    trine_queue q = open_queue(sizeof(int), 4);
    int n = 7, got = 0;
    CHECK_EQ(trine_queue_put(&q, &n), 0);
    CHECK_EQ(trine_queue_close(&q), 0);
    CHECK_EQ(trine_queue_close(&q), 0);
    CHECK_EQ(trine_queue_put(&q, &n), -EPIPE);
    CHECK_EQ(trine_queue_get(&q, &got), 0);
    CHECK_EQ(got, 7);
    got = 1;
    CHECK_EQ(trine_queue_get(&q, &got), -EPIPE);
    CHECK_EQ(got, 1);
    trine_queue_free(&q);
}

/* --- messages --- */

static void check_message(const trine_buf *b, size_t len, int mark) {
    CHECK_EQ(b->len, len);
    for (size_t i = 0; i < len; i++)
        CHECK_EQ(((unsigned char *)b->ptr)[i], (unsigned char)(mark + (int)i));
}

static size_t space_of_message(unsigned number) {
    return 8 + (number * 7 % 101 + 7) / 8 * 8;
}

/* Of all lengths up to what fits, at all places of the ring, which is as full as it can be. */
TEST(messages_come_out_whole_and_in_order) {
    enum { MOST = 100, ROUNDS = 3000, ROOM = MOST + 12 };
    trine_queue q;
    trine_buf got = {0};
    unsigned char bytes[MOST];
    size_t used = 0;
    CHECK_OK(trine_queue_open_bytes(ROOM - 4, &q));
    for (unsigned in = 0, out = 0; out < ROUNDS;) {
        size_t len = in * 7 % (MOST + 1);
        if (used + space_of_message(in) <= ROOM) {
            for (size_t i = 0; i < len; i++)
                bytes[i] = (unsigned char)(in + i);
            CHECK_OK(trine_queue_put_bytes(&q, (trine_bytes){bytes, len}));
            used += space_of_message(in++);
        } else {
            CHECK_OK(trine_queue_get_bytes(&q, &got));
            check_message(&got, out * 7 % (MOST + 1), (int)out);
            used -= space_of_message(out++);
        }
        CHECK_EQ(trine_queue_count(&q), in - out);
    }
    CHECK_EQ(trine_queue_lost(&q), 0);
    trine_buf_free(&got);
    trine_queue_free(&q);
}

TEST(a_message_that_never_fits_is_refused) {
    trine_queue q;
    trine_buf got = {0};
    char bytes[65] = "x";
    CHECK_OK(trine_queue_open_bytes(72, &q));
    CHECK_EQ(trine_queue_put_bytes(&q, (trine_bytes){bytes, 65}), -EMSGSIZE);
    CHECK_EQ(trine_queue_put_bytes(&q, (trine_bytes){bytes, SIZE_MAX}), -EMSGSIZE);
    CHECK_OK(trine_queue_put_bytes(&q, (trine_bytes){bytes, 64}));
    CHECK_OK(trine_queue_get_bytes(&q, &got));
    CHECK_EQ(got.len, 64);
    CHECK_OK(trine_queue_put_bytes(&q, (trine_bytes){NULL, 0})); /* an empty one is one */
    CHECK_OK(trine_queue_close(&q));
    CHECK_EQ(trine_queue_put_bytes(&q, (trine_bytes){bytes, 1}), -EPIPE);
    CHECK_OK(trine_queue_get_bytes(&q, &got));
    CHECK_EQ(got.len, 0);
    CHECK_EQ(trine_queue_get_bytes(&q, &got), -EPIPE);
    trine_buf_free(&got);
    trine_queue_free(&q);
}

TEST(a_message_makes_room_for_itself) {
    trine_queue q;
    trine_buf got = {0};
    char bytes[3000];
    memset(bytes, 'm', sizeof(bytes));
    CHECK_OK(trine_queue_open_bytes(2 * sizeof(bytes), &q));
    static const size_t sizes[] = {1, sizeof(bytes), 2};
    for (int i = 0; i < 3; i++) {
        CHECK_OK(trine_queue_put_bytes(&q, (trine_bytes){bytes, sizes[i]}));
        CHECK_EQ(trine_queue_get_bytes(&q, &got), 0);
        CHECK_EQ(got.len, sizes[i]);
        CHECK(got.cap >= got.len && memcmp(got.ptr, bytes, got.len) == 0);
    }
    CHECK_EQ(trine_queue_count(&q), 0);
    trine_buf_free(&got);
    trine_queue_free(&q);
}

static void limit_memory(rlim_t more) {
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    CHECK(file && fscanf(file, "%lu", &pages) == 1);
    fclose(file);
    struct rlimit limit;
    CHECK_EQ(getrlimit(RLIMIT_AS, &limit), 0);
    limit.rlim_cur =
        more == RLIM_INFINITY ? limit.rlim_max : pages * (rlim_t)sysconf(_SC_PAGESIZE) + more;
    CHECK_EQ(setrlimit(RLIMIT_AS, &limit), 0);
}

TEST(a_message_that_there_is_no_memory_for_stays_in_the_queue) {
    enum { LARGE = 16 << 20, LITTLE = 1 << 20 };
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    test_skip("the address space is not limited under sanitizers");
#endif
    if (RUNNING_ON_VALGRIND)
        test_skip("valgrind itself would run out of memory");
    static char bytes[LARGE];
    trine_queue q;
    trine_buf got = {0};
    memset(bytes, 'm', sizeof(bytes));
    CHECK_OK(trine_queue_open_bytes(LARGE + 1024, &q));
    CHECK_OK(trine_queue_put_bytes(&q, (trine_bytes){"first", 5}));
    CHECK_OK(trine_queue_put_bytes(&q, (trine_bytes){bytes, LARGE}));
    CHECK_OK(trine_queue_get_bytes(&q, &got)); /* too small a place from now on */
    limit_memory(LITTLE);
    CHECK_EQ(trine_queue_get_bytes(&q, &got), -ENOMEM);
    CHECK_EQ(trine_queue_get_bytes(&q, &got), -ENOMEM);
    limit_memory(RLIM_INFINITY);
    CHECK_EQ(trine_queue_count(&q), 1);
    CHECK_EQ(trine_queue_lost(&q), 0);
    CHECK_EQ(trine_queue_get_bytes(&q, &got), 0);
    CHECK_EQ(got.len, LARGE);
    CHECK(memcmp(got.ptr, bytes, LARGE) == 0);
    trine_buf_free(&got);
    trine_queue_free(&q);
}

TEST_ABORTS(items_and_messages_are_not_mixed, "calls that end in _bytes") {
    trine_queue q;
    int n = 0;
    CHECK_OK(trine_queue_open_bytes(64, &q));
    CHECK_OK(trine_queue_put(&q, &n));
}

/* --- what is no queue --- */

static int count_fds(void) {
    int n = 0;
    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

TEST(a_freed_queue_is_stale_and_leaves_nothing) {
    int before = count_fds(), n = 0;
    trine_queue q = open_queue(sizeof(int), 4), copy = q, none = {0};
    CHECK_EQ(fcntl(copy.memory_.fd_, F_GETFD), FD_CLOEXEC);
    trine_queue_free(&q);
    trine_queue_free(&q);
    CHECK_EQ(count_fds(), before);
    CHECK_EQ(trine_queue_put(&copy, &n), -ESTALE);
    CHECK_EQ(trine_queue_get(&copy, &n), -ESTALE);
    CHECK_EQ(trine_queue_close(&copy), -ESTALE);
    CHECK_EQ(trine_queue_count(&q), -ESTALE);
    CHECK_EQ(trine_queue_lost(&none), -ESTALE);
    trine_queue_free(&copy);
}

TEST(a_foreign_descriptor_is_never_taken_for_a_queue) {
    int n = 0, file = open("/dev/zero", O_RDWR | O_CLOEXEC);
    trine_queue q = open_queue(sizeof(int), 4), wrong = q;
    wrong.memory_.owner_ = 1; /* a process that has no such descriptor */
    wrong.memory_.fd_ = 1 << 20;
    wrong.memory_.id_++;
    CHECK_EQ(trine_queue_get(&wrong, &n), -ESTALE);
    wrong.memory_.owner_ = getppid(); /* one that has, but to something else */
    wrong.memory_.fd_ = 0;
    CHECK_EQ(trine_queue_get(&wrong, &n), -ESTALE);
    close(file);
    trine_queue_free(&q);
}

TEST(sizes_that_cannot_be_are_refused) {
    trine_queue q = {.memory_ = {.id_ = 5}};
    CHECK_EQ(trine_queue_open(SIZE_MAX / 2, 3, &q), -ENOMEM);
    CHECK_EQ(trine_queue_open(1, SIZE_MAX / 2 - 4096, &q), -ENOMEM);
    int lowest = dup(0);
    close(lowest);
    struct rlimit before, few;
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = (rlim_t)lowest;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
    CHECK_EQ(trine_queue_open(1, 1, &q), -EMFILE);
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    CHECK_EQ(q.memory_.id_, 5);
}

/* --- threads --- */

enum { EACH = 20000, PUTTERS = 3, GETTERS = 3 };
static atomic_uchar seen[PUTTERS * EACH];
static trine_queue shared;

static void *put_all(void *first) {
    for (uint32_t i = 0, n = (uint32_t)(uintptr_t)first; i < EACH; i++, n++)
        CHECK_EQ(trine_queue_put(&shared, &n), 0);
    return NULL;
}

static void *get_all(void *unused) {
    uint32_t n;
    int r;
    while ((r = trine_queue_get(&shared, &n)) == 0)
        atomic_fetch_add(&seen[n], 1);
    CHECK_EQ(r, -EPIPE);
    return unused;
}

TEST(each_item_reaches_one_thread) {
    pthread_t putters[PUTTERS], getters[GETTERS];
    shared = open_queue(sizeof(uint32_t), 8);
    for (uintptr_t i = 0; i < PUTTERS; i++)
        CHECK_EQ(pthread_create(&putters[i], NULL, put_all, (void *)(i * EACH)), 0);
    for (int i = 0; i < GETTERS; i++)
        CHECK_EQ(pthread_create(&getters[i], NULL, get_all, NULL), 0);
    for (int i = 0; i < PUTTERS; i++)
        pthread_join(putters[i], NULL);
    CHECK_EQ(trine_queue_close(&shared), 0);
    for (int i = 0; i < GETTERS; i++)
        pthread_join(getters[i], NULL);
    for (int i = 0; i < PUTTERS * EACH; i++)
        CHECK_EQ(seen[i], 1);
    trine_queue_free(&shared);
}

/* --- coroutines --- */

struct end {
    trine_queue queue;
    int items, status;
    int64_t sum;
    atomic_int *turns;
};

static int put_items(struct end *e) {
    for (int i = 1; i <= e->items; i++) {
        int r = trine_queue_put(&e->queue, &i);
        if (r < 0)
            return r;
    }
    return 0;
}
TRINE_TASK(put_items, struct end);

static int get_items(struct end *e) {
    int n;
    while ((e->status = trine_queue_get(&e->queue, &n)) == 0)
        e->sum += n;
    return e->status == -EPIPE ? 0 : e->status;
}
TRINE_TASK(get_items, struct end);

static int count_turns(struct end *e) {
    while (!e->sum) {
        atomic_fetch_add(e->turns, 1);
        int r = trine_sleep(TRINE_US(50));
        if (r < 0)
            return r;
    }
    return 0;
}
TRINE_TASK(count_turns, struct end);

/* Getters and a putter on one loop: each waits for the other, often. */
static int meet_on_one_loop(struct end *e) {
    struct end ends[] = {*e, *e, *e};
    {
        TRINE_SCOPE(s, .timeout = TRINE_SEC(50));
        CHECK_EQ(trine_spawn(s, get_items, &ends[0]), 0);
        CHECK_EQ(trine_spawn(s, get_items, &ends[1]), 0);
        CHECK_EQ(trine_spawn(s, put_items, &ends[2]), 0);
        int64_t patience = 0;
        while (ends[0].sum + ends[1].sum != (int64_t)e->items * (e->items + 1) / 2) {
            CHECK(patience++ < 1000000);
            CHECK_EQ(trine_sleep(TRINE_US(100)), 0);
        }
        CHECK_EQ(trine_queue_close(&e->queue), 0);
        CHECK_EQ(trine_join(s), 0);
    }
    CHECK_EQ(ends[0].status, -EPIPE);
    CHECK_EQ(ends[1].status, -EPIPE);
    return 0;
}
TRINE_TASK(meet_on_one_loop, struct end);

TEST(coroutines_of_one_loop_wait_for_each_other) {
    struct end e = {.queue = open_queue(sizeof(int), 1), .items = 500};
    CHECK_EQ(trine_run(meet_on_one_loop, &e), 0);
    trine_queue_free(&e.queue);
}

static void *put_late(void *arg) {
    struct end *e = arg;
    while (atomic_load(e->turns) < 20) /* the loop lives while the getter waits */
        sched_yield();
    CHECK_EQ(put_items(e), 0);
    CHECK_EQ(trine_queue_close(&e->queue), 0);
    return NULL;
}

static int wait_beside_others(struct end *e) {
    struct end counter = {.turns = e->turns};
    TRINE_SCOPE(s);
    CHECK_EQ(trine_spawn(s, count_turns, &counter), 0);
    CHECK_EQ(get_items(e), 0);
    counter.sum = 1;
    return trine_join(s);
}
TRINE_TASK(wait_beside_others, struct end);

TEST(a_waiting_coroutine_lets_others_run) {
    atomic_int turns = 0;
    struct end e = {.queue = open_queue(sizeof(int), 2), .items = 3, .turns = &turns};
    struct end putter = e;
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, put_late, &putter), 0);
    CHECK_EQ(trine_run(wait_beside_others, &e), 0);
    pthread_join(thread, NULL);
    CHECK_EQ(e.sum, 6);
    trine_queue_free(&e.queue);
}

/* --- waits that end early --- */

static int give_up_waiting(struct end *e) {
    int n = 41;
    {
        TRINE_SCOPE(s, .timeout = TRINE_MS(5));
        CHECK_EQ(trine_queue_get(&e->queue, &n), -ETIMEDOUT);
    }
    CHECK_EQ(trine_queue_put(&e->queue, &n), 0);
    n = 0;
    {
        TRINE_SCOPE(s, .timeout = TRINE_MS(5));
        CHECK_EQ(trine_queue_put(&e->queue, &n), -ETIMEDOUT);
    }
    {
        TRINE_SCOPE(s);
        trine_scope_cancel(s, 0);
        CHECK_EQ(trine_queue_get(&e->queue, &n), -ECANCELED);
    }
    CHECK_EQ(trine_queue_count(&e->queue), 1);
    CHECK_EQ(trine_queue_get(&e->queue, &n), 0);
    CHECK_EQ(n, 41);
    CHECK_EQ(trine_queue_count(&e->queue), 0);
    return 0;
}
TRINE_TASK(give_up_waiting, struct end);

TEST(a_cancelled_wait_takes_and_puts_nothing) {
    struct end e = {.queue = open_queue(sizeof(int), 1)};
    CHECK_EQ(give_up_waiting(&e), 0);
    CHECK_EQ(trine_run(give_up_waiting, &e), 0);
    trine_queue_free(&e.queue);
}

static int cancel_many(struct end *e) {
    struct end getters[50];
    TRINE_SCOPE(s);
    for (int i = 0; i < 50; i++) {
        getters[i] = *e;
        CHECK_EQ(trine_spawn(s, get_items, &getters[i]), 0);
    }
    CHECK_EQ(trine_sleep(TRINE_MS(2)), 0);
    trine_scope_cancel(s, 0);
    CHECK_EQ(trine_join(s), -ECANCELED);
    for (int i = 0; i < 50; i++)
        CHECK_EQ(getters[i].status, -ECANCELED);
    return 0;
}
TRINE_TASK(cancel_many, struct end);

TEST(many_waiting_coroutines_are_cancelled) {
    struct end e = {.queue = open_queue(sizeof(int), 1)};
    CHECK_EQ(trine_run(cancel_many, &e), 0);
    trine_queue_free(&e.queue);
}

TEST(pool_threads_wait_and_are_cancelled) {
    trine_executor *pool = NULL;
    CHECK_OK(trine_threads_open(&pool, NULL));
    struct end e = {.queue = open_queue(sizeof(int), 1)}, stuck = e, done = e;
    {
        TRINE_SCOPE(s);
        CHECK_EQ(trine_submit(s, pool, get_items, &done), 0);
        e.items = 100;
        CHECK_EQ(put_items(&e), 0);
        CHECK_EQ(trine_queue_close(&e.queue), 0);
        CHECK_EQ(trine_join(s), 0);
        CHECK_EQ(done.sum, 5050);
    }
    trine_queue_free(&e.queue);
    stuck.queue = open_queue(sizeof(int), 1);
    {
        TRINE_SCOPE(s, .timeout = TRINE_MS(5));
        CHECK_EQ(trine_submit(s, pool, get_items, &stuck), 0);
        CHECK_EQ(trine_join(s), -ETIMEDOUT);
        CHECK(stuck.status == -ETIMEDOUT || stuck.status == -ECANCELED || stuck.status == 0);
    }
    trine_queue_free(&stuck.queue);
    trine_executor_close(&pool);
}

/* --- the bell --- */

static int wait_long(struct end *e) {
    struct mapping *m;
    struct strand *self;
    CHECK_EQ(shared_map_enter(&e->queue.memory_, &m), 0);
    CHECK_EQ(strand_enter(&self), 0);
    e->status = bell_wait(&m->bell, self, shared_changed(m->memory), INT64_MAX, "test");
    shared_map_leave(m);
    return 0;
}
TRINE_TASK(wait_long, struct end);

/* One who has seen what is past does not wait, although another one waits for what is to come. */
static int come_late(struct end *e) {
    struct mapping *m;
    struct strand *self;
    TRINE_SCOPE(s, .timeout = TRINE_SEC(5));
    CHECK_EQ(trine_spawn(s, wait_long, e), 0);
    CHECK_EQ(trine_sleep(TRINE_MS(5)),
             0); /* the bell's thread sleeps by now, or the case is easy */
    CHECK_EQ(shared_map_enter(&e->queue.memory_, &m), 0);
    CHECK_EQ(strand_enter(&self), 0);
    CHECK_EQ(bell_wait(&m->bell, self, shared_changed(m->memory) - 1, INT64_MAX, "test"), 0);
    shared_rouse(m->memory);
    shared_map_leave(m);
    CHECK_EQ(trine_join(s), 0);
    return e->status;
}
TRINE_TASK(come_late, struct end);

TEST(who_comes_too_late_to_wait_does_not) {
    struct end e = {.queue = open_queue(sizeof(int), 1), .status = 1};
    CHECK_EQ(trine_run(come_late, &e), 0);
    trine_queue_free(&e.queue);
}
