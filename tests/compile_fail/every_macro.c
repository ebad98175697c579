/* every_macro.c - a use of each public macro, as C11 -pedantic and as C++20 have it. It is compiled
 * only (scripts/lint/compile_fail.sh), and that script says which macro is missing here. */
#include <trine.h>
#include <trine/http.h>
#include <trine/net.h>
#include <trine/parallel.h>
#include <trine/select.h>
#include <trine/signal.h>
#include <trine/task.h>

struct square {
    int n;
    int64_t ret_square;
};

static int square(struct square *s) {
    s->ret_square = (int64_t)s->n * s->n;
    return 0;
}
TRINE_TASK_IO(square, struct square, ret_square);

static int upper(trine_bytes in, trine_buf *out) {
    return trine_buf_append(out, in.ptr, in.len);
}
TRINE_BYTES_TASK(upper);

static int any_of(trine_channel *c, trine_future *f, int *item) {
    trine_case cases[] = {TRINE_CASE_SEND(c, item), TRINE_CASE_RECV(c, item), TRINE_CASE_DONE(f),
                          TRINE_CASE_READ(0), TRINE_CASE_WRITE(1)};
    return trine_select(cases, sizeof(cases) / sizeof(cases[0]), TRINE_MS(1));
}

static int no_more(void *arg, void *item) {
    return arg && item ? 1 : 0;
}

static int on_pool(trine_executor *pool) {
    struct square one[3] = {{1, 0}, {2, 0}, {3, 0}};
    trine_buf text = {NULL, 0, 0};
    trine_bytes in = {"abc", 3};
    int status;
    TRINE_SCOPE(all, .policy = TRINE_COLLECT, .timeout = TRINE_SEC(1.5), .limit = 2);
    trine_submit(all, pool, square, &one[0]);
    trine_map(all, pool, square, one, 3);
    trine_map_all(pool, square, one, 3);
    if (trine_map_from(pool, square, .next = no_more) < 0)
        return -1;
    if (trine_processes_each(pool, square, one) < 0)
        return -1;
    trine_executor *own;
    int opened = trine_threads_open(&own, TRINE_OPTS(trine_threads_opts, .workers = 1));
    if (opened == 0)
        trine_executor_close(&own);
    trine_future *f = trine_start(all, pool, square, &one[1]);
    int error = any_of(NULL, f, &status);
    error = error < 0 ? error : trine_await(f, &status);
    trine_future_drop(trine_after(all, 1));
    f = trine_start_bytes(all, pool, upper, in, &text);
    trine_future_drop(f);
    trine_future_drop(trine_start_bytes_opts(all, pool, upper, in, &text, .name = "upper"));
    error = error ? error : trine_join(all);
    trine_buf_free(&text);
    return error;
}

static int parent(int *count) {
    struct square s = {*count, 0};
    TRINE_LET(count, &s);
    trine_executor *pool;
    int error = trine_threads_open(&pool, TRINE_OPTS(trine_threads_opts, .workers = 2));
    if (error < 0) {
        return error;
    }
    TRINE_SCOPE(tasks);
    trine_spawn(tasks, square, &s);
    trine_spawn_copy(tasks, square, &s);
    trine_spawn_opts(tasks, square, &s, .name = "one", .stack_size = 1 << 20);
    trine_submit_opts(tasks, NULL, square, &s, .name = "two");
    trine_future_drop(trine_start_opts(tasks, NULL, square, &s, .stack_size = 1 << 20));
    trine_submit_copy(tasks, NULL, square, &s);
    if (trine_spawn_ready(tasks, square, &s) == 0)
        trine_scope_set_deadline(tasks, TRINE_NEVER);
    error = on_pool(pool);
    trine_executor_close(&pool);
    error = error ? error : trine_blocking(square, &s);
    error = error ? error : trine_sleep(TRINE_MS(1) + TRINE_US(1));
    return error ? error : trine_join(tasks);
}
TRINE_TASK(parent, int);

int main(int argc, char **argv) {
    trine_init(argc, argv);
    int count = TRINE_VERSION[0];
    return trine_run(parent, &count) ? 1 : 0;
}
