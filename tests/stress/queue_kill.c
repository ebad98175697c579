/* queue_kill.c - four workers carry numbered items from one queue between processes to another, and
 * are killed at random moments, 200 times or (TRINE_STRESS) 20,000 times: no item comes out twice,
 * at most one a kill is missing, and what the queues count as lost is missing. A hang is caught by
 * the harness. */
#define TEST_TIMEOUT 1500
#include "processes_help.h"

#include <trine/queue.h>

#include <pthread.h>
#include <stdatomic.h>

enum { WORKERS = 4, CAPACITY = 16, KILLS = 200, KILLS_FULL = 20000, ITEMS_MOST = 1 << 30 };

struct carry {
    trine_queue in, out;
};

static int carry(struct carry *c) {
    uint32_t item;
    int r;
    while ((r = trine_queue_get(&c->in, &item)) == 0)
        if ((r = trine_queue_put(&c->out, &item)) < 0)
            return r;
    return r == -EPIPE ? 0 : r;
}
TRINE_TASK(carry, struct carry);

static struct carry queues;
static trine_executor *pool;
static atomic_bool over;
static atomic_uint sent, received, died;
static atomic_uchar *seen; /* a bit an item */

/* Keeps one worker busy: the task that died with it is started again in the next one. */
static void *keep(void *unused) {
    for (int status = -1; status < 0;) {
        struct carry c = queues;
        TRINE_SCOPE(s);
        trine_future *f = trine_start(s, pool, carry, &c);
        if (trine_await(f, &status) < 0)
            test_fail(__FILE__, __LINE__, "await failed");
        if (status == -EOWNERDEAD) {
            atomic_fetch_add(&died, 1);
            continue;
        }
        if (status < 0 && status != -EAGAIN) /* killed at the start, five times in a row */
            test_fail(__FILE__, __LINE__, "%d: %s", status, trine_error_of(f)->detail);
    }
    return unused;
}

static void *send_all(void *unused) {
    for (uint32_t n = 0; !atomic_load(&over) && n < ITEMS_MOST; n++) {
        CHECK_EQ(trine_queue_put(&queues.in, &n), 0);
        atomic_fetch_add(&sent, 1);
    }
    CHECK_EQ(trine_queue_close(&queues.in), 0);
    return unused;
}

static void *receive_all(void *unused) {
    uint32_t n;
    int r;
    while ((r = trine_queue_get(&queues.out, &n)) == 0) {
        CHECK(n < ITEMS_MOST);
        CHECK((atomic_fetch_or(&seen[n / 8], (unsigned char)(1 << n % 8)) & 1 << n % 8) == 0);
        atomic_fetch_add(&received, 1);
    }
    CHECK_EQ(r, -EPIPE);
    return unused;
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

static void strike(unsigned kills) {
    pid_t zygote = find_zygote(), workers[16];
    unsigned seed = 7;
    for (unsigned i = 0; i < kills;) {
        usleep((useconds_t)rand_r(&seed) % 8000); /* any moment */
        size_t n = list_workers(zygote, workers, 16);
        if (n < WORKERS)
            continue; /* let them come to work */
        pid_t victim = workers[(size_t)rand_r(&seed) % n];
        if (rand_r(&seed) % 16 == 0) {
            kill(victim, SIGSTOP);
            usleep((useconds_t)rand_r(&seed) % 500);
            kill(victim, SIGCONT);
        }
        i += kill(victim, SIGKILL) == 0;
    }
}

TEST(a_kill_costs_an_item_at_most) {
    unsigned kills = getenv("TRINE_STRESS") ? KILLS_FULL : KILLS;
    pthread_t keepers[WORKERS], sender, receiver;
    seen = calloc(ITEMS_MOST / 8, 1);
    CHECK(seen);
    CHECK_OK(trine_queue_open(sizeof(uint32_t), CAPACITY, &queues.in));
    CHECK_OK(trine_queue_open(sizeof(uint32_t), CAPACITY, &queues.out));
    pool = pool_open((trine_processes_opts){.workers = WORKERS});
    for (int i = 0; i < WORKERS; i++)
        CHECK_EQ(pthread_create(&keepers[i], NULL, keep, NULL), 0);
    CHECK_EQ(pthread_create(&sender, NULL, send_all, NULL), 0);
    CHECK_EQ(pthread_create(&receiver, NULL, receive_all, NULL), 0);
    strike(kills);
    atomic_store(&over, true);
    pthread_join(sender, NULL);
    for (int i = 0; i < WORKERS; i++)
        pthread_join(keepers[i], NULL);
    CHECK_EQ(trine_queue_count(&queues.in), 0);
    CHECK_EQ(trine_queue_close(&queues.out), 0);
    pthread_join(receiver, NULL);
    int64_t missing = (int64_t)atomic_load(&sent) - (int64_t)atomic_load(&received);
    int64_t lost = trine_queue_lost(&queues.in) + trine_queue_lost(&queues.out);
    printf("  (%u kills, %u in the task; %u items, %d missing, of these %d counted as lost)\n",
           kills, atomic_load(&died), atomic_load(&sent), (int)missing, (int)lost);
    CHECK(missing >= 0 && missing <= (int64_t)kills);
    CHECK(lost >= 0 && lost <= missing);
    CHECK(atomic_load(&died) > kills / 4);
    CHECK(atomic_load(&received) > kills);
    trine_executor_close(&pool);
    trine_queue_free(&queues.in);
    trine_queue_free(&queues.out);
    free(seen);
}
