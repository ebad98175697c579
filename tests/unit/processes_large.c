/* processes_large.c - arguments and results of processes that are large: they lie in memory that
 * both map, and are as whole, as bounded and as gone as small ones. */
#include "processes_help.h"
#include "worker_says.h"

#include <trine/task.h>

#include <signal.h>

enum { MIB = 1 << 20 };

static uint8_t pattern(size_t i, unsigned seed) {
    return (uint8_t)(i * 31 + seed);
}

/* --- flat structs --- */

struct image {
    unsigned seed;
    int deadly;
    uint8_t in[MIB], out[MIB];
};

static int invert(struct image *m) {
    for (size_t i = 0; i < MIB; i++)
        m->out[i] = (uint8_t)~m->in[i];
    memset(m->in, 0, MIB); /* only what comes back is seen */
    if (m->deadly)
        raise(SIGKILL);
    return (int)m->seed;
}
TRINE_TASK_IO(invert, struct image, out);

static struct image *image_new(unsigned seed) {
    struct image *m = calloc(1, sizeof(*m));
    CHECK(m);
    m->seed = seed;
    for (size_t i = 0; i < MIB; i++)
        m->in[i] = pattern(i, seed);
    return m;
}

static void check_inverted(const struct image *m, bool done) {
    for (size_t i = 0; i < MIB; i++) {
        CHECK_EQ(m->in[i], pattern(i, m->seed));
        CHECK_EQ(m->out[i], done ? (uint8_t)~m->in[i] : 0);
    }
}

enum { IMAGES = 24 };

TEST(flat_structs_come_back_whole) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 2});
    struct image *images[IMAGES];
    trine_future *f[IMAGES];
    TRINE_SCOPE(s);
    for (unsigned i = 0; i < IMAGES; i++) {
        images[i] = image_new(i);
        f[i] = trine_start(s, pool, invert, images[i]);
    }
    CHECK_OK(trine_join(s));
    for (unsigned i = 0; i < IMAGES; i++) {
        CHECK_EQ(trine_status(f[i]), (int)i);
        check_inverted(images[i], true);
        free(images[i]);
    }
    trine_scope_close(&s);
    trine_executor_close(&pool);
}

TEST(one_that_dies_leaves_its_argument_and_the_others_alone) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    struct image *images[IMAGES];
    trine_future *f[IMAGES];
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    for (unsigned i = 0; i < IMAGES; i++) {
        images[i] = image_new(i);
        images[i]->deadly = i % 5 == 3;
        f[i] = trine_start(s, pool, invert, images[i]);
    }
    CHECK_EQ(trine_join(s), -EOWNERDEAD);
    for (unsigned i = 0; i < IMAGES; i++) {
        CHECK_EQ(trine_status(f[i]), images[i]->deadly ? -EOWNERDEAD : (int)i);
        check_inverted(images[i], !images[i]->deadly);
        free(images[i]);
    }
    trine_scope_close(&s);
    trine_executor_close(&pool);
}

/* Each is begun or taken back; either way its area is free for the next ones. */
TEST(those_that_are_cancelled_leave_room) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    struct image *images[IMAGES];
    for (unsigned i = 0; i < IMAGES; i++)
        images[i] = image_new(i);
    for (int round = 0; round < 20; round++) {
        TRINE_SCOPE(s);
        for (unsigned i = 0; i < IMAGES; i++)
            CHECK_OK(trine_submit(s, pool, invert, images[i]));
        trine_scope_cancel(s, -ECANCELED);
        CHECK_EQ(trine_join(s), -ECANCELED);
        trine_scope_close(&s);
    }
    TRINE_SCOPE(s);
    for (unsigned i = 0; i < IMAGES; i++)
        CHECK_OK(trine_submit(s, pool, invert, images[i]));
    CHECK_OK(trine_join(s));
    for (unsigned i = 0; i < IMAGES; i++) {
        check_inverted(images[i], true);
        free(images[i]);
    }
    trine_scope_close(&s);
    trine_executor_close(&pool);
}

/* --- bytes --- */

struct wish {
    size_t len; /* of the result */
};

