/* after [--json] [--runs N] [CASE...]: futures of time.
 *   after/1m                  a million trine_after of 2 s, pending together: the bytes of each,
 *                             and by how much the whole exceeds the 2 s
 *   after/create_then_cancel  trine_after, trine_cancel, trine_future_drop, one at a time
 * Every future must be done with status 0, in order of start. Each run of the million is a process
 * of its own: records are reused. */
#include <sys/wait.h>
#include <trine.h>
#include <unistd.h>

#include "bench.h"

enum { FUTURES = 1000000, SINGLES = 2000000 };

struct pending {
    trine_future **futures;
    double bytes, over;
};

static int pend(struct pending *p) {
    const int64_t ns = TRINE_SEC(2);
    double before = bench_memory(), start = bench_ns();
    TRINE_SCOPE(s);
    for (int i = 0; i < FUTURES; i++)
        p->futures[i] = trine_after(s, ns);
    p->bytes = (bench_memory() - before) / FUTURES;
    for (int i = 0; i < FUTURES; i++) {
        trine_future *f;
        int r = trine_next_done(s, &f);
        if (r != 1 || f != p->futures[i] || trine_status(f) != 0)
            bench_fail("a future is done out of order", i);
        trine_future_drop(f);
    }
    p->over = (bench_ns() - start - (double)ns) * 1e-9;
    if (p->over < 0)
        bench_fail("a future was early", 0);
    return 0;
}
TRINE_TASK(pend, struct pending);

/* In a child, the two values come back through a pipe. The program has no other thread. */
static void measure(double ret[2]) {
    int ends[2], status = -1;
    if (pipe(ends) < 0)
        bench_fail("pipe", 0);
    pid_t child = fork();
    if (child == 0) {
        struct pending p = {.futures = malloc(FUTURES * sizeof(*p.futures))};
        if (!p.futures)
            bench_fail("memory", 0);
        memset(p.futures, 1, FUTURES * sizeof(*p.futures)); /* not to be counted */
        int r = trine_run(pend, &p);
        if (r < 0)
            bench_fail("run", r);
        double values[2] = {p.bytes, p.over};
        _exit(write(ends[1], values, sizeof(values)) != sizeof(values));
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0 ||
        read(ends[0], ret, 2 * sizeof(*ret)) != 2 * sizeof(*ret))
        bench_fail("the measuring process", status);
    close(ends[0]);
    close(ends[1]);
}

static void million(struct bench *b) {
    double bytes[BENCH_RUNS_MOST], over[BENCH_RUNS_MOST], values[2];
    for (int i = 0; i < b->runs; i++) {
        measure(values);
        bytes[i] = values[0];
        over[i] = values[1];
    }
    bench_print(b, "after/1m/bytes_per_future", "B", bytes, b->runs);
    bench_print(b, "after/1m/time_over", "s", over, b->runs);
}

static int cancel_one(double *ret_ns) {
    TRINE_SCOPE(s);
    double start = bench_ns();
    for (int i = 0; i < SINGLES; i++) {
        trine_future *f = trine_after(s, TRINE_SEC(30) + i);
        trine_cancel(f, 0);
        trine_future_drop(f);
    }
    *ret_ns = (bench_ns() - start) / SINGLES;
    trine_future *f;
    return trine_next_done(s, &f); /* none is left */
}
TRINE_TASK(cancel_one, double);

static double create_then_cancel(void *arg) {
    double ns;
    (void)arg;
    if (trine_run(cancel_one, &ns) != 0)
        bench_fail("futures are left", 0);
    return ns;
}

int main(int argc, char **argv) {
    struct bench b = bench_begin("after", argc, argv);
    if (bench_chosen(&b, "after/1m"))
        million(&b);
    bench_case(&b, "after/create_then_cancel", "ns", create_then_cancel, NULL);
    return bench_end(&b);
}
