/* wire_codec.c - the frames between the program and its workers: what is written reads back, what
 * is not canonical is refused, and whatever bytes come in, nothing but a valid frame comes out. */
#include "test.h"

#include "wire_frames.h"

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
    for (unsigned i = 0; i < SEEDS; i++)
        check_round_trip(seed_frame(i));
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

static void check_nothing_wrong(const char *broken) {
    if (broken)
        test_fail(__FILE__, __LINE__, "a frame that cannot be was taken: %s", broken);
}

static void mutate(uint8_t header[WIRE_HEADER], uint64_t *state) {
    for (uint64_t n = random_next(state) % 4; n > 0; n--) {
        uint64_t r = random_next(state);
        size_t at = (r >> 8) % WIRE_HEADER;
        if (r & 1)
            header[at] ^= (uint8_t)(1 << ((r >> 1) & 7));
        else
            header[at] = (uint8_t)(r >> 40);
    }
}

/* Of frames of all types and flags, by a few bits, bytes or whole fields. What is accepted must be
 * canonical, and within the bounds that the receiver relies on, also as a reply to each task. */
TEST(no_mutation_passes_unless_it_is_a_valid_frame) {
    uint64_t state = UINT64_C(0x9e3779b97f4a7c15);
    unsigned accepted[SEEDS] = {0}, refused[SEEDS] = {0}, replies = 0;
    for (int i = 0; i < 1000000; i++) {
        unsigned seed = (unsigned)(random_next(&state) % SEEDS);
        uint8_t header[WIRE_HEADER];
        struct frame f = seed_frame(seed);
        wire_encode(&f, header);
        mutate(header, &state);
        bool is_frame;
        check_nothing_wrong(check_any(header, &is_frame, &f));
        ++*(is_frame ? &accepted[seed] : &refused[seed]);
        for (unsigned t = 0; is_frame && t < SEED_TASKS; t++) {
            struct frame task = seed_frame(t);
            if (wire_check_reply(&f, &task))
                continue;
            replies++;
            check_nothing_wrong(broken_reply(&f, &task));
        }
    }
    for (unsigned i = 0; i < SEEDS; i++) {
        CHECK(accepted[i] > 1000);
        CHECK(refused[i] > 1000);
    }
    CHECK(replies > 100000);
}

/* Of each task some seed is a reply, so that the case above had some to look at. */
TEST(each_task_has_a_reply_among_the_seeds) {
    for (unsigned t = 0; t < SEED_TASKS; t++) {
        struct frame task = seed_frame(t);
        unsigned replies = 0;
        for (unsigned i = 0; i < SEEDS; i++) {
            struct frame f = seed_frame(i);
            replies += f.type == FRAME_RESULT && f.status >= 0 && !wire_check_reply(&f, &task);
        }
        CHECK(replies > 0);
    }
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
