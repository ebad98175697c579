/* libuv's pool of threads, two of them: uv_queue_work from the loop. */
#include "../bench.h"

#include <uv.h>

enum { TASKS = 200000, ROUNDS = 20000 };

static uv_work_t works[TASKS];
static int left;
static bool again;

static void nothing(uv_work_t *w) {
    (void)w;
}

static void done(uv_work_t *w, int status) {
    if (status)
        bench_fail("a task was cancelled", status);
    left--;
    if (again && left > 0 && uv_queue_work(uv_default_loop(), w, nothing, done))
        bench_fail("uv_queue_work", 0);
}

static double submits(void *unused) {
    (void)unused;
    double start = bench_ns();
    left = TASKS, again = false;
    for (int i = 0; i < TASKS; i++)
        if (uv_queue_work(uv_default_loop(), &works[i], nothing, done))
            bench_fail("uv_queue_work", i);
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    return TASKS / (bench_ns() - start) * 1e3;
}

static double awaits(void *unused) {
    (void)unused;
    double start = bench_ns();
    left = ROUNDS, again = true;
    if (uv_queue_work(uv_default_loop(), &works[0], nothing, done))
        bench_fail("uv_queue_work", 0);
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    return (bench_ns() - start) / ROUNDS / 1e3;
}

int main(int argc, char **argv) {
    setenv("UV_THREADPOOL_SIZE", "2", 1);
    struct bench b = bench_begin("threads", argc, argv);
    b.peer = "libuv";
    bench_case(&b, "threads/submit", "M/s", submits, NULL);
    bench_case(&b, "threads/await", "us", awaits, NULL);
    return bench_end(&b);
}
