/* storm_jobs.h - what threads submit to a process pool while its workers die: batches of tasks of
 * all sizes, each of which must come back exactly once, right or with an error that is true. */
#ifndef TESTS_STORM_JOBS_H
#define TESTS_STORM_JOBS_H

#include "processes_help.h"
#include "worker_says.h"

#include "exec/area.h"

#include <trine/task.h>

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>

enum { BATCH = 24 };

enum { LARGE = 20 << 20, LARGE_EVERY = 50 };
static_assert((int)LARGE > (int)AREA_BYTES, "it is to go through the stream, in parts");

/* What is done to the workers, and so what may become of their tasks. */
enum storm {
    STORM_OF_KILLS,
    STORM_OF_STOPS,   /* tasks run over their time */
    STORM_OF_GARBAGE, /* workers write what is no frame of theirs */
    STORM_OF_FAILED_FORKS
};

static _Atomic(enum storm) storm_kind;
static atomic_bool over;

struct job {
    uint64_t seed;
    unsigned kind;
    uint64_t out[9];
};

static uint64_t mix(uint64_t x) { /* splitmix64 */
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static int run_job(struct job *a) {
    if (a->kind == 1)
        say("garbage garbage garbage garbage garbage garbage garbage "
            "garbage garbage garbage garbage garbage garbage garbage ",
            112);
    if (trine_progress(&a->seed, sizeof(a->seed)) < 0)
        return -EPROTO;
    uint64_t x = a->seed;
    for (unsigned i = 0; i < a->seed % 20000; i++)
        x = mix(x);
    for (int i = 0; i < 9; i++)
        a->out[i] = mix(a->seed + (uint64_t)i) ^ (x & 0);
    return 0;
}
TRINE_TASK(run_job, struct job);

static int echo(trine_bytes in, trine_buf *out) {
    return trine_buf_append(out, in.ptr, in.len);
}
TRINE_BYTES_TASK(echo);

struct wish {
    size_t len;
    int byte;
};

/* A large result of a small argument, for which its worker has to wait until there is room. */
static int grant(trine_bytes in, trine_buf *out) {
    struct wish w;
    memcpy(&w, in.ptr, sizeof(w));
    int r = trine_buf_reserve(out, w.len);
    if (r < 0)
        return r;
    memset(out->ptr, w.byte, w.len);
    out->len = w.len;
    return 0;
}
TRINE_BYTES_TASK(grant);

/* Whether this is a true error of this storm; a killed worker's is looked at in more detail. */
static bool may_end_with(int code) {
    switch (atomic_load(&storm_kind)) {
    case STORM_OF_KILLS:
        return code == -EOWNERDEAD ||
               code == -EAGAIN; /* five in a row were killed at their start */
    case STORM_OF_STOPS:
        return code == -ETIME;
    case STORM_OF_GARBAGE:
        return code == -EPROTO;
    default:
        return code == -EAGAIN;
    }
}

/* For who wants to know what they were killed for. */
static void (*note_violation)(const char *detail);

static void check_failure(const trine_future *f, unsigned kind) {
    const trine_error *e = trine_error_of(f);
    bool true_one = may_end_with(e->code) || (kind == 1 && e->code == -EPROTO);
    if (e->code == -EOWNERDEAD && strstr(e->detail, "for a task that it had run before this"))
        true_one = true; /* there is always one that sends garbage, and others behind it */
    else if (e->code == -EOWNERDEAD)
        true_one &= e->signal == SIGKILL || strstr(e->detail, "zygote");
    if (e->code == -EAGAIN)
        true_one &= strstr(e->detail, "no worker process could be started") != NULL;
    if (e->code == -EPROTO)
        true_one &= e->signal == SIGKILL && strstr(e->detail, "was killed because it sent ");
    if (!true_one)
        test_fail(__FILE__, __LINE__, "%d signal %d: %s", e->code, e->signal, e->detail);
    if (e->code == -EPROTO && kind != 1 && note_violation)
        note_violation(e->detail);
}

static void check_job(const struct job *a, const trine_future *f) {
    int status = trine_status(f);
    if (status < 0) {
        check_failure(f, a->kind);
        for (int i = 0; i < 9; i++)
            CHECK(a->out[i] == 0);
        return;
    }
    CHECK_EQ(status, 0);
    for (int i = 0; i < 9; i++)
        CHECK(a->out[i] == mix(a->seed + (uint64_t)i));
}

/* It has reported its seed before its result, if it got as far. */
static void check_progress(trine_channel *c, const struct job *a, const trine_future *f) {
    trine_buf piece;
    size_t n = trine_channel_count(c);
    CHECK(trine_status(f) < 0 ? n <= 1 : n == 1);
    if (trine_channel_try_recv(c, &piece) == 0) {
        CHECK(piece.len == sizeof(a->seed) && memcmp(piece.ptr, &a->seed, piece.len) == 0);
        trine_buf_free(&piece);
    }
    trine_channel_free(&c);
}

/* No two parts of it are the same. */
static void fill(unsigned char *bytes, size_t n, uint64_t seed) {
    for (size_t at = 0; at + sizeof(seed) <= n; at += sizeof(seed), seed++)
        memcpy(bytes + at, &seed, sizeof(seed));
}

static atomic_uint batches_begun, large_done, large_failed;

/* One batch in so many has a large argument, and gets it back. */
static void run_batch(trine_executor *pool, uint64_t *seed, unsigned char *bytes, trine_buf *out) {
    struct job jobs[BATCH];
    trine_future *f[BATCH], *large;
    trine_channel *c = trine_channel_new(sizeof(trine_buf), 1);
    CHECK(c);
    memset(jobs, 0, sizeof(jobs));
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    for (int i = 0; i < BATCH; i++) {
        *seed = mix(*seed);
        jobs[i].seed = *seed;
        jobs[i].kind = *seed % 97 == 0;
        f[i] = trine_start_opts(s, pool, run_job, &jobs[i], .progress = i == 0 ? c : NULL);
    }
    bool is_large = atomic_fetch_add(&batches_begun, 1) % LARGE_EVERY == 0;
    size_t n = is_large ? LARGE : (*seed >> 7) % ((1 << 20) + 1);
    struct wish wish = {n, (int)*seed};
    if (is_large)
        fill(bytes, n, *seed);
    else
        memset(bytes, (int)*seed, n);
    large = is_large || *seed & 1
                ? trine_start_bytes(s, pool, echo, ((trine_bytes){bytes, n}), out)
                : trine_start_bytes(s, pool, grant, ((trine_bytes){&wish, sizeof(wish)}), out);
    trine_join(s);
    for (int i = 0; i < BATCH; i++)
        check_job(&jobs[i], f[i]);
    check_progress(c, &jobs[0], f[0]);
    if (trine_status(large) < 0)
        check_failure(large, 0);
    else
        CHECK(out->len == n && (n == 0 || memcmp(out->ptr, bytes, n) == 0));
    if (is_large)
        atomic_fetch_add(trine_status(large) < 0 ? &large_failed : &large_done, 1);
}

/* Of a map that has failed each item is right or untouched; only its code is had. */
static void run_map(trine_executor *pool, uint64_t *seed) {
    enum { ITEMS = 1200 };
    struct job *jobs = calloc(ITEMS, sizeof(*jobs));
    CHECK(jobs);
    for (int i = 0; i < ITEMS; i++)
        jobs[i].seed = *seed = mix(*seed);
    int r = trine_map_all(pool, run_job, jobs, ITEMS);
    if (r != 0 && r != -EOWNERDEAD &&
        !may_end_with(r)) /* behind one that sends garbage, as above */
        test_fail(__FILE__, __LINE__, "a map ended with %d", r);
    for (int i = 0; i < ITEMS; i++) {
        bool done = jobs[i].out[0] == mix(jobs[i].seed);
        CHECK(done || r < 0);
        for (int k = 0; k < 9; k++)
            CHECK(jobs[i].out[k] == (done ? mix(jobs[i].seed + (uint64_t)k) : 0));
    }
    free(jobs);
}

static atomic_uint batches;

static void *submit(void *arg) {
    trine_executor *pool = arg;
    uint64_t seed = mix((uint64_t)(uintptr_t)pthread_self());
    unsigned char *bytes = malloc(LARGE);
    CHECK(bytes);
    trine_buf out = {0};
    while (!atomic_load(&over)) {
        run_batch(pool, &seed, bytes, &out);
        run_map(pool, &seed);
        atomic_fetch_add(&batches, 1);
    }
    trine_buf_free(&out);
    free(bytes);
    return NULL;
}

#endif
