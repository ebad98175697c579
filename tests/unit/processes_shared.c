/* processes_shared.c - memory, counters and a mutex that tasks in worker processes, threads and
 * coroutines share. */
#include "processes_help.h"

#include <trine/shared.h>
#include <trine/task.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>

/* --- counter --- */

struct tally {
    trine_counter counter;
    int times, by;
};

static int count(struct tally *t) {
    int r = 0;
    for (int i = 0; i < t->times && r == 0; i++)
        r = trine_counter_add(&t->counter, t->by, NULL);
    return r;
}
TRINE_TASK(count, struct tally);

static int64_t value_of(const trine_counter *c) {
    int64_t value;
    CHECK_OK(trine_counter_add(c, 0, &value));
    return value;
}

TEST(a_counter_is_counted_on_by_processes_and_threads) {
    trine_executor *processes = pool_open((trine_processes_opts){.workers = 3}), *threads;
    trine_counter c;
    CHECK_OK(trine_counter_open(&c));
    CHECK_OK(trine_threads_open(&threads, NULL));
    struct tally t[6];
    TRINE_SCOPE(s, .timeout = TRINE_SEC(60));
    for (int i = 0; i < 6; i++) {
        t[i] = (struct tally){c, 5000, i + 1};
        CHECK_OK(trine_submit(s, i % 2 ? processes : threads, count, &t[i]));
    }
    CHECK_OK(trine_join(s));
    CHECK_EQ(value_of(&c), 5000 * (1 + 2 + 3 + 4 + 5 + 6));
    int64_t value;
    CHECK_OK(trine_counter_add(&c, -5000 * 21 + 7, &value));
    CHECK_EQ(value, 7);
    trine_scope_close(&s);
    trine_counter_free(&c);
    CHECK_EQ(trine_counter_add(&c, 1, NULL), -ESTALE);
    trine_executor_close(&threads);
    trine_executor_close(&processes);
}

TEST(a_freed_counter_is_stale_in_a_worker) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    struct tally t = {.times = 1, .by = 1};
    CHECK_OK(trine_counter_open(&t.counter));
    trine_counter ours = t.counter;
    trine_counter_free(&ours);
    CHECK_EQ(trine_map_all(pool, count, &t, 1), -ESTALE);
    trine_executor_close(&pool);
}

TEST(a_counter_wraps_round_at_both_ends) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    struct tally up = {.times = 1, .by = 1}, down = {.times = 1, .by = -1};
    int64_t value = 0;
    CHECK_OK(trine_counter_open(&up.counter));
    down.counter = up.counter;
    trine_counter ours = up.counter;
    CHECK_OK(trine_counter_add(&ours, INT64_MAX, &value));
    CHECK_OK(trine_counter_add(&ours, 1, &value));
    CHECK(value == INT64_MIN);
    CHECK_OK(trine_map_all(pool, count, &down, 1));
    CHECK(value_of(&ours) == INT64_MAX);
    CHECK_OK(trine_map_all(pool, count, &up, 1));
    CHECK(value_of(&ours) == INT64_MIN);
    CHECK_OK(trine_counter_add(&ours, INT64_MIN, &value));
    CHECK(value == 0);
    trine_counter_free(&ours);
    trine_executor_close(&pool);
}

/* --- memory --- */

enum { CELLS = 10000 };

struct table {
    trine_shared memory;
    uint64_t sum;
    bool write;
};

static int use_table(struct table *t) {
    void *memory, *again;
    int r = trine_shared_map(&t->memory, &memory);
    if (r < 0)
        return r;
    CHECK_OK(trine_shared_map(&t->memory, &again));
    CHECK(memory == again && (uintptr_t)memory % 4096 == 0);
    CHECK_EQ(trine_shared_size(&t->memory), CELLS * sizeof(uint32_t));
    uint32_t *cells = memory;
    for (int i = 0; i < CELLS; i++)
        t->sum += cells[i];
    if (t->write)
        cells[CELLS - 1]++;
    return 0;
}
TRINE_TASK(use_table, struct table);

static uint32_t *open_table(struct table *t) {
    void *memory;
    *t = (struct table){.write = true};
    CHECK_OK(trine_shared_open(CELLS * sizeof(uint32_t), &t->memory));
    CHECK_OK(trine_shared_map(&t->memory, &memory));
    uint32_t *cells = memory;
    for (int i = 0; i < CELLS; i++) {
        CHECK_EQ(cells[i], 0);
        cells[i] = (uint32_t)i;
    }
    return cells;
}

