/* process_storm.c - workers are killed and stopped at random moments, some send garbage, and now
 * and then the zygote dies, while threads submit tasks of all sizes: each task comes back exactly
 * once, right or with an error that is true; at the end no process and no descriptor is left. */
#define TEST_TIMEOUT 1200
#include "processes_help.h"
#include "worker_says.h"

#include <pthread.h>
#include <stdatomic.h>

enum { SUBMITTERS = 3, BATCH = 24, KILLS = 500, KILLS_FULL = 20000 };

static atomic_uint kills;
static atomic_bool over;
static unsigned kills_wanted;

struct job {
    uint64_t seed;
    unsigned kind;
    uint64_t out[9];
};

static uint64_t mix(uint64_t x) { /* splitmix64 */
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static int run_job(struct job *a) {
    if (a->kind == 1)
        say("garbage garbage garbage garbage garbage garbage garbage "
            "garbage garbage garbage garbage garbage garbage garbage ",
            112);
    uint64_t x = a->seed;
    for (unsigned i = 0; i < a->seed % 20000; i++)
        x = mix(x);
    for (int i = 0; i < 9; i++)
        a->out[i] = mix(a->seed + (uint64_t)i) ^ (x & 0);
    return 0;
}
TRINE_TASK(run_job, struct job);

static int echo(trine_bytes in, trine_buf *out) {
    return trine_buf_append(out, in.ptr, in.len);
}
TRINE_BYTES_TASK(echo);

/* A true error of this storm. */
static void check_failure(const trine_future *f, unsigned kind) {
    const trine_error *e = trine_error_of(f);
    if (e->code == -EPROTO && kind == 1)
        return;
    if (e->code == -EAGAIN && strstr(e->detail, "no worker process could be started"))
        return; /* all were killed at their start, five times in a row */
    if (e->code != -EOWNERDEAD || (e->signal != SIGKILL && !strstr(e->detail, "zygote")))
        test_fail(__FILE__, __LINE__, "%d signal %d: %s", e->code, e->signal, e->detail);
}

static void check_job(const struct job *a, const trine_future *f) {
    int status = trine_status(f);
    if (status < 0) {
        check_failure(f, a->kind);
        for (int i = 0; i < 9; i++)
            CHECK(a->out[i] == 0);
        return;
    }
    CHECK_EQ(status, 0);
    for (int i = 0; i < 9; i++)
        CHECK(a->out[i] == mix(a->seed + (uint64_t)i));
}

static void run_batch(trine_executor *pool, uint64_t *seed, unsigned char *bytes, trine_buf *out) {
    struct job jobs[BATCH];
    trine_future *f[BATCH], *large;
    memset(jobs, 0, sizeof(jobs));
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    for (int i = 0; i < BATCH; i++) {
        *seed = mix(*seed);
        jobs[i].seed = *seed;
        jobs[i].kind = *seed % 97 == 0;
        f[i] = trine_start(s, pool, run_job, &jobs[i]);
    }
    size_t n = (*seed >> 7) % ((1 << 20) + 1);
    memset(bytes, (int)*seed, n);
    large = trine_start_bytes(s, pool, echo, ((trine_bytes){bytes, n}), out);
    trine_join(s);
    for (int i = 0; i < BATCH; i++)
        check_job(&jobs[i], f[i]);
    if (trine_status(large) < 0)
        check_failure(large, 0);
    else
        CHECK(out->len == n && (n == 0 || memcmp(out->ptr, bytes, n) == 0));
}

static atomic_uint batches;

static void *submit(void *arg) {
    trine_executor *pool = arg;
    uint64_t seed = mix((uint64_t)(uintptr_t)pthread_self());
    unsigned char *bytes = malloc((1 << 20) + 1);
    CHECK(bytes);
    trine_buf out = {0};
    while (!atomic_load(&over)) {
        run_batch(pool, &seed, bytes, &out);
        atomic_fetch_add(&batches, 1);
    }
    trine_buf_free(&out);
    free(bytes);
    return NULL;
}

/* The children of the zygote as the kernel lists them. */
static size_t list_workers(pid_t zygote, pid_t *ret_pids, size_t n) {
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)zygote, (int)zygote);
    FILE *file = fopen(path, "re");
    size_t count = 0;
    while (file && count < n && fscanf(file, "%d", &ret_pids[count]) == 1)
        count++;
    if (file)
        fclose(file);
    return count;
}

static void *strike(void *unused) {
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

static size_t count_descriptors(void) {
    size_t n = 0;
    DIR *dir = opendir("/proc/self/fd");
    CHECK(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static void storm(void) {
    pthread_t threads[SUBMITTERS], striker;
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 4, .queue = 40});
    atomic_store(&over, false);
    atomic_store(&kills, 0);
    for (int i = 0; i < SUBMITTERS; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, submit, pool), 0);
    CHECK_EQ(pthread_create(&striker, NULL, strike, NULL), 0);
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
