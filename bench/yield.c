/* yield [--json] [--runs N] [CASE...]: the time of one trine_yield, scheduler included.
 *   yield/two    two coroutines that yield to each other
 *   yield/1000   a thousand runnable coroutines: their stacks do not fit into the nearest cache
 *   yield/io     two, while the loop also polls a descriptor in each turn, as in real life
 * Each coroutine counts its turns; at the end all must have had theirs, in order. */
#include <errno.h>
#include <trine.h>
#include <trine/net.h>

#include "bench.h"

enum { YIELDS = 2000000 };

struct yielder {
    uint64_t turns, done;
    struct yielder *ahead; /* who runs before it: never behind by more than one turn */
};

static int yield_often(struct yielder *y) {
    for (; y->done < y->turns; y->done++) {
        int r = trine_yield();
        if (r < 0)
            return r;
    }
    if (y->ahead && y->ahead->done + 1 < y->turns)
        bench_fail("a coroutine was passed over", (long)y->ahead->done);
    return 0;
}
TRINE_TASK(yield_often, struct yielder);

struct run {
    unsigned coroutines;
    bool io;
    double ns;
};

static int accept_one(trine_listener **listener) {
    trine_conn *conn;
    int r = trine_tcp_accept(*listener, &conn);
    return r == -EBADF ? 0 : r;
}
TRINE_TASK(accept_one, trine_listener *);

static void yield_all(struct run *run) {
    unsigned turns = YIELDS / run->coroutines;
    struct yielder *all = calloc(run->coroutines, sizeof(*all));
    if (!all)
        bench_fail("memory", 0);
    TRINE_SCOPE(s);
    for (unsigned i = 0; i < run->coroutines; i++) {
        all[i] = (struct yielder){turns, 0, i ? &all[i - 1] : NULL};
        trine_spawn(s, yield_often, &all[i]);
    }
    double start = bench_ns();
    int r = trine_join(s);
    run->ns = (bench_ns() - start) / YIELDS;
    if (r < 0)
        bench_fail("join", r);
    for (unsigned i = 0; i < run->coroutines; i++)
        if (all[i].done != turns)
            bench_fail("turns are missing of coroutine", (long)i);
    free(all);
}

static int yield_run(struct run *run) {
    if (!run->io) {
        yield_all(run);
        return 0;
    }
    trine_listener *listener;
    int r = trine_tcp_listen("127.0.0.1", 0, 0, &listener);
    if (r < 0)
        bench_fail("listen", r);
    TRINE_SCOPE(s);
    trine_spawn(s, accept_one, &listener);
    if (trine_yield() < 0) /* it waits in accept from here on */
        bench_fail("yield", 0);
    yield_all(run);
    trine_listener_close(&listener);
    return trine_join(s);
}
TRINE_TASK(yield_run, struct run);

static double yields(void *arg) {
    int r = trine_run(yield_run, (struct run *)arg);
    if (r < 0)
        bench_fail("run", r);
    return ((struct run *)arg)->ns;
}

int main(int argc, char **argv) {
    struct bench b = bench_begin("yield", argc, argv);
    bench_case(&b, "yield/two", "ns", yields, &(struct run){.coroutines = 2});
    bench_case(&b, "yield/1000", "ns", yields, &(struct run){.coroutines = 1000});
    bench_case(&b, "yield/io", "ns", yields, &(struct run){.coroutines = 2, .io = true});
    return bench_end(&b);
}