TEST(memory_is_seen_and_written_by_all) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    struct table t;
    const uint32_t *cells = open_table(&t);
    CHECK_OK(trine_map_all(pool, use_table, &t, 1));
    CHECK_EQ(t.sum, (uint64_t)CELLS * (CELLS - 1) / 2);
    CHECK_EQ(cells[CELLS - 1], CELLS);
    trine_shared_free(&t.memory);
    CHECK_EQ(trine_shared_size(&t.memory), 0);
    trine_executor_close(&pool);
}

TEST(a_sealed_table_is_only_read) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    struct table t;
    uint32_t *cells = open_table(&t);
    int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    CHECK_OK(trine_shared_seal(&t.memory));
    CHECK_OK(trine_shared_seal(&t.memory));
    CHECK_EQ(read(zero, cells, 4), -1); /* not by us either */
    CHECK_EQ(errno, EFAULT);
    t.write = false;
    CHECK_OK(trine_map_all(pool, use_table, &t, 1));
    CHECK_EQ(t.sum, (uint64_t)CELLS * (CELLS - 1) / 2);
    t.write = true;
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    trine_future *f = trine_start(s, pool, use_table, &t);
    CHECK_EQ(trine_join(s), -EOWNERDEAD);
    CHECK_EQ(trine_error_of(f)->signal, SIGSEGV);
    CHECK_EQ(cells[CELLS - 1], CELLS - 1);
    trine_scope_close(&s);
    close(zero);
    trine_shared_free(&t.memory);
    trine_executor_close(&pool);
}

static int seal_it(struct table *t) {
    return trine_shared_seal(&t->memory);
}
TRINE_TASK(seal_it, struct table);

TEST(who_has_not_opened_a_table_does_not_seal_it) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    struct table t;
    open_table(&t);
    CHECK_EQ(trine_map_all(pool, seal_it, &t, 1), -EPERM);
    trine_shared_free(&t.memory);
    trine_executor_close(&pool);
}

TEST(sizes_that_cannot_be_are_refused) {
    trine_shared s;
    CHECK_EQ(trine_shared_open(SIZE_MAX, &s), -ENOMEM);
    CHECK_EQ(trine_shared_open(PTRDIFF_MAX, &s), -ENOMEM);
    CHECK_EQ(trine_shared_open((size_t)PTRDIFF_MAX - 4096, &s), -ENOMEM);
}

/* --- mutex --- */

enum { TURNS = 2000 };

struct turn {
    trine_shared_mutex mutex;
    trine_shared memory; /* a plain number, which the mutex guards */
    int status;
};

static int64_t *number_of(const trine_shared *memory) {
    void *at;
    CHECK_OK(trine_shared_map(memory, &at));
    return at;
}

static int take_turns(struct turn *t) {
    int64_t *number = number_of(&t->memory);
    for (int i = 0; i < TURNS; i++) {
        CHECK_OK(trine_shared_mutex_lock(&t->mutex));
        int64_t seen = *number;
        if (i % 100 == 0)
            CHECK_OK(trine_yield()); /* others of the loop come to it meanwhile */
        *number = seen + 1;
        trine_shared_mutex_unlock(&t->mutex);
    }
    return 0;
}
TRINE_TASK(take_turns, struct turn);

static struct turn turn_new(void) {
    struct turn t = {.status = 0};
    CHECK_OK(trine_shared_mutex_open(&t.mutex));
    CHECK_OK(trine_shared_open(sizeof(int64_t), &t.memory));
    return t;
}

static void turn_free(struct turn *t) {
    trine_shared_mutex_free(&t->mutex);
    trine_shared_free(&t->memory);
}

static int take_turns_everywhere(struct turn *t) {
    trine_executor *processes = pool_open((trine_processes_opts){.workers = 2}), *threads;
    CHECK_OK(trine_threads_open(&threads, TRINE_OPTS(trine_threads_opts, .workers = 2)));
    struct turn each[6];
    {
        TRINE_SCOPE(s, .timeout = TRINE_SEC(100));
        trine_executor *on[] = {processes, threads, NULL, processes, threads, NULL};
        for (int i = 0; i < 6; i++) {
            each[i] = *t;
            CHECK_OK(trine_submit(s, on[i], take_turns, &each[i]));
        }
        CHECK_OK(trine_join(s));
    }
    CHECK_EQ(*number_of(&t->memory), 6 * TURNS);
    trine_executor_close(&threads);
    trine_executor_close(&processes);
    return 0;
}
TRINE_TASK(take_turns_everywhere, struct turn);

