/* oneTBB with two threads: a task_group of a million tasks, one task at a time, a parallel loop.
 * Who waits runs tasks itself: the case of one at a time is threads/help. */
#include <tbb/blocked_range.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/task_group.h>

#include <vector>

#include "../bench.h"

enum { TASKS = 1000000, ROUNDS = 200000, ITEMS = 10000000 };

static std::vector<int> done(TASKS);
static std::vector<double> values(ITEMS);

static double submits(void *) {
    tbb::task_group group;
    double start = bench_ns();
    for (int i = 0; i < TASKS; i++)
        group.run([i] { done[i]++; });
    group.wait();
    return TASKS / (bench_ns() - start) * 1e3;
}

static double helps(void *) {
    double start = bench_ns();
    for (int i = 0; i < ROUNDS; i++) {
        tbb::task_group group;
        group.run([i] { done[i]++; });
        group.wait();
    }
    return (bench_ns() - start) / ROUNDS / 1e3;
}

static double loops(void *) {
    double start = bench_ns();
    tbb::parallel_for(tbb::blocked_range<int>(0, ITEMS), [](const tbb::blocked_range<int> &r) {
        for (int i = r.begin(); i < r.end(); i++)
            values[i] = values[i] * 1.5 + 1;
    });
    double ms = (bench_ns() - start) / 1e6;
    for (int i = 1; i < ITEMS; i++)
        if (values[i] != values[0])
            bench_fail("a wrong value of item", i);
    return ms;
}

int main(int argc, char **argv) {
    tbb::global_control two(tbb::global_control::max_allowed_parallelism, 2);
    struct bench b = bench_begin("threads", argc, argv);
    b.peer = "tbb";
    bench_case(&b, "threads/submit", "M/s", submits, NULL);
    bench_case(&b, "threads/help", "us", helps, NULL);
    bench_case(&b, "threads/for", "ms", loops, NULL);
    return bench_end(&b);
}
