/* shared_kill.c - four workers change two numbers in shared memory, which a mutex between processes
 * keeps equal, and are killed at random moments, 200 times or (TRINE_STRESS) 20,000 times: no two
 * hold it at a time, who finds its last holder dead is told, and a counter misses nothing that was
 * done. A hang is caught by the harness. */
#define TEST_TIMEOUT 1500
#include "strike.h"

#include <trine/shared.h>

#include <pthread.h>
#include <stdatomic.h>

enum { WORKERS = 4, KILLS = 200, KILLS_FULL = 20000 };

struct numbers {
    int64_t first, second;
    atomic_int inside; /* who holds the mutex */
    atomic_bool over;
};

struct work {
    trine_shared_mutex mutex;
    trine_shared memory;
    trine_counter begun, mended;
};

/* All but the mutex's holder keep away from it. */
static int change(struct work *w, struct numbers *n) {
    int r = trine_shared_mutex_lock(&w->mutex);
    if (r < 0)
        return r;
    if (r == 1) {
        atomic_store(&n->inside, 0);
        n->second = n->first;
        CHECK_OK(trine_counter_add(&w->mended, 1, NULL));
    }
    CHECK_EQ(atomic_exchange(&n->inside, getpid()), 0);
    CHECK_EQ(n->first, n->second);
    CHECK_OK(trine_counter_add(&w->begun, 1, NULL));
    n->first++;
    n->second++;
    CHECK_EQ(atomic_exchange(&n->inside, 0), getpid());
    trine_shared_mutex_unlock(&w->mutex);
    return 0;
}

static int change_often(struct work *w) {
    void *memory;
    int r = trine_shared_map(&w->memory, &memory);
    struct numbers *n = memory;
    while (r == 0 && !atomic_load(&n->over))
        r = change(w, n);
    return r;
}
TRINE_TASK(change_often, struct work);

static struct work work;
static trine_executor *pool;
static atomic_uint died;

/* Keeps one worker busy: the task that died with it is started again in the next one. */
static void *keep(void *unused) {
    for (int status = -1; status < 0;) {
        struct work w = work;
        TRINE_SCOPE(s);
        trine_future *f = trine_start(s, pool, change_often, &w);
        if (trine_await(f, &status) < 0)
            test_fail(__FILE__, __LINE__, "await failed");
        if (status == -EOWNERDEAD) {
            atomic_fetch_add(&died, 1);
            CHECK_EQ(trine_error_of(f)->signal, SIGKILL);
        } else if (status < 0 && status != -EAGAIN) { /* killed at the start, five times in a row */
            test_fail(__FILE__, __LINE__, "%d: %s", status, trine_error_of(f)->detail);
        }
    }
    return unused;
}

static int64_t value_of(trine_counter *c) {
    int64_t value;
    CHECK_OK(trine_counter_add(c, 0, &value));
    return value;
}

static bool has_met_a_holder(void) {
    return value_of(&work.mended) > 0;
}

TEST(a_mutex_outlives_its_holders) {
    pthread_t keepers[WORKERS];
    void *memory;
    CHECK_OK(trine_shared_mutex_open(&work.mutex));
    CHECK_OK(trine_shared_open(sizeof(struct numbers), &work.memory));
    CHECK_OK(trine_counter_open(&work.begun));
    CHECK_OK(trine_counter_open(&work.mended));
    CHECK_OK(trine_shared_map(&work.memory, &memory));
    struct numbers *n = memory;
    pool = pool_open((trine_processes_opts){.workers = WORKERS});
    for (int i = 0; i < WORKERS; i++)
        CHECK_EQ(pthread_create(&keepers[i], NULL, keep, NULL), 0);
    unsigned kills =
        strike(getenv("TRINE_STRESS") ? KILLS_FULL : KILLS, WORKERS, &died, has_met_a_holder);
    atomic_store(&n->over, true);
    for (int i = 0; i < WORKERS; i++)
        pthread_join(keepers[i], NULL);
    int64_t begun = value_of(&work.begun), mended = value_of(&work.mended);
    int last = trine_shared_mutex_lock(&work.mutex);
    CHECK(last == 0 || last == 1);
    trine_shared_mutex_unlock(&work.mutex);
    printf("  (%u kills, %u in the task, %d with the mutex; %lld changes)\n", kills,
           atomic_load(&died), (int)mended + last, (long long)n->first);
    CHECK(n->first <= begun && begun - n->first <= mended + last);
    CHECK(n->first == n->second || last == 1);
    CHECK(mended > 0);
    CHECK(n->first > kills);
    trine_executor_close(&pool);
    trine_shared_mutex_free(&work.mutex);
    trine_shared_free(&work.memory);
    trine_counter_free(&work.begun);
    trine_counter_free(&work.mended);
}
