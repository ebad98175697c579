/* process_storm.c - workers are killed and stopped at random moments, some send garbage, and now
 * and then the zygote dies, while threads submit tasks of all sizes: each task comes back exactly
 * once, right or with an error that is true; at the end no process and no descriptor is left. */
#define TEST_TIMEOUT 1200
#include "storm_jobs.h"
#include "strike.h"

#include <pthread.h>

enum { SUBMITTERS = 3, KILLS = 500, KILLS_FULL = 20000 };

static atomic_uint kills;
static unsigned kills_wanted;

static void *strike_all(void *unused) {
    (void)unused;
    uint64_t seed = 42;
    pid_t zygote[2], workers[32];
    while (atomic_load(&kills) < kills_wanted) {
        seed = mix(seed);
        usleep((useconds_t)(seed % 2000)); /* any moment */
        if (children_of(getpid(), zygote, 2) != 1)
            continue;
        size_t n = list_workers(zygote[0], workers, 32);
        if (n == 0)
            continue;
        pid_t victim = workers[(seed >> 20) % n];
        if ((seed >> 40) % 200 == 0) {
            kill(zygote[0], SIGKILL);
        } else if ((seed >> 40) % 10 == 1) {
            kill(victim, SIGSTOP);
            usleep((useconds_t)(seed % 500));
            kill(victim, SIGCONT);
        } else {
            kill(victim, SIGKILL);
        }
        atomic_fetch_add(&kills, 1);
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
    kills_wanted = 5;
    storm(); /* from now on the library has what descriptors it keeps */
    size_t before = count_descriptors();
    kills_wanted = getenv("TRINE_STRESS") ? KILLS_FULL : KILLS;
    storm();
    CHECK_EQ(count_descriptors(), before);
    CHECK_EQ(children_of(getpid(), NULL, 0), 0);
    CHECK_EQ(waitpid(-1, NULL, WNOHANG), -1);
    CHECK(atomic_load(&batches) > 0);
    printf("  (%u kills, %u batches of %d tasks)\n", atomic_load(&kills), atomic_load(&batches),
           BATCH + 1);
}
