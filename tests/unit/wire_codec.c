/* wire_codec.c - the frames between the program and its workers: what is written reads back, what
 * is not canonical is refused, and whatever bytes come in, nothing but a valid frame comes out. */
#include "test.h"

#include "exec/area.h"
#include "exec/wire.h"

static struct frame task_frame(void) {
    struct frame f = {.type = FRAME_TASK,
                      .worker = 7,
                      .sequence = UINT64_C(0x1122334455667788),
                      .body = 64,
                      .offset = 0x4010,
                      .first_out = 16,
                      .module = {.len = 20}};
    for (int i = 0; i < 20; i++)
        f.module.bytes[i] = (uint8_t)(i + 1);
    return f;
}

static struct frame bytes_frame(void) {
    struct frame f = task_frame();
    f.bytes = true;
    f.first_out = 0;
    f.limit = 4096;
    return f;
}

static struct frame result_frame(void) {
    return (struct frame){.type = FRAME_RESULT,
                          .worker = 7,
                          .sequence = UINT64_C(0x1122334455667788),
                          .body = 48,
                          .status = 3};
}

static struct frame refused_frame(void) {
    return (struct frame){.type = FRAME_REFUSED,
                          .worker = 7,
                          .sequence = UINT64_C(0x1122334455667788),
                          .status = -EMSGSIZE,
                          .value = UINT64_MAX};
}

static struct frame hello_frame(void) {
    return (struct frame){.type = FRAME_HELLO, .worker = UINT32_MAX};
}

static struct frame followed_frame(void) {
    struct frame f = task_frame();
    f.progress = true;
    f.limit = 512;
    return f;
}

static struct frame piece_frame(void) {
    struct frame f = result_frame();
    f.type = FRAME_PROGRESS;
    f.status = 0;
    f.body = 512;
    return f;
}

static struct frame module_frame(void) {
    return (struct frame){.type = FRAME_MODULE, .worker = 3, .body = 20, .module = {1, {7}}};
}

static struct frame area_frame(void) {
    struct frame f = task_frame();
    f.area = AREAS;
    f.body = AREA_BYTES;
    return f;
}

static struct frame batch_frame(void) {
    struct frame f = area_frame();
    f.batch = true;
    f.area = 1;
    return f;
}

static bool same(const struct frame *a, const struct frame *b) {
    return a->type == b->type && a->bytes == b->bytes && a->batch == b->batch &&
           a->worker == b->worker && a->sequence == b->sequence && a->body == b->body &&
           a->area == b->area && a->offset == b->offset && a->first_out == b->first_out &&
           a->limit == b->limit && a->value == b->value && a->status == b->status &&
           memcmp(&a->module, &b->module, sizeof(a->module)) == 0;
}

static void check_round_trip(struct frame f) {
    uint8_t header[WIRE_HEADER];
    struct frame back;
    wire_encode(&f, header);
    const char *wrong = wire_decode(header, &back);
    if (wrong)
        test_fail(__FILE__, __LINE__, "frame of type %d: %s", (int)f.type, wrong);
    CHECK(same(&f, &back));
}

TEST(frames_read_back_as_written) {
    check_round_trip(task_frame());
    check_round_trip(bytes_frame());
    check_round_trip(result_frame());
    check_round_trip(refused_frame());
    check_round_trip(hello_frame());
    check_round_trip(followed_frame());
    check_round_trip(piece_frame());
    check_round_trip(module_frame());
    check_round_trip(area_frame());
    check_round_trip(batch_frame());
}

TEST(the_layout_is_fixed) {
    uint8_t header[WIRE_HEADER];
    struct frame f = task_frame();
    wire_encode(&f, header);
    const uint8_t start[] = {0x01, 0x54, 0x52, 0x4e, 3,    0,    FRAME_TASK, 0,
                             0,    0,    0,    0,    7,    0,    0,          0,
                             0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22,       0x11};
    CHECK(memcmp(header, start, sizeof(start)) == 0);
    CHECK_EQ(header[72], 1);
    CHECK_EQ(header[72 + 19], 20);
    CHECK_EQ(header[WIRE_HEADER - 1], 0);
}