/* Gives the wished number of bytes, made of what it was given. */
static int give(trine_bytes in, trine_buf *out) {
    struct wish wish;
    memcpy(&wish, in.ptr, sizeof(wish));
    int r = trine_buf_reserve(out, wish.len);
    if (r < 0)
        return r;
    const uint8_t *from = in.ptr;
    for (size_t i = 0; i < wish.len; i++)
        ((uint8_t *)out->ptr)[i] = (uint8_t)(from[sizeof(wish) + i % (in.len - sizeof(wish))] + 1);
    out->len = wish.len;
    return 0;
}
TRINE_BYTES_TASK(give);

static void check_bytes(trine_executor *pool, size_t in, size_t out) {
    uint8_t *from = malloc(in);
    CHECK(from);
    memcpy(from, &(struct wish){out}, sizeof(struct wish));
    for (size_t i = sizeof(struct wish); i < in; i++)
        from[i] = pattern(i, 7);
    trine_buf to = {0};
    TRINE_SCOPE(s);
    trine_start_bytes(s, pool, give, ((trine_bytes){from, in}), &to);
    CHECK_OK(trine_join(s));
    CHECK_EQ(to.len, out);
    for (size_t i = 0; i < out; i++)
        CHECK_EQ(((uint8_t *)to.ptr)[i],
                 (uint8_t)(from[sizeof(struct wish) + i % (in - sizeof(struct wish))] + 1));
    trine_buf_free(&to);
    free(from);
}

TEST(bytes_of_any_size_go_there_and_back) {
    static const size_t sizes[] = {100,         AREA_LEAST - 1, AREA_LEAST,    AREA_LEAST + 1,
                                   3 * MIB + 5, AREA_BYTES,     AREA_BYTES + 1};
    enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    for (int i = 0; i < SIZES; i++)
        for (int k = 0; k < SIZES; k++)
            check_bytes(pool, sizes[i], sizes[k]);
    check_bytes(pool, AREA_BYTES, 0);
    trine_executor_close(&pool);
}

/* Counts the bytes of its argument that are wrong, and gives as many as were wished. */
static int inspect(trine_bytes in, trine_buf *out) {
    struct wish wish;
    memcpy(&wish, in.ptr, sizeof(wish));
    const uint8_t *from = in.ptr;
    size_t wrong = 0;
    for (size_t i = sizeof(wish); i < in.len; i++)
        wrong += from[i] != pattern(i, 7);
    int r = trine_buf_reserve(out, wish.len);
    memcpy(out->ptr, &wrong, sizeof(wrong));
    out->len = wish.len;
    return r;
}
TRINE_BYTES_TASK(inspect);

enum { NEIGHBOURS = 8, NEIGHBOUR = 2 * AREA_LEAST };

/* A result that is too large for an area is nothing to those that are ahead of it there. */
TEST(a_very_large_result_leaves_other_arguments_alone) {
    static uint8_t in[NEIGHBOURS][NEIGHBOUR];
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 2});
    trine_buf out[NEIGHBOURS] = {{0}};
    TRINE_SCOPE(s);
    for (int k = 0; k < NEIGHBOURS; k++) {
        for (size_t i = 0; i < NEIGHBOUR; i++)
            in[k][i] = pattern(i, 7);
        struct wish wish = {k % 4 == 3 ? sizeof(size_t) : (size_t)40 * MIB};
        memcpy(in[k], &wish, sizeof(wish));
        trine_start_bytes(s, pool, inspect, ((trine_bytes){in[k], NEIGHBOUR}), &out[k]);
    }
    CHECK_OK(trine_join(s));
    for (int k = 0; k < NEIGHBOURS; k++) {
        size_t wrong;
        memcpy(&wrong, out[k].ptr, sizeof(wrong));
        CHECK_EQ(wrong, 0);
        trine_buf_free(&out[k]);
    }
    trine_scope_close(&s);
    trine_executor_close(&pool);
}

/* --- what is left --- */

static size_t shared_memory_of(const char *process) {
    char path[64], line[256];
    snprintf(path, sizeof(path), "/proc/%s/status", process);
    FILE *file = fopen(path, "re");
    CHECK(file);
    size_t kib = SIZE_MAX;
    while (fgets(line, sizeof(line), file))
        sscanf(line, "RssShmem: %zu", &kib);
    fclose(file);
    CHECK(kib != SIZE_MAX);
    return kib << 10;
}