TEST(one_at_a_time_holds_a_mutex) {
    struct turn t = turn_new();
    CHECK_OK(trine_run(take_turns_everywhere, &t));
    turn_free(&t);
}

/* Says that it holds the mutex, and dies with it. */
static int die_with_it(struct turn *t) {
    CHECK_OK(trine_shared_mutex_lock(&t->mutex));
    *number_of(&t->memory) = 1;
    while (*(volatile int64_t *)number_of(&t->memory) == 1)
        usleep(100);
    raise(SIGKILL);
    return 0;
}
TRINE_TASK(die_with_it, struct turn);

static int await_number(struct turn *t) {
    while (*(volatile int64_t *)number_of(&t->memory) != 1)
        CHECK_OK(trine_sleep(TRINE_US(100)));
    return 0;
}

static int inherit(struct turn *t) {
    t->status = trine_shared_mutex_lock(&t->mutex);
    if (t->status >= 0)
        trine_shared_mutex_unlock(&t->mutex);
    return 0;
}
TRINE_TASK(inherit, struct turn);

static int outlive_a_holder(struct turn *t) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 2});
    struct turn dies = *t, waits[] = {*t, *t, *t};
    {
        TRINE_SCOPE(s, .policy = TRINE_COLLECT, .timeout = TRINE_SEC(60));
        trine_future *f = trine_start(s, pool, die_with_it, &dies);
        CHECK_OK(await_number(t));
        CHECK_EQ(trine_shared_mutex_try_lock(&t->mutex), -EBUSY);
        {
            TRINE_SCOPE(soon, .timeout = TRINE_MS(5));
            CHECK_EQ(trine_shared_mutex_lock(&t->mutex), -ETIMEDOUT);
        }
        for (int i = 0; i < 3; i++)
            CHECK_OK(trine_submit(s, i == 0 ? pool : NULL, inherit, &waits[i]));
        CHECK_OK(trine_yield());
        *number_of(&t->memory) = 2;
        CHECK_EQ(trine_join(s), -EOWNERDEAD);
        CHECK_EQ(trine_status(f), -EOWNERDEAD);
    }
    int told = 0;
    for (int i = 0; i < 3; i++) {
        CHECK(waits[i].status == 0 || waits[i].status == 1);
        told += waits[i].status;
    }
    CHECK_EQ(told, 1);
    CHECK_EQ(trine_shared_mutex_try_lock(&t->mutex), 0);
    trine_shared_mutex_unlock(&t->mutex);
    trine_executor_close(&pool);
    return 0;
}
TRINE_TASK(outlive_a_holder, struct turn);

static void *inherit_alone(void *turn) {
    inherit(turn);
    return NULL;
}

/* The same where nothing can call the waiter away: a thread without a scope. */
static int outlive_a_holder_alone(struct turn *t) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    struct turn dies = *t;
    pthread_t thread;
    TRINE_SCOPE(s, .policy = TRINE_COLLECT, .timeout = TRINE_SEC(60));
    CHECK_OK(trine_submit(s, pool, die_with_it, &dies));
    CHECK_OK(await_number(t));
    CHECK_EQ(pthread_create(&thread, NULL, inherit_alone, t), 0);
    *number_of(&t->memory) = 2;
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_EQ(t->status, 1);
    CHECK_EQ(trine_join(s), -EOWNERDEAD);
    trine_scope_close(&s);
    trine_executor_close(&pool);
    return 0;
}

TEST(who_holds_a_mutex_may_die_and_the_next_is_told_so) {
    struct turn t = turn_new();
    CHECK_OK(trine_run(outlive_a_holder, &t));
    turn_free(&t);
}

TEST(a_plain_thread_outlives_a_holder) {
    struct turn t = turn_new();
    CHECK_OK(outlive_a_holder_alone(&t));
    turn_free(&t);
}