/* Sets one byte of a valid frame; expects the given refusal. */
static void check_refused(struct frame f, size_t at, uint8_t value, const char *why) {
    uint8_t header[WIRE_HEADER];
    struct frame back = {.sequence = 99};
    wire_encode(&f, header);
    header[at] = value;
    CHECK_STR(wire_decode(header, &back), why);
    CHECK_EQ(back.sequence, 99);
}

TEST(what_is_wrong_is_named) {
    check_refused(task_frame(), 0, 2, "no frame");
    check_refused(task_frame(), 4, 1, "a frame of another version");
    check_refused(result_frame(), 6, 0, "a frame of unknown type");
    check_refused(result_frame(), 6, 7, "a frame of unknown type");
    check_refused(result_frame(), 7, 1, "a frame of unknown type");
    check_refused(task_frame(), 8, (AREAS + 1) << 3, "a frame with unknown flags");
    check_refused(hello_frame(), 8, 1 << 3, "a body in an area that it cannot be in");
    check_refused(piece_frame(), 8, 1 << 3, "a body in an area that it cannot be in");
    check_refused(area_frame(), 28, 1, "a body in an area that it cannot be in");
    check_refused(task_frame(), 8, 4, "a batch that is none");
    check_refused(batch_frame(), 8, 1 << 3 | 6, "a batch that is none");
    check_refused(result_frame(), 8, 4, "fields of a task in a frame that is none");
    check_refused(result_frame(), 8, 2, "fields of a task in a frame that is none");
    check_refused(piece_frame(), 56, 1, "progress with stray contents");
    check_refused(piece_frame(), 64, 1, "progress with stray contents");
    check_refused(module_frame(), 24, 0, "a module without a build id or a path");
    check_refused(module_frame(), 25, 0x11, "a module without a build id or a path");
    check_refused(module_frame(), 68, 0, "a malformed build id");
    check_refused(module_frame(), 16, 1, "a module with stray contents");
    check_refused(task_frame(), 31, 1, "a body that is too long");
    check_refused(result_frame(), 8, 1, "fields of a task in a frame that is none");
    check_refused(result_frame(), 32, 1, "fields of a task in a frame that is none");
    check_refused(result_frame(), 68, 1, "fields of a task in a frame that is none");
    check_refused(result_frame(), 72, 1, "a malformed build id");
    check_refused(result_frame(), 56, 1, "a result with stray contents");
    check_refused(result_frame(), 67, 0x80, "a result with stray contents");
    check_refused(refused_frame(), 67, 0, "a refusal without an error");
    check_refused(hello_frame(), 24, 1, "a greeting with contents");
    check_refused(task_frame(), 68, 33, "a frame with unknown flags");
    check_refused(task_frame(), 68, 19, "a malformed build id");
    check_refused(task_frame(), 40, 65, "a task with outputs outside of its argument");
    check_refused(task_frame(), 48, 1, "a task with outputs outside of its argument");
    check_refused(bytes_frame(), 40, 1, "a task with outputs outside of its argument");
    check_refused(task_frame(), 64, 1, "a task with a result");
}

TEST(a_reply_must_answer_its_task) {
    struct frame task = task_frame(), bytes = bytes_frame(), reply = result_frame();
    CHECK_EQ(wire_check_reply(&reply, &task), NULL);
    reply.body = 47;
    CHECK_STR(wire_check_reply(&reply, &task), "a result of the wrong size");
    reply.body = 49;
    CHECK_STR(wire_check_reply(&reply, &task), "a result of the wrong size");
    CHECK_EQ(wire_check_reply(&reply, &bytes), NULL);
    reply.body = 4096;
    CHECK_EQ(wire_check_reply(&reply, &bytes), NULL);
    reply.body = 4097;
    CHECK_STR(wire_check_reply(&reply, &bytes), "a result over the limit");
    reply = result_frame();
    reply.sequence++;
    CHECK_STR(wire_check_reply(&reply, &task), "a reply to another task");
    reply = result_frame();
    reply.worker++;
    CHECK_STR(wire_check_reply(&reply, &task), "a reply in the name of another worker");
    reply = hello_frame();
    CHECK_STR(wire_check_reply(&reply, &task), "a frame that is no reply");
    reply = refused_frame();
    CHECK_EQ(wire_check_reply(&reply, &task), NULL);
}

