/* garble.c - see garble.h; empty in ordinary builds. */
#include "exec/garble.h"

#ifdef TRINE_FAULT_SITES

#include "exec/area.h"

#include <string.h>
#include <unistd.h>

/* So long it leaves a wrong place in the stream that it reads: its next read puts that right. */
enum { TAKEN_FOR_US = 1000 };

/* Bytes of which a reply has but one value that can be taken: not its type's lower byte, its area,
 * its body and its status, where a flip may give another valid reply; nor its sequence's lower
 * bytes, where it may name the next task. */
static size_t only_one_value_at(unsigned nth) {
    static const uint8_t ranges[][2] = {{0, 6},   {7, 8},   {9, 16},
                                        {20, 24}, {32, 64}, {68, WIRE_HEADER}};
    size_t all = 0, at = 0;
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
        all += (size_t)(ranges[i][1] - ranges[i][0]);
    at = nth % all;
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        size_t here = (size_t)(ranges[i][1] - ranges[i][0]);
        if (at < here)
            return ranges[i][0] + at;
        at -= here;
    }
    return 0;
}

static void false_reply(uint8_t header[WIRE_HEADER], enum garbage what, const struct frame *task,
                        uint32_t worker, unsigned nth) {
    struct frame f = {.type = FRAME_RESULT, .worker = worker, .sequence = task->sequence};
    if (what == GARBAGE_SEQUENCE)
        f.sequence ^= UINT64_C(1) << 63;
    else if (what == GARBAGE_WORKER)
        f.worker ^= UINT32_C(1) << 31;
    else if (what == GARBAGE_BODY)
        f.body = WIRE_BODY_MAX;
    else if (what == GARBAGE_OTHER_AREA)
        f = (struct frame){.type = FRAME_RESULT,
                           .worker = worker,
                           .sequence = task->sequence,
                           .body = 1,
                           .area = task->area % AREAS + 1};
    wire_encode(&f, header);
    if (what == GARBAGE_FLIPPED)
        header[only_one_value_at(nth)] ^= (uint8_t)(nth % 255 + 1);
    else if (what == GARBAGE_AREA)
        header[8] = (AREAS + 1) << 3;
}

static void ring(int bell) {
    ssize_t n = write(bell, &(uint64_t){1}, sizeof(uint64_t));
    (void)n;
}

/* Out of range on either side, wherever the other one is in the stream. */
static uint64_t impossible_place(const struct stream *s, unsigned nth) {
    uint64_t far = STREAM_BYTES + 1 + nth;
    return nth & 1 ? s->mine + far : s->mine - far;
}

void garble(struct flags *memory, int bell, const struct frame *task, uint32_t worker,
            unsigned nth) {
    enum garbage what = (enum garbage)(nth % GARBAGES);
    uint8_t bytes[WIRE_HEADER] = "these bytes are no part of any frame";
    nth /= GARBAGES;
    if (what == GARBAGE_TAKEN) {
        atomic_store(&memory->in.memory->taken, impossible_place(&memory->in, nth));
        ring(bell);
        usleep(TAKEN_FOR_US);
        return;
    }
    if (what == GARBAGE_PUT) {
        atomic_store(&memory->out.memory->put, impossible_place(&memory->out, nth));
        ring(bell);
        for (;;) /* its next write would put that right */
            pause();
    }
    size_t n = what == GARBAGE_BYTES ? 40 : sizeof(bytes);
    if (stream_room(&memory->out) < n)
        return;
    if (what != GARBAGE_BYTES)
        false_reply(bytes, what, task, worker, nth);
    stream_put(&memory->out, bytes, n);
    ring(bell);
}

#else
typedef int garbage_is_off; /* C wants a declaration in every file */
#endif
