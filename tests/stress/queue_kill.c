/* queue_kill.c - four workers carry numbered items, or messages, from one queue between processes
 * to another, and are killed at random moments, 200 times or (TRINE_STRESS) 20,000 times: no item
 * comes out twice, at most one a kill is missing, and what the queues count as lost is missing. A
 * hang is caught by the harness. */
#define TEST_TIMEOUT 1500
#include "strike.h"

#include <trine/queue.h>

#include <pthread.h>
#include <stdatomic.h>

enum { WORKERS = 4, CAPACITY = 16, KILLS = 200, KILLS_FULL = 20000, ITEMS_MOST = 1 << 30 };

struct carry {
    trine_queue in, out;
    bool messages;
};

/* A message: the number, and as many bytes of it as its length says. */
static int put_number(const struct carry *c, const trine_queue *q, uint32_t n) {
    unsigned char bytes[64];
    if (!c->messages)
        return trine_queue_put(q, &n);
    size_t len = sizeof(n) + n % 60;
    memset(bytes, (int)n, sizeof(bytes));
    memcpy(bytes, &n, sizeof(n));
    return trine_queue_put_bytes(q, (trine_bytes){bytes, len});
}

static int get_number(const struct carry *c, const trine_queue *q, uint32_t *ret_n) {
    static _Thread_local trine_buf message;
    if (!c->messages)
        return trine_queue_get(q, ret_n);
    int r = trine_queue_get_bytes(q, &message);
    if (r < 0) {
        trine_buf_free(&message);
        return r;
    }
    memcpy(ret_n, message.ptr, sizeof(*ret_n));
    CHECK_EQ(message.len, sizeof(*ret_n) + *ret_n % 60);
    for (size_t i = sizeof(*ret_n); i < message.len; i++)
        CHECK_EQ(((unsigned char *)message.ptr)[i], (unsigned char)*ret_n);
    return 0;
}

static int carry(struct carry *c) {
    uint32_t item;
    int r;
    while ((r = get_number(c, &c->in, &item)) == 0)
        if ((r = put_number(c, &c->out, item)) < 0)
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
        CHECK_EQ(put_number(&queues, &queues.in, n), 0);
        atomic_fetch_add(&sent, 1);
    }
    CHECK_EQ(trine_queue_close(&queues.in), 0);
    return unused;
}

static void *receive_all(void *unused) {
    uint32_t n;
    int r;
    while ((r = get_number(&queues, &queues.out, &n)) == 0) {
        CHECK(n < ITEMS_MOST);
        CHECK((atomic_fetch_or(&seen[n / 8], (unsigned char)(1 << n % 8)) & 1 << n % 8) == 0);
        atomic_fetch_add(&received, 1);
    }
    CHECK_EQ(r, -EPIPE);
    return unused;
}

static unsigned kills_asked(void) {
    return getenv("TRINE_STRESS") ? KILLS_FULL : KILLS;
}

static bool has_hit_enough(void) {
    return atomic_load(&died) > kills_asked() / 4 && atomic_load(&received) > kills_asked();
}

static void storm(void) {
    pthread_t keepers[WORKERS], sender, receiver;
    seen = calloc(ITEMS_MOST / 8, 1);
    CHECK(seen);
    trine_queue *both[] = {&queues.in, &queues.out};
    for (int i = 0; i < 2; i++)
        CHECK_OK(queues.messages ? trine_queue_open_bytes(CAPACITY * 20, both[i])
                                 : trine_queue_open(sizeof(uint32_t), CAPACITY, both[i]));
    pool = pool_open((trine_processes_opts){.workers = WORKERS});
    for (int i = 0; i < WORKERS; i++)
        CHECK_EQ(pthread_create(&keepers[i], NULL, keep, NULL), 0);
    CHECK_EQ(pthread_create(&sender, NULL, send_all, NULL), 0);
    CHECK_EQ(pthread_create(&receiver, NULL, receive_all, NULL), 0);
    unsigned kills = strike(kills_asked(), WORKERS, &died, has_hit_enough);
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
    CHECK(has_hit_enough());
    trine_executor_close(&pool);
    trine_queue_free(&queues.in);
    trine_queue_free(&queues.out);
    free(seen);
}

TEST(a_kill_costs_an_item_at_most) {
    storm();
}

TEST(a_kill_costs_a_message_at_most) {
    queues.messages = true;
    storm();
}
