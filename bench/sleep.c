/* sleep [--json] [--runs N] [CASE...]: many coroutines asleep together, on guarded stacks that
 * nobody used before: what each holds (VmRSS and VmPTE), and by how much the whole exceeds the time
 * slept.
 *   sleep/100k   a hundred thousand, 2 s each
 *   sleep/1m     a million, 10 s each; only when it is asked for
 * All must have been asleep at the same time. Each run is a process of its own: stacks are reused.
 */
#include <sys/wait.h>
#include <trine.h>
#include <unistd.h>

#include "bench.h"

struct sleepers {
    long count, asleep, most, done;
    int64_t ns;
    double bytes, over;
};

static int sleep_once(struct sleepers *all) {
    if (++all->asleep > all->most)
        all->most = all->asleep;
    int r = trine_sleep(all->ns);
    all->asleep--;
    all->done += r == 0;
    return r;
}
TRINE_TASK(sleep_once, struct sleepers);

static int sleep_all(struct sleepers *all) {
    double before = bench_memory(), start = bench_ns();
    TRINE_SCOPE(s);
    for (long i = 0; i < all->count; i++)
        trine_spawn(s, sleep_once, all);
    while (all->asleep < all->count && !all->done) {
        int r = trine_yield();
        if (r < 0)
            return r;
    }
    all->bytes = (bench_memory() - before) / (double)all->count;
    int r = trine_join(s);
    all->over = (bench_ns() - start - (double)all->ns) * 1e-9;
    return r;
}
TRINE_TASK(sleep_all, struct sleepers);

/* In a child, the two values come back through a pipe. The program has no other thread. */
static void measure(long count, int64_t ns, double ret[2]) {
    int ends[2], status = -1;
    if (pipe(ends) < 0)
        bench_fail("pipe", 0);
    pid_t child = fork();
    if (child == 0) {
        struct sleepers all = {.count = count, .ns = ns};
        int r = trine_run(sleep_all, &all);
        if (r < 0 || all.done != count || all.most != count)
            bench_fail("not all slept together", r < 0 ? r : all.most);
        double values[2] = {all.bytes, all.over};
        _exit(write(ends[1], values, sizeof(values)) != sizeof(values));
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0 ||
        read(ends[0], ret, 2 * sizeof(*ret)) != 2 * sizeof(*ret))
        bench_fail("the measuring process", status);
    close(ends[0]);
    close(ends[1]);
}

static void asleep(struct bench *b, const char *name, long count, int64_t ns) {
    double bytes[BENCH_RUNS_MOST], over[BENCH_RUNS_MOST], values[2];
    char text[64];
    for (int i = 0; i < b->runs; i++) {
        measure(count, ns, values);
        bytes[i] = values[0];
        over[i] = values[1];
    }
    snprintf(text, sizeof(text), "%s/bytes_per_task", name);
    bench_print(b, text, "B", bytes, b->runs);
    snprintf(text, sizeof(text), "%s/time_over", name);
    bench_print(b, text, "s", over, b->runs);
}

int main(int argc, char **argv) {
    struct bench b = bench_begin("sleep", argc, argv);
    if (bench_chosen(&b, "sleep/100k"))
        asleep(&b, "sleep/100k", 100000, TRINE_SEC(2));
    if (*b.chosen && bench_chosen(&b, "sleep/1m"))
        asleep(&b, "sleep/1m", 1000000, TRINE_SEC(10));
    return bench_end(&b);
}
