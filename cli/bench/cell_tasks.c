/* cell_tasks.c - what it costs to have N tasks at the same time. Each is created, says so and waits
 * at a gate; when all are there, the memory is taken; then the gate opens and they end. The time
 * per task is that of creating and ending it; for threads and processes each has one of its own. */
#include "bench/cell.h"
#include "bench/tree.h"

#include <trine/queue.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

struct run {
    size_t n;
    int64_t created, ended; /* ns that the two parts took */
    struct tree_use use;    /* when all are there; memory: what they added */
};

static double memory_now(void) {
    struct tree_use use;
    tree_measure(getpid(), &use);
    return use.memory;
}

static void all_are_there(struct run *r, double memory_before) {
    tree_measure(getpid(), &r->use);
    r->use.memory -= memory_before;
}

/* --- coroutines --- */

struct loop_gate {
    size_t arrived;
    trine_channel *open;
};

static int wait_on_loop(struct loop_gate *g) {
    char none;
    g->arrived++;
    return trine_channel_recv(g->open, &none) == -EPIPE ? 0 : -EPROTO;
}
TRINE_TASK(wait_on_loop, struct loop_gate);

static int run_loop(struct run *r) {
    struct loop_gate gate = {.open = trine_channel_new(1, 1)};
    if (!gate.open)
        return -ENOMEM;
    double before = memory_now();
    int error = 0;
    {
        TRINE_SCOPE(scope, .name = "tasks");
        int64_t start = trine_now();
        for (size_t i = 0; i < r->n; i++)
            trine_spawn(scope, wait_on_loop, &gate);
        while (gate.arrived < r->n && error == 0)
            error = trine_yield();
        r->created = trine_now() - start;
        all_are_there(r, before);
        start = trine_now();
        trine_channel_close(gate.open);
        int joined = trine_join(scope);
        error = error ? error : joined;
        r->ended = trine_now() - start;
    }
    trine_channel_free(&gate.open);
    return error;
}
TRINE_TASK(run_loop, struct run);

/* --- threads --- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t all_here, open;
    size_t arrived, wanted;
    bool is_open;
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER,
          .all_here = PTHREAD_COND_INITIALIZER,
          .open = PTHREAD_COND_INITIALIZER};

static int wait_in_thread(int *unused) {
    (void)unused;
    pthread_mutex_lock(&gate.lock);
    if (++gate.arrived == gate.wanted)
        pthread_cond_signal(&gate.all_here);
    while (!gate.is_open)
        pthread_cond_wait(&gate.open, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
    return 0;
}
TRINE_TASK(wait_in_thread, int);

static void open_gate(void) {
    pthread_mutex_lock(&gate.lock);
    gate.is_open = true;
    pthread_cond_broadcast(&gate.open);
    pthread_mutex_unlock(&gate.lock);
}

static int run_threads(struct run *r) {
    trine_executor *pool;
    unsigned n = (unsigned)r->n;
    double before = memory_now();
    int64_t start = trine_now();
    int error = trine_threads_open(&pool, TRINE_OPTS(trine_threads_opts, .workers = n, .queue = n));
    if (error < 0)
        return error;
    {
        TRINE_SCOPE(scope, .name = "tasks");
        gate.wanted = r->n;
        for (size_t i = 0; i < r->n && error == 0; i++)
            error = trine_submit(scope, pool, wait_in_thread, NULL);
        pthread_mutex_lock(&gate.lock);
        while (error == 0 && gate.arrived < gate.wanted)
            pthread_cond_wait(&gate.all_here, &gate.lock);
        pthread_mutex_unlock(&gate.lock);
        r->created = trine_now() - start;
        all_are_there(r, before);
        start = trine_now();
        open_gate();
        trine_join(scope);
    }
    trine_executor_close(&pool);
    r->ended = trine_now() - start;
    return error;
}

/* --- processes --- */

struct process_gate {
    trine_queue arrived, open;
};

static int wait_in_process(struct process_gate *g) {
    char none = 0;
    int error = trine_queue_put(&g->arrived, &none);
    if (error < 0)
        return error;
    return trine_queue_get(&g->open, &none) == -EPIPE ? 0 : -EPROTO;
}
TRINE_TASK(wait_in_process, struct process_gate);

static int run_gated(struct run *r, trine_executor *pool, struct process_gate *g, int64_t start,
                     double before) {
    enum { MOST = 1024 };
    static struct process_gate arguments[MOST];
    TRINE_SCOPE(scope, .name = "tasks", .policy = TRINE_COLLECT);
    for (size_t i = 0; i < r->n && i < MOST; i++) {
        arguments[i] = *g;
        trine_submit(scope, pool, wait_in_process, &arguments[i]);
    }
    int error = 0;
    char none;
    for (size_t i = 0; i < r->n && error == 0; i++)
        error = trine_queue_get(&g->arrived, &none);
    r->created = trine_now() - start;
    all_are_there(r, before);
    trine_queue_close(&g->open);
    int joined = trine_join(scope);
    return error ? error : joined;
}

static int run_processes(struct run *r) {
    struct process_gate g = {0};
    trine_executor *pool;
    int error = trine_queue_open(1, r->n, &g.arrived);
    if (error == 0)
        error = trine_queue_open(1, 1, &g.open);
    if (error < 0)
        return error;
    double before = memory_now();
    int64_t start = trine_now();
    error =
        trine_processes_open(&pool, TRINE_OPTS(trine_processes_opts, .workers = (unsigned)r->n));
    if (error < 0)
        return error;
    error = run_gated(r, pool, &g, start, before);
    start = trine_now();
    trine_executor_close(&pool);
    r->ended = trine_now() - start;
    trine_queue_free(&g.arrived);
    trine_queue_free(&g.open);
    return error;
}

int cell_tasks(const struct cell *c) {
    struct run r = {.n = (size_t)c->n};
    cell_begin();
    int error = strcmp(c->model, "loop") == 0      ? trine_run(run_loop, &r)
                : strcmp(c->model, "threads") == 0 ? run_threads(&r)
                                                   : run_processes(&r);
    if (error < 0)
        return cell_fail("waiting tasks", error);
    cell_print("create", cell_seconds(r.created + r.ended) / (double)r.n);
    cell_print("each", r.use.memory / (double)r.n);
    cell_print("processes", (double)r.use.processes);
    cell_print("threads", (double)r.use.threads);
    return 0;
}
