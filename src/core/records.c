/* records.c - a free list over chunks that are never given back while the loop lives: a program
 * that starts tasks for a year keeps as many records as it once had tasks at a time. Rejected:
 * malloc per task (40 ns, and a task's completion would touch the allocator). */
#include "core/records.h"

#include "base/fault.h"
#include "core/future.h"
#include "core/loop.h"

#include <stdlib.h>

enum { RECORDS_PER_CHUNK = 63 };

struct chunk {
    struct chunk *next;
    struct trine_future records[RECORDS_PER_CHUNK];
};

struct records {
    struct trine_future *unused;
    struct chunk *chunks;
};

static int add_chunk(struct records *r) {
    struct chunk *c = FAULT(malloc(sizeof(*c)), NULL, ENOMEM);
    if (!c)
        return -1;
    c->next = r->chunks;
    r->chunks = c;
    for (int i = RECORDS_PER_CHUNK; i-- > 0;) {
        c->records[i].next_unused = r->unused;
        r->unused = &c->records[i];
    }
    return 0;
}

struct trine_future *record_take(struct loop *l) {
    if (!l->records && !(l->records = FAULT(calloc(1, sizeof(struct records)), NULL, ENOMEM)))
        return NULL;
    if (!l->records->unused && add_chunk(l->records) < 0)
        return NULL;
    struct trine_future *f = l->records->unused;
    l->records->unused = f->next_unused;
    return f;
}

void record_give(struct loop *l, struct trine_future *f) {
    f->next_unused = l->records->unused;
    l->records->unused = f;
}

void records_free(struct records *r) {
    if (!r)
        return;
    for (struct chunk *c = r->chunks; c;) {
        struct chunk *next = c->next;
        free(c);
        c = next;
    }
    free(r);
}
