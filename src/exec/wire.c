/* wire.c - see wire.h. Fields are written one by one at fixed places, least significant byte first,
 * and not as a struct: padding would leak memory of the program to a hostile worker, and a struct
 * read from the wire invites to trust it. */
#include "exec/wire.h"

#include "base/panic.h"
#include "exec/area.h"

#include <endian.h>
#include <string.h>

enum {
    AT_MAGIC = 0,
    AT_VERSION = 4,
    AT_TYPE = 6,
    AT_FLAGS = 8,
    AT_WORKER = 12,
    AT_SEQUENCE = 16,
    AT_BODY = 24,
    AT_OFFSET = 32,
    AT_FIRST_OUT = 40,
    AT_LIMIT = 48,
    AT_VALUE = 56,
    AT_STATUS = 64,
    AT_ID_LEN = 68,
    AT_ID = 72 /* to 104 */
};

/* Above the flags: the area. */
enum {
    FLAG_BYTES = 1,
    FLAG_PROGRESS = 2,
    FLAG_BATCH = 4,
    AREA_SHIFT = 3,
    FLAGS_MOST = (AREAS << AREA_SHIFT) + 7
};

/* `bytes` is a constant: one store, one load. */
static inline void put(uint8_t *at, uint64_t value, size_t bytes) {
    value = htole64(value);
    memcpy(at, &value, bytes);
}

static inline uint64_t get(const uint8_t *at, size_t bytes) {
    uint64_t value = 0;
    memcpy(&value, at, bytes);
    return le64toh(value);
}

static bool id_is_canonical(const struct build_id *id) {
    if (id->len > BUILD_ID_MAX)
        return false;
    static const uint8_t none[BUILD_ID_MAX];
    return memcmp(id->bytes + id->len, none, BUILD_ID_MAX - id->len) == 0;
}

static const char *check_task(const struct frame *f) {
    if (f->module.len == 0)
        return "a task without a build id";
    bool limited = f->bytes || f->progress;
    if (f->bytes ? f->first_out != 0 : f->first_out > f->body || (!limited && f->limit != 0))
        return "a task with outputs outside of its argument";
    if (f->batch && (!f->area || f->bytes || f->progress))
        return "a batch that is none";
    if (f->status != 0 || f->value != 0)
        return "a task with a result";
    return NULL;
}

static const char *check_module(const struct frame *f) {
    if (f->module.len == 0 || f->body == 0 || f->body > WIRE_PATH_MAX)
        return "a module without a build id or a path";
    if (f->bytes || f->batch || f->progress || f->sequence || f->offset || f->first_out ||
        f->limit || f->value || f->status)
        return "a module with stray contents";
    return NULL;
}

static const char *check(const struct frame *f) {
    if (f->body > WIRE_BODY_MAX)
        return "a body that is too long";
    if (f->area && (f->body == 0 || f->body > AREA_BYTES ||
                    (f->type != FRAME_TASK && f->type != FRAME_RESULT)))
        return "a body in an area that it cannot be in";
    if (f->type == FRAME_TASK)
        return check_task(f);
    if (f->type == FRAME_MODULE)
        return check_module(f);
    if (f->bytes || f->batch || f->progress || f->offset != 0 || f->first_out != 0 ||
        f->limit != 0 || f->module.len != 0)
        return "fields of a task in a frame that is none";
    switch (f->type) {
    case FRAME_HELLO:
        return f->sequence || f->body || f->status > 0 || f->value ? "a greeting with contents"
                                                                   : NULL;
    case FRAME_RESULT:
        return f->value || (f->status < 0 && (f->body || f->area)) ? "a result with stray contents"
                                                                   : NULL;
    case FRAME_PROGRESS:
        return f->value || f->status ? "progress with stray contents" : NULL;
    case FRAME_REFUSED:
        return f->body || f->status >= 0 ? "a refusal without an error" : NULL;
    default:
        return "a frame of unknown type";
    }
}

