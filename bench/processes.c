/* processes [--json] [--runs N] [CASE...]: a pool of two worker processes.
 *   processes/noop     64-byte structs, one task each, from one map: k/s
 *   processes/noop_one the same by a pool of one worker
 *   processes/batched  the same by trine_map_all, which makes batches of them
 *   processes/await    one such task at a time, submitted and awaited: us
 *   processes/spin     the same in a loop that looks on for a while before it sleeps: us
 *   processes/await_by_hand  a bare futex to another CPU and an eventfd back: us
 *   processes/64k      64 KiB there and back, each byte rewritten by the worker: MB/s each way
 *   processes/1m       1 MiB, likewise
 *   processes/cold     from the call that opens a pool to the first result: ms
 *   processes/replaced from the death of the only worker to the first result of its successor: ms
 *   processes/speedup  CPU-bound work on one worker a CPU, against one after another: times
 *   processes/speedup_by_hand  the same on bare threads that draw tickets: what is possible */
#include "shuffled.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    TASKS = 200000,
    ROUNDS = 2000,
    SPIN_ROUNDS = 100000,
    SMALL = 64 << 10,
    LARGE = 1 << 20,
    VOLUME = 64 << 20
};

struct numbers {
    uint64_t in[4], out[4];
};

static int add_up(struct numbers *n) {
    for (int i = 0; i < 4; i++)
        n->out[i] = n->in[i] + 1;
    return 0;
}
TRINE_TASK_IO(add_up, struct numbers, out);

static int map_each(trine_executor *pool, struct numbers *args) {
    TRINE_SCOPE(s);
    int r = trine_map(s, pool, add_up, args, TASKS);
    return r < 0 ? r : trine_join(s);
}

static int map_all(trine_executor *pool, struct numbers *args) {
    return trine_map_all(pool, add_up, args, TASKS);
}

static double maps_by(int (*map)(trine_executor *, struct numbers *), trine_executor *pool) {
    static struct numbers args[TASKS];
    for (unsigned i = 0; i < TASKS; i++)
        args[i] = (struct numbers){.in = {i, i, i, i}};
    double start = bench_ns();
    int r = map(pool, args);
    double seconds = (bench_ns() - start) / 1e9;
    for (unsigned i = 0; i < TASKS; i++)
        if (r < 0 || args[i].out[3] != i + 1)
            bench_fail("a task failed", r);
    return TASKS / seconds / 1e3;
}

static double maps(void *pool) {
    return maps_by(map_each, (trine_executor *)pool);
}

static double maps_in_batches(void *pool) {
    return maps_by(map_all, (trine_executor *)pool);
}

static double awaits_of(trine_executor *pool, int rounds) {
    struct numbers arg = {.in = {1, 2, 3, 4}};
    TRINE_SCOPE(s);
    double start = bench_ns();
    for (int i = 0; i < rounds; i++) {
        trine_future *f = trine_start(s, pool, add_up, &arg);
        int status = -1;
        if (trine_await(f, &status) < 0 || status < 0)
            bench_fail("a task failed", status);
        trine_future_drop(f);
    }
    return (bench_ns() - start) / rounds / 1e3;
}

static double awaits(void *pool) {
    return awaits_of((trine_executor *)pool, ROUNDS);
}

struct spin {
    trine_executor *pool;
    double value;
};

static int await_in_loop(struct spin *s) {
    s->value = awaits_of(s->pool, SPIN_ROUNDS);
    return 0;
}
TRINE_TASK(await_in_loop, struct spin);

static double spins(void *pool) {
    struct spin s = {.pool = pool};
    const trine_run_opts opts = {.size = sizeof(opts), .spin = TRINE_US(100)};
    int r = trine_run_task(&await_in_loop_task, &s, &opts);
    if (r < 0)
        bench_fail("trine_run", r);
    return s.value;
}

/* --- the least that a round can be made of --- */

struct by_hand {
    _Atomic uint32_t word; /* of the round that is asked for */
    uint64_t in[4], out[4];
};

_Noreturn static void answer_by_hand(struct by_hand *h, int bell) {
    for (uint32_t seen = 0;; seen++) {
        while (atomic_load(&h->word) == seen)
            syscall(SYS_futex, &h->word, FUTEX_WAIT, seen, NULL, NULL, 0);
        for (int i = 0; i < 4; i++)
            h->out[i] = h->in[i] + 1;
        if (write(bell, &(uint64_t){1}, sizeof(uint64_t)) < 0)
            _exit(1);
    }
}

/* The two ends on two CPUs, if there are so many; where the kernel leaves them on one it is no
 * wake-up of another. -1: on any. */
static void stay_on(int cpu) {
    static cpu_set_t all;
    cpu_set_t one;
    if (!CPU_COUNT(&all))
        sched_getaffinity(0, sizeof(all), &all);
    CPU_ZERO(&one);
    for (int i = 0, nth = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &all) && nth++ == cpu)
            CPU_SET(i, &one);
    const cpu_set_t *set = CPU_COUNT(&one) ? &one : &all;
    sched_setaffinity(0, sizeof(*set), set);
}

