/* stream.h - bytes from one process to another, in memory that both map: a ring with one writer and
 * one reader. Neither believes the other: each keeps its own place to itself, and what it reads of
 * the other's is checked. No lock, no wait: who finds nothing says that it sleeps, and the other
 * one learns from its next call that it is to be woken, by whatever means.
 *
 *     writer: n = stream_room(s);  stream_put(s, bytes, n);  if (stream_wake_reader(s)) wake it;
 *     reader: n = stream_ready(s); stream_take(s, to, n);    if (stream_wake_writer(s)) wake it;
 *             not enough there:    if (stream_reader_sleeps(s, n)) sleep; */
#ifndef TRINE_EXEC_STREAM_H
#define TRINE_EXEC_STREAM_H

#include "base/list.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { STREAM_BYTES = 256 << 10 };

/* Either side may write anything here; all zero to begin with. */
struct stream_memory {
    _Alignas(CACHE_LINE) _Atomic uint64_t put;   /* bytes ever; the writer's */
    atomic_uint writer_sleeps;                   /* until there is room */
    atomic_bool closed;                          /* the writer puts no more */
    _Alignas(CACHE_LINE) _Atomic uint64_t taken; /* bytes ever; the reader's */
    atomic_uint reader_sleeps;                   /* until there is something */
    _Alignas(CACHE_LINE) uint8_t bytes[STREAM_BYTES];
};

/* One side's end. */
struct stream {
    struct stream_memory *memory;
    uint64_t mine, theirs; /* how far each of the two is; theirs as seen last */
    uint64_t told;         /* a reader's place when it looked last whether the writer sleeps */
};

/* The other side's place cannot be. */
#define STREAM_BROKEN SIZE_MAX

/* How many bytes may be put, taken; or STREAM_BROKEN. */
size_t stream_room(struct stream *s);
size_t stream_ready(struct stream *s);

/* The same, but no more than was seen last if that is as much as is wanted: the other side's place
 * is on its cache line. */
static inline size_t stream_room_for(struct stream *s, size_t want) {
    size_t seen = (size_t)(STREAM_BYTES - (s->mine - s->theirs));
    return seen >= want ? seen : stream_room(s);
}
static inline size_t stream_ready_for(struct stream *s, size_t want) {
    size_t seen = (size_t)(s->theirs - s->mine);
    return seen >= want ? seen : stream_ready(s);
}

/* n is at most as much. */
void stream_put(struct stream *s, const void *from, size_t n);
void stream_take(struct stream *s, void *to, size_t n);

/* After what was put, or taken: does the other one sleep, and is it to be woken? The writer is not
 * before half of the ring is free: it would be for every byte. */
bool stream_wake_reader(struct stream *s);
bool stream_wake_writer(struct stream *s);

/* The latter for who goes on to take: it looks now and then. Before a reader waits it must use the
 * other one. */
static inline bool stream_wake_writer_at_times(struct stream *s) {
    return s->mine - s->told >= STREAM_BYTES / 4 && stream_wake_writer(s);
}

/* The reader looks by itself and need not be woken, until it says again that it sleeps. */
static inline void stream_reader_looks(struct stream *s) {
    atomic_store_explicit(&s->memory->reader_sleeps, 0, memory_order_relaxed);
}

/* Says that the caller sleeps until there is more to read, or more room, than `seen`; false: there
 * is, it does not. */
bool stream_reader_sleeps(struct stream *s, size_t seen);
bool stream_writer_sleeps(struct stream *s, size_t seen);

#endif
