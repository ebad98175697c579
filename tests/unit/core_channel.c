/* core_channel.c - channels in one loop and between threads: order, bound, close, cancellation. */
#include "test.h"
#include "trine.h"

#include <pthread.h>
#include <stdatomic.h>

struct end {
    trine_channel *channel;
    int from, count;
    int result;
    long sum;
};

static int produce(struct end *e) {
    for (int i = 0; i < e->count; i++) {
        int value = e->from + i;
        int r = trine_channel_send(e->channel, &value);
        if (r < 0)
            return e->result = r;
    }
    return e->result = 0;
}
TRINE_TASK(produce, struct end);

static int consume(struct end *e) {
    int value, last = -1;
    int r;
    while ((r = trine_channel_recv(e->channel, &value)) == 0) {
        if (e->count && value <= last)
            return e->result = -EILSEQ; /* one producer: the order must hold */
        last = value;
        e->sum += value;
    }
    e->result = r;
    return r == -EPIPE ? 0 : r;
}
TRINE_TASK(consume, struct end);

struct nothing {
    int unused;
};

static int one_loop(struct nothing *n) {
    (void)n;
    for (size_t capacity = 1; capacity <= 64; capacity *= 4) {
        trine_channel *c = trine_channel_new(sizeof(int), capacity);
        struct end in = {c, 0, 1000, 1, 0}, out = {c, 0, 1, 1, 0};
        TRINE_SCOPE(s);
        trine_future *producer = trine_start(s, NULL, produce, &in);
        trine_spawn(s, consume, &out);
        CHECK_EQ(trine_await(producer, NULL), 0);
        CHECK(trine_channel_count(c) <= capacity);
        trine_channel_close(c);
        CHECK_EQ(trine_join(s), 0);
        CHECK_EQ(out.result, -EPIPE);
        CHECK_EQ(out.sum, 499500L);
        trine_channel_free(&c);
    }
    return 0;
}
TRINE_TASK(one_loop, struct nothing);

TEST(items_arrive_in_order_whatever_the_capacity) {
    CHECK_EQ(trine_run(one_loop, NULL), 0);
}

static int cancelled_wait(struct nothing *n) {
    (void)n;
    trine_channel *c = trine_channel_new(sizeof(int), 1);
    int value = 5;
    {
        TRINE_SCOPE(s, .timeout = TRINE_MS(2));
        CHECK_EQ(trine_channel_recv(c, &value), -ETIMEDOUT);
    }
    CHECK_EQ(trine_channel_send(c, &value), 0); /* nobody waits any more: it stays in the ring */
    {
        TRINE_SCOPE(s, .timeout = TRINE_MS(2));
        int other = 6;
        CHECK_EQ(trine_channel_send(c, &other), -ETIMEDOUT);
    }
    CHECK_EQ((long)trine_channel_count(c), 1L);
    {
        TRINE_SCOPE(s);
        trine_scope_cancel(s, 0); /* tested before anything is consumed */
        CHECK_EQ(trine_channel_recv(c, &value), -ECANCELED);
    }
    CHECK_EQ((long)trine_channel_count(c), 1L);
    trine_channel_close(c);
    value = 0;
    CHECK_EQ(trine_channel_recv(c, &value), 0);
    CHECK_EQ(value, 5);
    CHECK_EQ(trine_channel_recv(c, &value), -EPIPE);
    CHECK_EQ(trine_channel_send(c, &value), -EPIPE);
    trine_channel_free(&c);
    return 0;
}
TRINE_TASK(cancelled_wait, struct nothing);

TEST(a_cancelled_wait_takes_nothing_and_leaves_nothing) {
    CHECK_EQ(trine_run(cancelled_wait, NULL), 0);
}

enum { PRODUCERS = 3, CONSUMERS = 3, EACH = 20000 };

static int across_threads(struct nothing *n) {
    (void)n;
    trine_executor *pool;
    trine_threads_opts opts = {.size = sizeof(opts), .workers = 4};
    CHECK_EQ(trine_threads_open(&pool, &opts), 0);
    trine_channel *c = trine_channel_new(sizeof(int), 8);
    struct end in[PRODUCERS], out[CONSUMERS];
    {
        TRINE_SCOPE(readers);
        for (int i = 0; i < CONSUMERS; i++) {
            out[i] = (struct end){.channel = c};
            trine_submit(readers, i ? pool : NULL, consume, &out[i]);
        }
        TRINE_SCOPE(writers);
        for (int i = 0; i < PRODUCERS; i++) {
            in[i] = (struct end){c, i * EACH, EACH, 1, 0};
            trine_submit(writers, i ? pool : NULL, produce, &in[i]);
        }
        CHECK_EQ(trine_join(writers), 0);
        trine_channel_close(c);
        CHECK_EQ(trine_join(readers), 0);
    }
    long sum = 0, total = (long)PRODUCERS * EACH;
    for (int i = 0; i < CONSUMERS; i++)
        sum += out[i].sum;
    CHECK_EQ(sum, total * (total - 1) / 2);
    trine_channel_free(&c);
    trine_executor_close(&pool);
    return 0;
}
TRINE_TASK(across_threads, struct nothing);

TEST(threads_and_coroutines_share_a_channel_and_lose_nothing) {
    CHECK_EQ(trine_run(across_threads, NULL), 0);
}
