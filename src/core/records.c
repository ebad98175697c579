/* records.c - a free list over chunks that are never given back while the loop lives: a program
 * that starts tasks for a year keeps as many records as it once had tasks at a time. Rejected:
 * malloc per task (40 ns, and a task's completion would touch the allocator). */
#include "core/records.h"

#include "base/fault.h"
#include "core/future.h"

#include <stdlib.h>

struct record_chunk {
    struct record_chunk *next;
    _Alignas(CACHE_LINE) char memory[];
};

enum { CHUNK_BYTES = 64 << 10, CHUNK_ROOM = CHUNK_BYTES - 2 * CACHE_LINE };
#define WHOLE_LINES(bytes) (((bytes) + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE)

static const size_t sizes[RECORD_KINDS] = {
    [RECORD_COROUTINE] = WHOLE_LINES(FUTURE_OF_COROUTINE_SIZE),
    [RECORD_TASK] = WHOLE_LINES(sizeof(struct trine_future)),
    [RECORD_TIME] = FUTURE_OF_TIME_SIZE,
};

struct unused_record *records_add(struct records *r, enum record_kind kind) {
    struct record_chunk *c =
        FAULT(aligned_alloc(CACHE_LINE, sizeof(*c) + CHUNK_ROOM), NULL, ENOMEM);
    if (!c)
        return NULL;
    c->next = r->chunks;
    r->chunks = c;
    for (size_t i = CHUNK_ROOM / sizes[kind]; i-- > 0;)
        record_give(r, c->memory + i * sizes[kind], kind);
    return r->unused[kind];
}

void records_free(struct records *r) {
    for (struct record_chunk *c = r->chunks; c;) {
        struct record_chunk *next = c->next;
        free(c);
        c = next;
    }
    *r = (struct records){.chunks = NULL};
}
