/* wire_frames.h - frames of all types and flags, and what must be true of whatever bytes come in:
 * for the codec's test, and for the fuzzer's target. */
#ifndef TESTS_WIRE_FRAMES_H
#define TESTS_WIRE_FRAMES_H

#include "exec/area.h"
#include "exec/wire.h"

#include <errno.h>
#include <string.h>

static inline struct frame task_frame(void) {
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

static inline struct frame bytes_frame(void) {
    struct frame f = task_frame();
    f.bytes = true;
    f.first_out = 0;
    f.limit = 4096;
    return f;
}

static inline struct frame result_frame(void) {
    return (struct frame){.type = FRAME_RESULT,
                          .worker = 7,
                          .sequence = UINT64_C(0x1122334455667788),
                          .body = 48,
                          .status = 3};
}

static inline struct frame refused_frame(void) {
    return (struct frame){.type = FRAME_REFUSED,
                          .worker = 7,
                          .sequence = UINT64_C(0x1122334455667788),
                          .status = -EMSGSIZE,
                          .value = UINT64_MAX};
}

static inline struct frame hello_frame(void) {
    return (struct frame){.type = FRAME_HELLO, .worker = UINT32_MAX};
}

static inline struct frame followed_frame(void) {
    struct frame f = task_frame();
    f.progress = true;
    f.limit = 512;
    return f;
}

static inline struct frame piece_frame(void) {
    struct frame f = result_frame();
    f.type = FRAME_PROGRESS;
    f.status = 0;
    f.body = 512;
    return f;
}

static inline struct frame module_frame(void) {
    return (struct frame){.type = FRAME_MODULE, .worker = 3, .body = 20, .module = {1, {7}}};
}

static inline struct frame area_frame(void) {
    struct frame f = task_frame();
    f.area = AREAS;
    f.body = AREA_BYTES;
    return f;
}

static inline struct frame batch_frame(void) {
    struct frame f = area_frame();
    f.batch = true;
    f.area = 1;
    return f;
}

static inline struct frame area_bytes_frame(void) {
    struct frame f = bytes_frame();
    f.area = 2;
    f.body = AREA_BYTES;
    f.limit = AREA_BYTES;
    return f;
}

static inline struct frame followed_bytes_frame(void) {
    struct frame f = bytes_frame();
    f.progress = true;
    return f;
}

static inline struct frame area_result_frame(void) {
    struct frame f = result_frame();
    f.area = AREAS;
    f.body = AREA_BYTES - 16;
    return f;
}

static inline struct frame bytes_result_frame(void) {
    struct frame f = result_frame();
    f.area = 2;
    f.body = 4096;
    return f;
}

static inline struct frame failed_frame(void) {
    struct frame f = result_frame();
    f.body = 0;
    f.status = -EDOM;
    return f;
}

static inline struct frame batch_result_frame(void) {
    struct frame f = result_frame();
    f.body = 0;
    return f;
}

static inline struct frame not_ready_frame(void) {
    return (struct frame){.type = FRAME_HELLO, .worker = 7, .status = -EPERM};
}

/* The first are tasks. */
enum { SEED_TASKS = 7, SEEDS = 17 };

static inline struct frame seed_frame(unsigned i) {
    static struct frame (*const all[SEEDS])(void) = {
        task_frame,        bytes_frame,      followed_frame,     followed_bytes_frame,
        area_frame,        area_bytes_frame, batch_frame,        result_frame,
        area_result_frame, failed_frame,     bytes_result_frame, batch_result_frame,
        refused_frame,     hello_frame,      not_ready_frame,    piece_frame,
        module_frame,
    };
    return all[i % SEEDS]();
}

/* Every field. */
static inline bool same(const struct frame *a, const struct frame *b) {
    return a->type == b->type && a->bytes == b->bytes && a->batch == b->batch &&
           a->progress == b->progress && a->worker == b->worker && a->sequence == b->sequence &&
           a->area == b->area && a->body == b->body && a->offset == b->offset &&
           a->first_out == b->first_out && a->limit == b->limit && a->value == b->value &&
           a->status == b->status && memcmp(&a->module, &b->module, sizeof(a->module)) == 0;
}

/* The bounds that who receives a frame relies on: NULL, or which is broken. */
static inline const char *broken_bound(const struct frame *f) {
    if (f->type < FRAME_HELLO || f->type > FRAME_MODULE)
        return "its type";
    if (f->body > WIRE_BODY_MAX || (f->type == FRAME_MODULE && f->body > WIRE_PATH_MAX))
        return "its body";
    if (f->area > AREAS || (f->area && f->body > AREA_BYTES))
        return "its area";
    if (f->module.len > BUILD_ID_MAX)
        return "its build id";
    if (f->type == FRAME_TASK && f->first_out > f->body)
        return "its outputs";
    if (f->batch && (!f->area || f->bytes || f->progress))
        return "its batch";
    if (f->type == FRAME_MODULE && (f->bytes || f->batch || f->progress || f->sequence || f->area ||
                                    f->offset || f->first_out || f->limit || f->value))
        return "a field that a module has not";
    bool asks = f->type == FRAME_TASK || f->type == FRAME_MODULE;
    if (asks ? f->status != 0 : f->bytes || f->batch || f->progress || f->module.len)
        return "a field of the other direction";
    return NULL;
}

/* A reply that was taken for this task's: as broken_bound. */
static inline const char *broken_reply(const struct frame *reply, const struct frame *task) {
    bool piece = reply->type == FRAME_PROGRESS;
    uint64_t most = piece || task->bytes ? task->limit
                    : task->batch        ? 0
                                         : task->body - task->first_out;
    if (!piece && reply->type != FRAME_RESULT && reply->type != FRAME_REFUSED)
        return "it is no reply";
    if (reply->worker != task->worker || reply->sequence != task->sequence)
        return "it is another's";
    if (reply->body > most || (piece && !task->progress))
        return "nobody has room for it";
    if (reply->area && reply->area != task->area)
        return "it lies in another's area";
    if (!piece && !task->bytes && reply->status >= 0 && reply->body != most)
        return "a part of it is missing";
    return NULL;
}

/* Any bytes: NULL, and whether they are a frame, which is then in *ret_frame; or what is wrong with
 * the codec. What is accepted must be canonical. */
static inline const char *check_any(const uint8_t header[WIRE_HEADER], bool *ret_accepted,
                                    struct frame *ret_frame) {
    uint8_t again[WIRE_HEADER];
    struct frame back;
    *ret_accepted = !wire_decode(header, ret_frame);
    if (!*ret_accepted)
        return NULL;
    const char *broken = broken_bound(ret_frame);
    if (broken)
        return broken;
    wire_encode(ret_frame, again);
    if (memcmp(header, again, WIRE_HEADER) != 0)
        return "it is not canonical";
    if (wire_decode(again, &back) || !same(ret_frame, &back))
        return "it does not read back";
    return NULL;
}

#endif
