/* records.h - task records of one loop, recycled last in, first out. */
#ifndef TRINE_CORE_RECORDS_H
#define TRINE_CORE_RECORDS_H

struct loop;
struct records;
struct trine_future;

/* A record, its content undefined; NULL when memory is short. */
struct trine_future *record_take(struct loop *l);
void record_give(struct loop *l, struct trine_future *f);

/* Frees all; none may be in use. NULL is none. */
void records_free(struct records *r);

#endif
