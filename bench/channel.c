/* channel [--json] [--runs N] [CASE...]: what an item costs, sent and received.
 *   channel/pingpong        two coroutines of one loop, an item there and one back: an item
 *   channel/stream          two coroutines of one loop, 128 places: an item
 *   channel/threads_stream  two threads, a loop each, 128 places: an item
 *   channel/threads_stream_spin  the same, each looks on for a while before it sleeps
 *   channel/threads_hop     two threads that sleep in between: one way
 *   channel/threads_hop_spin  the same, each looks on for a while before it sleeps
 * Items are numbered, and must arrive in order. */
#include <errno.h>
#include <pthread.h>
#include <trine.h>

#include "bench.h"

struct side {
    trine_channel *in, *out;
    int64_t items, first_ns;
    int64_t spin;
};

static void failed(const char *what, int r) {
    bench_fail(what, r);
}

/* Sends 0, 1, 2 ... and, if there is an answer, waits for each. */
static int send_all(struct side *s) {
    for (int64_t i = 0, back = 0; i < s->items; i++) {
        int r = trine_channel_send(s->out, &i);
        if (r == 0 && s->in)
            r = trine_channel_recv(s->in, &back);
        if (r < 0 || (s->in && back != i))
            failed("an item did not come back", r);
    }
    return 0;
}
TRINE_TASK(send_all, struct side);

static int take_all(struct side *s) {
    for (int64_t i = 0, item = -1; i < s->items; i++) {
        int r = trine_channel_recv(s->in, &item);
        if (r == 0 && s->out)
            r = trine_channel_send(s->out, &item);
        if (r < 0 || item != i)
            failed("an item is missing", r);
    }
    return 0;
}
TRINE_TASK(take_all, struct side);

struct pair {
    struct side sender, taker;
};

static int both(struct pair *p) {
    TRINE_SCOPE(s);
    trine_spawn(s, send_all, &p->sender);
    trine_spawn(s, take_all, &p->taker);
    return trine_join(s);
}
TRINE_TASK(both, struct pair);

static trine_channel *new_channel(size_t capacity) {
    trine_channel *c = trine_channel_new(sizeof(int64_t), capacity);
    if (!c)
        failed("memory", -ENOMEM);
    return c;
}

struct shape {
    size_t capacity;
    bool answers, threads;
    int64_t items, spin;
};

static struct pair pair_of(const struct shape *shape) {
    trine_channel *there = new_channel(shape->capacity);
    trine_channel *back = shape->answers ? new_channel(shape->capacity) : NULL;
    return (struct pair){.sender = {back, there, shape->items, 0, shape->spin},
                         .taker = {there, back, shape->items, 0, shape->spin}};
}

static void *taker_thread(void *arg) {
    struct side *s = arg;
    const trine_run_opts opts = {.size = sizeof(opts), .spin = s->spin};
    int r = trine_run_task(&take_all_task, s, &opts);
    if (r < 0)
        failed("the taker", r);
    return NULL;
}

static void run_threads(struct pair *p) {
    pthread_t thread;
    const trine_run_opts opts = {.size = sizeof(opts), .spin = p->sender.spin};
    pthread_create(&thread, NULL, taker_thread, &p->taker);
    int r = trine_run_task(&send_all_task, &p->sender, &opts);
    if (r < 0)
        failed("the sender", r);
    pthread_join(thread, NULL);
}

static double run(void *arg) {
    const struct shape *shape = arg;
    struct pair p = pair_of(shape);
    double start = bench_ns();
    if (shape->threads) {
        run_threads(&p);
    } else {
        int r = trine_run(both, &p);
        if (r < 0)
            failed("run", r);
    }
    double ns = (bench_ns() - start) / (double)shape->items;
    trine_channel_free(&p.sender.out);
    trine_channel_free(&p.sender.in);
    return shape->answers ? ns / 2 : ns; /* an item went there, and one came back */
}

int main(int argc, char **argv) {
    struct bench b = bench_begin("channel", argc, argv);
    struct shape pingpong = {1, true, false, 2000000, 0}, stream = {128, false, false, 4000000, 0};
    struct shape across = {128, false, true, 1000000, 0}, hop = {1, true, true, 20000, 0};
    struct shape across_spin = {128, false, true, 1000000, TRINE_US(50)};
    struct shape spin = {1, true, true, 200000, TRINE_US(50)};
    bench_case(&b, "channel/pingpong", "ns", run, &pingpong);
    bench_case(&b, "channel/stream", "ns", run, &stream);
    bench_case(&b, "channel/threads_stream", "ns", run, &across);
    bench_case(&b, "channel/threads_stream_spin", "ns", run, &across_spin);
    bench_case(&b, "channel/threads_hop", "ns", run, &hop);
    bench_case(&b, "channel/threads_hop_spin", "ns", run, &spin);
    return bench_end(&b);
}
