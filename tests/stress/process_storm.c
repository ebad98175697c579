/* process_storm.c - workers are killed and stopped at random moments, some send garbage, and now
 * and then the zygote dies, while threads submit tasks of all sizes: each task comes back exactly
 * once, right or with an error that is true; at the end no process, descriptor or mapping is left.
 */
#define TEST_TIMEOUT 1200
#include "leftovers.h"
#include "storm_jobs.h"
#include "strike.h"

#include <pthread.h>

enum { SUBMITTERS = 3, KILLS = 500, KILLS_FULL = 20000 };

static atomic_uint kills;
static unsigned kills_wanted;

/* Counts, unless it was dead already. */
static void strike_dead(pid_t victim) {
    char state = 0;
    if (parent_of(victim, &state) > 0 && state != 'Z' && kill(victim, SIGKILL) == 0)
        atomic_fetch_add(&kills, 1);
}

/* Of the zygote, which is not our only child while one is dead and its workers are about to be. */
static size_t find_workers(pid_t *ret_zygote, pid_t *ret_pids, size_t n) {
    pid_t children[32];
    size_t count = children_of(getpid(), children, 32), workers = 0;
    for (size_t i = 0; i < count && i < 32 && !workers; i++) {
        *ret_zygote = children[i];
        workers = list_workers(children[i], ret_pids, n);
    }
    return workers;
}

static void *strike_all(void *unused) {
    (void)unused;
    uint64_t seed = 42;
    pid_t zygote, workers[32];
    while (atomic_load(&kills) < kills_wanted) {
        seed = mix(seed);
        usleep((useconds_t)(seed % 2000)); /* any moment */
        size_t n = find_workers(&zygote, workers, 32);
        if (n == 0)
            continue;
        pid_t victim = workers[(seed >> 20) % n];
        if ((seed >> 40) % 10 == 1) {
            kill(victim, SIGSTOP);
            usleep((useconds_t)(seed % 500));
            kill(victim, SIGCONT);
        } else if ((seed >> 40) % 200 == 0) {
            strike_dead(zygote);
        } else {
            strike_dead(victim);
        }
    }
    atomic_store(&over, true);
    return NULL;
}

static void storm(void) {
    pthread_t threads[SUBMITTERS], striker;
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 4, .queue = 40});
    atomic_store(&over, false);
    atomic_store(&kills, 0);
    for (int i = 0; i < SUBMITTERS; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, submit, pool), 0);
    CHECK_EQ(pthread_create(&striker, NULL, strike_all, NULL), 0);
    pthread_join(striker, NULL);
    for (int i = 0; i < SUBMITTERS; i++)
        pthread_join(threads[i], NULL);
    trine_executor_close(&pool);
}

TEST(each_task_comes_back_once_in_a_storm_of_kills) {
    adopt_orphans(); /* workers whose zygote is killed */
    kills_wanted = 5;
    storm(); /* from now on the library has what it keeps */
    size_t before = count_descriptors(), mappings = count_mappings();
    kills_wanted = getenv("TRINE_STRESS") ? KILLS_FULL : KILLS;
    storm();
    CHECK_EQ(count_descriptors(), before);
    CHECK_EQ(count_mappings(), mappings);
    CHECK(EVENTUALLY(nobody_is_left(), 20000));
    CHECK(atomic_load(&batches) > 0);
    CHECK(atomic_load(&large_done) + atomic_load(&large_failed) > 0);
    printf("  (%u kills, %u batches of %d tasks; of %d MiB %u done, %u failed)\n",
           atomic_load(&kills), atomic_load(&batches), BATCH + 1, LARGE >> 20,
           atomic_load(&large_done), atomic_load(&large_failed));
}