static int unlock_in_a_cancelled_scope(struct turn *t) {
    TRINE_SCOPE(s);
    CHECK_OK(trine_shared_mutex_lock(&t->mutex));
    trine_scope_cancel(s, 0);
    CHECK_EQ(trine_shared_mutex_try_lock(&t->mutex), -ECANCELED);
    trine_shared_mutex_unlock(&t->mutex);
    return 0;
}
TRINE_TASK(unlock_in_a_cancelled_scope, struct turn);

TEST(who_is_cancelled_gives_back_what_it_holds) {
    struct turn t = turn_new();
    CHECK_OK(unlock_in_a_cancelled_scope(&t));
    CHECK_OK(trine_run(unlock_in_a_cancelled_scope, &t));
    CHECK_EQ(trine_shared_mutex_lock(&t.mutex), 0);
    trine_shared_mutex_unlock(&t.mutex);
    turn_free(&t);
}

static void *end_with_it(void *turn) {
    CHECK_EQ(trine_shared_mutex_lock(&((struct turn *)turn)->mutex), 0);
    return NULL;
}

TEST(a_thread_that_ends_with_a_mutex_leaves_it_to_the_next) {
    struct turn t = turn_new();
    for (int i = 0; i < 20; i++) {
        pthread_t thread;
        CHECK_EQ(pthread_create(&thread, NULL, end_with_it, &t), 0);
        CHECK_EQ(pthread_join(thread, NULL), 0);
        t.status = -1;
        if (i % 2) { /* in a new one, whose strand may be the old one's */
            CHECK_EQ(pthread_create(&thread, NULL, inherit_alone, &t), 0);
            CHECK_EQ(pthread_join(thread, NULL), 0);
        } else {
            inherit(&t);
        }
        CHECK_EQ(t.status, 1);
    }
    turn_free(&t); /* nobody is in a call on it */
}

static int return_with_it(struct turn *t) {
    return trine_shared_mutex_lock(&t->mutex);
}
TRINE_TASK(return_with_it, struct turn);

TEST(a_task_that_returns_with_a_mutex_fails) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    struct turn t = turn_new(), theirs = t;
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    trine_future *f = trine_start(s, pool, return_with_it, &theirs);
    CHECK_EQ(trine_join(s), -EOWNERDEAD);
    CHECK_EQ(trine_error_of(f)->signal, SIGABRT);
    CHECK_EQ(trine_shared_mutex_lock(&t.mutex), 1);
    trine_shared_mutex_unlock(&t.mutex);
    trine_scope_close(&s);
    turn_free(&t);
    trine_executor_close(&pool);
}

/* One that takes it again at once, and waits for nobody by itself. */
static int hog(struct turn *t) {
    int64_t *over = number_of(&t->memory);
    while (!*(volatile int64_t *)over) {
        CHECK_OK(trine_shared_mutex_lock(&t->mutex));
        for (volatile int i = 0; i < 20000; i++)
            ;
        trine_shared_mutex_unlock(&t->mutex);
    }
    return 0;
}
TRINE_TASK(hog, struct turn);

TEST(who_takes_a_mutex_again_and_again_lets_others_in) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 2});
    struct turn t = turn_new(), theirs[] = {t, t};
    TRINE_SCOPE(s, .timeout = TRINE_SEC(60));
    CHECK_OK(trine_map(s, pool, hog, theirs, 2));
    for (int i = 0; i < 200; i++) {
        CHECK_OK(trine_shared_mutex_lock(&t.mutex));
        trine_shared_mutex_unlock(&t.mutex);
    }
    *number_of(&t.memory) = 1;
    CHECK_OK(trine_join(s));
    trine_scope_close(&s);
    turn_free(&t);
    trine_executor_close(&pool);
}

TEST_ABORTS(a_mutex_is_not_taken_twice, "by a task that holds it") {
    struct turn t = turn_new();
    CHECK_OK(trine_shared_mutex_lock(&t.mutex));
    CHECK_OK(trine_shared_mutex_lock(&t.mutex));
}

TEST_ABORTS(a_mutex_that_is_not_held_is_not_given_back, "by a task that does not hold it") {
    struct turn t = turn_new();
    trine_shared_mutex_unlock(&t.mutex);
}

TEST_ABORTS(a_mutex_that_is_held_is_not_freed, "a mutex was freed while") {
    struct turn t = turn_new();
    CHECK_OK(trine_shared_mutex_lock(&t.mutex));
    trine_shared_mutex_free(&t.mutex);
}
