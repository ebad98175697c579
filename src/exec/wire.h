/* wire.h - the frames between the program and a worker process: a header of fixed size, then `body`
 * bytes. Encoding and checking only; no I/O. The encoding is canonical: what decodes encodes to the
 * same bytes again, so nothing can be smuggled in a field that a type does not use. */
#ifndef TRINE_EXEC_WIRE_H
#define TRINE_EXEC_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WIRE_VERSION = 3, WIRE_HEADER = 104, WIRE_PATH_MAX = 4096, BUILD_ID_MAX = 32 };
#define WIRE_MAGIC UINT32_C(0x4e525401)
#define WIRE_BODY_MAX (UINT64_C(1) << 40)

enum frame_type {
    FRAME_HELLO = 1, /* worker: ready for tasks, or, status < 0, not; worker, status */
    FRAME_TASK,      /* program: worker, sequence, body, area, bytes, batch, module, offset,
                      * first_out, limit */
    FRAME_RESULT,    /* worker: the task has returned; worker, sequence, body, area, status */
    FRAME_REFUSED,   /* worker: its runtime could not do it; worker, sequence, status, value */
    FRAME_PROGRESS,  /* worker: a piece that the task has reported; worker, sequence, body */
    FRAME_MODULE     /* program: tasks of this module may follow; worker, module, body: its path */
};

struct build_id {
    uint8_t len, bytes[BUILD_ID_MAX];
};

struct frame {
    enum frame_type type;
    bool bytes;         /* a bytes task: `limit` bounds its result */
    bool batch;         /* its body is many flat structs, in an area: a task each, see batch.h */
    bool progress;      /* somebody follows the task: `limit` bounds what it reports at a time */
    uint32_t worker;    /* number of the worker process: each new one has another */
    uint64_t sequence;  /* of the task; a reply carries its task's */
    unsigned area;      /* where the body lies, of a task or a result; 0: it follows the header */
    uint64_t body;      /* its bytes */
    uint64_t offset;    /* of the task's descriptor in its module */
    uint64_t first_out; /* of a flat struct, each: where the bytes that come back begin */
    uint64_t limit;
    uint64_t value; /* of a refusal: what was too large */
    int32_t status;
    struct build_id module;
};

/* Bytes of the body that follow the header. */
static inline uint64_t frame_follows(const struct frame *f) {
    return f->area ? 0 : f->body;
}

/* Aborts when the frame breaks the rules that wire_decode checks. */
void wire_encode(const struct frame *frame, uint8_t ret_header[WIRE_HEADER]);

/* NULL, and the frame in *ret_frame; or what is wrong, as the end of a sentence. */
const char *wire_decode(const uint8_t header[WIRE_HEADER], struct frame *ret_frame);

/* May this reply answer that task? NULL, or what is wrong. */
const char *wire_check_reply(const struct frame *reply, const struct frame *task);

#endif