static double awaits_by_hand(void *unused) {
    (void)unused;
    struct by_hand *h =
        mmap(NULL, sizeof(*h), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int bell = eventfd(0, 0), set = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN};
    if (h == MAP_FAILED || bell < 0 || epoll_ctl(set, EPOLL_CTL_ADD, bell, &event) < 0)
        bench_fail("a futex and an eventfd", errno);
    stay_on(0);
    pid_t child = fork();
    if (child == 0) {
        stay_on(1);
        answer_by_hand(h, bell);
    }
    double start = bench_ns();
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t times;
        h->in[3] = (uint64_t)i;
        atomic_fetch_add(&h->word, 1);
        syscall(SYS_futex, &h->word, FUTEX_WAKE, 1, NULL, NULL, 0);
        if (epoll_wait(set, &event, 1, -1) != 1 || read(bell, &times, sizeof(times)) < 0 ||
            h->out[3] != (uint64_t)i + 1)
            bench_fail("a round by hand", i);
    }
    double us = (bench_ns() - start) / ROUNDS / 1e3;
    stay_on(-1);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    munmap(h, sizeof(*h));
    close(set);
    close(bell);
    return us;
}

struct small {
    uint8_t bytes[SMALL];
};

struct large {
    uint8_t bytes[LARGE];
};

static void rewrite(uint8_t *bytes, size_t n) {
    for (size_t i = 0; i < n; i++)
        bytes[i] ^= 0x5a;
}

static int rewrite_small(struct small *s) {
    rewrite(s->bytes, sizeof(s->bytes));
    return 0;
}
TRINE_TASK(rewrite_small, struct small);

static int rewrite_large(struct large *l) {
    rewrite(l->bytes, sizeof(l->bytes));
    return 0;
}
TRINE_TASK(rewrite_large, struct large);

static uint8_t volume[VOLUME];

/* `t` has the size of one piece. */
static double transfer(trine_executor *pool, const trine_task *t) {
    memset(volume, 1, sizeof(volume));
    double start = bench_ns();
    int r = trine_map_all_task(pool, t, volume, VOLUME / t->size, TRINE_HERE_);
    double seconds = (bench_ns() - start) / 1e9;
    for (size_t i = 0; i < VOLUME; i++)
        if (r < 0 || volume[i] != (1 ^ 0x5a))
            bench_fail("a task failed", r);
    return VOLUME / seconds / 1e6;
}

static double transfer_small(void *pool) {
    return transfer(pool, &rewrite_small_task);
}

static double transfer_large(void *pool) {
    return transfer(pool, &rewrite_large_task);
}

static trine_executor *open_pool(unsigned workers) {
    trine_executor *pool;
    int r = trine_processes_open(&pool, TRINE_OPTS(trine_processes_opts, .workers = workers));
    if (r < 0)
        bench_fail("trine_processes_open", r);
    return pool;
}

static double cold(void *unused) {
    struct numbers arg = {.in = {1, 2, 3, 4}};
    (void)unused;
    double start = bench_ns();
    trine_executor *pool = open_pool(2);
    int r = trine_map_all(pool, add_up, &arg, 1);
    double ms = (bench_ns() - start) / 1e6;
    if (r < 0 || arg.out[3] != 5)
        bench_fail("the first task failed", r);
    trine_executor_close(&pool);
    return ms;
}

static int die(struct numbers *n) {
    (void)n;
    raise(SIGKILL);
    return 0;
}
TRINE_TASK(die, struct numbers);

static double replaced(void *pool) {
    struct numbers arg = {.in = {1, 2, 3, 4}};
    if (trine_map_all((trine_executor *)pool, die, &arg, 1) != -EOWNERDEAD)
        bench_fail("a worker that killed itself", 0);
    double start = bench_ns();
    int r = trine_map_all((trine_executor *)pool, add_up, &arg, 1);
    double ms = (bench_ns() - start) / 1e6;
    if (r < 0 || arg.out[3] != 5)
        bench_fail("the task after it failed", r);
    return ms;
}

/* Workers and the caller look on before they sleep. */
static void with_spin(struct bench *b) {
    trine_executor *pool;
    int r = trine_processes_open(&pool, TRINE_OPTS(trine_processes_opts, .workers = 2,
                                                   .spin = TRINE_US(100)));
    if (r < 0)
        bench_fail("trine_processes_open", r);
    bench_case(b, "processes/spin", "us", spins, pool);
    trine_executor_close(&pool);
}

int main(int argc, char **argv) {
    trine_init(argc, argv);
    struct bench b = bench_begin("processes", argc, argv);
    bench_case(&b, "processes/cold", "ms", cold, NULL);
    trine_executor *pool = open_pool(2), *one = open_pool(1),
                   *cpus = open_pool(trine_usable_cpus());
    bench_case(&b, "processes/replaced", "ms", replaced, one);
    bench_case(&b, "processes/noop", "k/s", maps, pool);
    bench_case(&b, "processes/noop_one", "k/s", maps, one);
    bench_case(&b, "processes/batched", "k/s", maps_in_batches, pool);
    bench_case(&b, "processes/await", "us", awaits, pool);
    with_spin(&b);
    bench_case(&b, "processes/await_by_hand", "us", awaits_by_hand, NULL);
    bench_case(&b, "processes/64k", "MB/s", transfer_small, pool);
    bench_case(&b, "processes/1m", "MB/s", transfer_large, pool);
    shuffled_case(&b, "processes/speedup", "processes/speedup_by_hand", cpus);
    trine_executor_close(&pool);
    trine_executor_close(&one);
    trine_executor_close(&cpus);
    return bench_end(&b);
}
