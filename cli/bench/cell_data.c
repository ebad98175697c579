/* cell_data.c - a block of N bytes handed to a task, which looks at a byte of each page of it and
 * answers with their sum: by its address (loop, threads), copied there (processes), or in memory
 * that both processes map. The block changes each time, so that old bytes are noticed. */
#include "bench/cell.h"

#include <trine.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, TIMES_LEAST = 5, TIMES_MOST = 2000 };
#define MEASURE_FOR TRINE_MS(40)

struct block {
    const unsigned char *bytes; /* in this process */
    size_t len;
    int owner, fd; /* shared with others: how to find it */
    uint64_t sum;
};

struct run {
    trine_executor *on;
    int (*hand_over)(struct run *r);
    unsigned char *bytes;
    struct block block;
    int64_t taken;
    int times;
};

static uint64_t sum_of(const unsigned char *bytes, size_t len) {
    uint64_t sum = 0;
    for (size_t i = 0; i < len; i += PAGE)
        sum += bytes[i];
    return sum;
}

static int look(struct block *b) {
    b->sum = sum_of(b->bytes, b->len);
    return 0;
}
TRINE_TASK(look, struct block);

static int look_at_copy(trine_bytes in, trine_buf *out) {
    uint64_t sum = sum_of(in.ptr, in.len);
    return trine_buf_append(out, &sum, sizeof(sum));
}
TRINE_BYTES_TASK(look_at_copy);

/* In a worker, which keeps the mapping for the next time. */
static int look_at_mapping(struct block *b) {
    static unsigned char *mapped;
    if (!mapped) {
        char path[64];
        snprintf(path, sizeof(path), "/proc/%d/fd/%d", b->owner, b->fd);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return -errno;
        void *m = mmap(NULL, b->len, PROT_READ, MAP_SHARED, fd, 0);
        close(fd);
        if (m == MAP_FAILED)
            return -ENOMEM;
        mapped = m;
    }
    b->sum = sum_of(mapped, b->len);
    return 0;
}
TRINE_TASK_IO(look_at_mapping, struct block, sum);

static int by_address(struct run *r) {
    TRINE_SCOPE(scope, .name = "data");
    trine_submit(scope, r->on, look, &r->block);
    return trine_join(scope);
}

static int by_mapping(struct run *r) {
    TRINE_SCOPE(scope, .name = "data");
    trine_submit(scope, r->on, look_at_mapping, &r->block);
    return trine_join(scope);
}

static int by_copy(struct run *r) {
    trine_buf out = {0};
    TRINE_SCOPE(scope, .name = "data");
    trine_bytes in = {r->bytes, r->block.len};
    int status,
        error = trine_await(trine_start_bytes(scope, r->on, look_at_copy, in, &out), &status);
    error = error < 0 ? error : status;
    if (error >= 0 && out.len == sizeof(r->block.sum))
        memcpy(&r->block.sum, out.ptr, out.len);
    trine_buf_free(&out);
    return error < 0 ? error : 0;
}

static int measure(struct run *r) {
    for (size_t i = 0; i < r->block.len; i++)
        r->bytes[i] = (unsigned char)(i / PAGE * 7);
    uint64_t expected = sum_of(r->bytes, r->block.len) - r->bytes[0];
    for (int i = -2; i < TIMES_MOST && (i < TIMES_LEAST || r->taken < MEASURE_FOR); i++) {
        r->bytes[0] = (unsigned char)i;
        int64_t start = trine_now();
        int error = r->hand_over(r);
        if (i >= 0) { /* two to warm up */
            r->taken += trine_now() - start;
            r->times++;
        }
        if (error < 0 || r->block.sum != expected + (unsigned char)i)
            return error < 0 ? error : -EPROTO;
    }
    return 0;
}
TRINE_TASK(measure, struct run);

static int run_model(struct run *r, const char *model) {
    if (strcmp(model, "loop") == 0)
        return trine_run(measure, r);
    int error = strcmp(model, "threads") == 0
                    ? trine_threads_open(&r->on, TRINE_OPTS(trine_threads_opts, .workers = 1))
                    : trine_processes_open(&r->on, TRINE_OPTS(trine_processes_opts, .workers = 1));
    if (error < 0)
        return error;
    error = measure(r);
    trine_executor_close(&r->on);
    return error;
}

int cell_data(const struct cell *c) {
    struct run r = {.block = {.len = (size_t)c->n, .owner = getpid()}};
    bool processes = strcmp(c->model, "processes") == 0;
    r.hand_over = !processes ? by_address : strcmp(c->work, "copied") == 0 ? by_copy : by_mapping;
    r.block.fd = memfd_create("trine-bench", MFD_CLOEXEC);
    if (r.block.fd < 0 || ftruncate(r.block.fd, c->n) < 0)
        return cell_fail("memory to share", errno);
    r.bytes = mmap(NULL, r.block.len, PROT_READ | PROT_WRITE, MAP_SHARED, r.block.fd, 0);
    if (r.bytes == MAP_FAILED)
        return cell_fail("memory to share", errno);
    r.block.bytes = r.bytes;
    cell_begin();
    int error = run_model(&r, c->model);
    munmap(r.bytes, r.block.len);
    close(r.block.fd);
    if (error < 0)
        return cell_fail("handing data over", error);
    cell_print("each", cell_seconds(r.taken) / r.times);
    return 0;
}