TEST(memory_of_very_large_ones_is_given_back) {
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    size_t before = shared_memory_of("self");
    for (int i = 0; i < 3; i++)
        check_bytes(pool, AREA_BYTES, AREA_BYTES);
    CHECK(shared_memory_of("self") < before + 4 * MIB);
    trine_executor_close(&pool);
}

/* --- a hostile worker --- */

struct lie {
    uint32_t worker;
    uint64_t sequence;
    uint8_t flags;
    uint8_t rest[2 * AREA_LEAST];
};

/* Says that its result lies in an area that is not its own. */
static int lie(struct lie *l) {
    struct frame frame = {.type = FRAME_RESULT,
                          .worker = l->worker,
                          .sequence = l->sequence,
                          .body = sizeof(*l),
                          .area = 2};
    uint8_t header[WIRE_HEADER];
    wire_encode(&frame, header);
    say(header, sizeof(header));
    raise(SIGSTOP);
    return 0;
}
TRINE_TASK(lie, struct lie);

TEST(a_result_in_another_area_fails_its_task) {
    static struct lie l = {.worker = 1, .sequence = 1};
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    trine_future *f = trine_start(s, pool, lie, &l);
    CHECK_EQ(trine_join(s), -EPROTO);
    CHECK(strstr(trine_error_of(f)->detail, "a result in the area of another task"));
    trine_scope_close(&s);
    trine_executor_close(&pool);
}

/* Says that its result, of no bytes, lies in its area: after one that came by the stream. */
static int lie_about_nothing(trine_bytes in, trine_buf *out) {
    (void)in, (void)out;
    struct frame frame = {.type = FRAME_RESULT, .worker = 1, .sequence = 2, .body = 1, .area = 1};
    uint8_t header[WIRE_HEADER];
    wire_encode(&frame, header);
    header[24] = 0; /* the body's length */
    say(header, sizeof(header));
    raise(SIGSTOP);
    return 0;
}
TRINE_BYTES_TASK(lie_about_nothing);

struct small {
    int value;
};

static int raise_it(struct small *s) {
    s->value++;
    return 0;
}
TRINE_TASK(raise_it, struct small);

TEST(a_result_of_nothing_in_an_area_fails_its_task) {
    static uint8_t in[NEIGHBOUR];
    trine_buf out = {0};
    struct small one = {1};
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    CHECK_OK(trine_map_all(pool, raise_it, &one, 1));
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    trine_start_bytes(s, pool, lie_about_nothing, ((trine_bytes){in, sizeof(in)}), &out);
    CHECK_EQ(trine_join(s), -EPROTO);
    trine_scope_close(&s);
    trine_executor_close(&pool);
}

static int take_it(trine_bytes in, trine_buf *out) {
    return trine_buf_append(out, in.ptr, in.len ? 1 : 0);
}
TRINE_BYTES_TASK(take_it);

/* What its worker has not begun is killed with it, which says nothing against the start of a
 * worker: the pool goes on. */
TEST(tasks_that_are_over_their_time_before_they_begin_fail_no_others) {
    enum { LATE = 7, SIZE = 48 << 20 };
    trine_executor *pool = pool_open((trine_processes_opts){.workers = 1});
    unsigned char *bytes = calloc(1, SIZE);
    CHECK(bytes);
    trine_buf out[LATE + 1] = {{0}};
    trine_future *f[LATE + 1];
    TRINE_SCOPE(s, .policy = TRINE_COLLECT);
    for (int i = 0; i <= LATE; i++)
        f[i] = trine_start_bytes_opts(s, pool, take_it, ((trine_bytes){bytes, i < LATE ? SIZE : 1}),
                                      &out[i], .timeout = i < LATE ? 1 : 0);
    CHECK_EQ(trine_join(s), -ETIME);
    for (int i = 0; i < LATE; i++)
        CHECK_EQ(trine_status(f[i]), -ETIME);
    CHECK_EQ(trine_status(f[LATE]), 0);
    for (int i = 0; i <= LATE; i++)
        trine_buf_free(&out[i]);
    trine_scope_close(&s);
    free(bytes);
    trine_executor_close(&pool);
}
