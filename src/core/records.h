/* records.h - the records of one loop's futures, recycled last in, first out: those of tasks that
 * executors run, the smaller ones of coroutines, the smallest of time. */
#ifndef TRINE_CORE_RECORDS_H
#define TRINE_CORE_RECORDS_H

enum record_kind { RECORD_COROUTINE, RECORD_TASK, RECORD_TIME, RECORD_KINDS };

struct unused_record {
    struct unused_record *next;
};

/* All zero is an empty one. */
struct records {
    struct unused_record *unused[RECORD_KINDS];
    struct record_chunk *chunks;
};

/* Gets memory for more, and gives the first of the unused ones; NULL when memory is short. */
struct unused_record *records_add(struct records *r, enum record_kind kind);

/* A record, its content undefined; NULL when memory is short. */
static inline void *record_take(struct records *r, enum record_kind kind) {
    struct unused_record *u = r->unused[kind];
    if (__builtin_expect(!u, 0) && !(u = records_add(r, kind)))
        return 0;
    r->unused[kind] = u->next;
    __builtin_prefetch(u->next, 1);
    return u;
}

static inline void record_give(struct records *r, void *record, enum record_kind kind) {
    struct unused_record *u = (struct unused_record *)record;
    u->next = r->unused[kind];
    r->unused[kind] = u;
}

/* Frees all; none may be in use. */
void records_free(struct records *r);

#endif