void wire_encode(const struct frame *frame, uint8_t ret_header[WIRE_HEADER]) {
    const char *wrong = id_is_canonical(&frame->module) ? check(frame) : "a malformed build id";
    REQUIRE(!wrong, "a frame cannot be sent: %s", wrong);
    memset(ret_header, 0, WIRE_HEADER);
    put(ret_header + AT_MAGIC, WIRE_MAGIC, 4);
    put(ret_header + AT_VERSION, WIRE_VERSION, 2);
    put(ret_header + AT_TYPE, frame->type, 2);
    put(ret_header + AT_FLAGS,
        (frame->bytes ? FLAG_BYTES : 0) | (frame->progress ? FLAG_PROGRESS : 0) |
            (frame->batch ? FLAG_BATCH : 0) | frame->area << AREA_SHIFT,
        4);
    put(ret_header + AT_WORKER, frame->worker, 4);
    put(ret_header + AT_SEQUENCE, frame->sequence, 8);
    put(ret_header + AT_BODY, frame->body, 8);
    put(ret_header + AT_OFFSET, frame->offset, 8);
    put(ret_header + AT_FIRST_OUT, frame->first_out, 8);
    put(ret_header + AT_LIMIT, frame->limit, 8);
    put(ret_header + AT_VALUE, frame->value, 8);
    put(ret_header + AT_STATUS, (uint32_t)frame->status, 4);
    put(ret_header + AT_ID_LEN, frame->module.len, 4);
    memcpy(ret_header + AT_ID, frame->module.bytes, BUILD_ID_MAX);
}

const char *wire_decode(const uint8_t header[WIRE_HEADER], struct frame *ret_frame) {
    if (get(header + AT_MAGIC, 4) != WIRE_MAGIC)
        return "no frame";
    if (get(header + AT_VERSION, 2) != WIRE_VERSION)
        return "a frame of another version";
    if (get(header + AT_FLAGS, 4) > FLAGS_MOST || get(header + AT_ID_LEN, 4) > BUILD_ID_MAX)
        return "a frame with unknown flags";
    struct frame f = {
        .type = (enum frame_type)get(header + AT_TYPE, 2),
        .bytes = get(header + AT_FLAGS, 4) & FLAG_BYTES,
        .progress = get(header + AT_FLAGS, 4) & FLAG_PROGRESS,
        .batch = get(header + AT_FLAGS, 4) & FLAG_BATCH,
        .area = (unsigned)get(header + AT_FLAGS, 4) >> AREA_SHIFT,
        .worker = (uint32_t)get(header + AT_WORKER, 4),
        .sequence = get(header + AT_SEQUENCE, 8),
        .body = get(header + AT_BODY, 8),
        .offset = get(header + AT_OFFSET, 8),
        .first_out = get(header + AT_FIRST_OUT, 8),
        .limit = get(header + AT_LIMIT, 8),
        .value = get(header + AT_VALUE, 8),
        .status = (int32_t)(uint32_t)get(header + AT_STATUS, 4),
        .module.len = (uint8_t)get(header + AT_ID_LEN, 4),
    };
    memcpy(f.module.bytes, header + AT_ID, BUILD_ID_MAX);
    const char *wrong = id_is_canonical(&f.module) ? check(&f) : "a malformed build id";
    if (!wrong)
        *ret_frame = f;
    return wrong;
}

const char *wire_check_reply(const struct frame *reply, const struct frame *task) {
    if (reply->type != FRAME_RESULT && reply->type != FRAME_REFUSED &&
        reply->type != FRAME_PROGRESS)
        return "a frame that is no reply";
    if (reply->worker != task->worker)
        return "a reply in the name of another worker";
    if (reply->sequence != task->sequence)
        return "a reply to another task";
    if (reply->area && reply->area != task->area)
        return "a result in the area of another task";
    if (reply->type == FRAME_PROGRESS)
        return !task->progress             ? "progress of a task that nobody follows"
               : reply->body > task->limit ? "progress over the limit"
                                           : NULL;
    if (reply->status < 0)
        return NULL;
    if (task->batch)
        return reply->body ? "a result of a batch that lies elsewhere" : NULL;
    if (task->bytes)
        return reply->body > task->limit ? "a result over the limit" : NULL;
    return reply->body != task->body - task->first_out ? "a result of the wrong size" : NULL;
}