TEST(a_result_may_lie_in_its_tasks_area_alone) {
    struct frame task = area_frame(), reply = result_frame();
    reply.body = task.body - task.first_out;
    CHECK_EQ(wire_check_reply(&reply, &task), NULL);
    reply.area = task.area;
    CHECK_EQ(wire_check_reply(&reply, &task), NULL);
    reply.area--;
    CHECK_STR(wire_check_reply(&reply, &task), "a result in the area of another task");
    task.area = 0;
    CHECK_STR(wire_check_reply(&reply, &task), "a result in the area of another task");
}

TEST(a_batch_has_its_results_in_its_area) {
    struct frame task = batch_frame(), reply = result_frame();
    CHECK_STR(wire_check_reply(&reply, &task), "a result of a batch that lies elsewhere");
    reply.body = 0;
    CHECK_EQ(wire_check_reply(&reply, &task), NULL);
    reply.status = -EDOM;
    CHECK_EQ(wire_check_reply(&reply, &task), NULL);
}

TEST(progress_must_be_of_a_task_that_is_followed) {
    struct frame task = task_frame(), followed = followed_frame(), piece = piece_frame();
    CHECK_EQ(wire_check_reply(&piece, &followed), NULL);
    CHECK_STR(wire_check_reply(&piece, &task), "progress of a task that nobody follows");
    piece.body = 513;
    CHECK_STR(wire_check_reply(&piece, &followed), "progress over the limit");
    piece = piece_frame();
    piece.sequence--;
    CHECK_STR(wire_check_reply(&piece, &followed), "a reply to another task");
}

static uint64_t random_next(uint64_t *state) { /* xorshift64* */
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(0x2545f4914f6cdd1d);
}

/* Mutates valid frames by a few bits, bytes or whole fields. What is accepted must be canonical,
 * and within the bounds that the receiver relies on. */
TEST(no_mutation_passes_unless_it_is_a_valid_frame) {
    struct frame seeds[] = {task_frame(),    bytes_frame(), result_frame(),
                            refused_frame(), hello_frame(), batch_frame()};
    uint64_t state = UINT64_C(0x9e3779b97f4a7c15);
    unsigned accepted = 0, refused = 0;
    for (int i = 0; i < 1000000; i++) {
        uint8_t header[WIRE_HEADER], again[WIRE_HEADER];
        wire_encode(&seeds[random_next(&state) % 6], header);
        for (uint64_t n = random_next(&state) % 4; n > 0; n--) {
            uint64_t r = random_next(&state);
            size_t at = (r >> 8) % WIRE_HEADER;
            if (r & 1)
                header[at] ^= (uint8_t)(1 << ((r >> 1) & 7));
            else
                header[at] = (uint8_t)(r >> 40);
        }
        struct frame f;
        if (wire_decode(header, &f)) {
            refused++;
            continue;
        }
        accepted++;
        wire_encode(&f, again);
        CHECK(memcmp(header, again, WIRE_HEADER) == 0);
        CHECK(f.body <= WIRE_BODY_MAX);
        CHECK(f.module.len <= BUILD_ID_MAX);
        CHECK(f.type != FRAME_TASK || f.first_out <= f.body);
        struct frame flat = task_frame(), bytes = bytes_frame();
        if (!wire_check_reply(&f, &flat))
            CHECK(f.body == (f.status < 0 ? 0 : 48));
        if (!wire_check_reply(&f, &bytes))
            CHECK(f.body <= bytes.limit);
    }
    CHECK(accepted > 100000);
    CHECK(refused > 100000);
}

TEST(random_bytes_are_no_frame) {
    uint64_t state = 12345;
    for (int i = 0; i < 1000000; i++) {
        uint8_t header[WIRE_HEADER];
        for (size_t at = 0; at < sizeof(header); at += 8) {
            uint64_t r = random_next(&state);
            memcpy(header + at, &r, 8);
        }
        struct frame f;
        CHECK(wire_decode(header, &f) != NULL);
    }
}
