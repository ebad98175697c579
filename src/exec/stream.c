/* stream.c - see stream.h. Who says that it sleeps looks once more after that; who puts or takes
 * looks after that whether the other one sleeps. All four steps are sequentially consistent, so one
 * of the two sees the other.
 *
 * Rejected: a socket (two system calls a frame on each side, 20 us a task); slots of a fixed size
 * (a second way would be needed for what is larger). */
#include "exec/stream.h"

#include <string.h>

enum { WAKE_WRITER_AT = STREAM_BYTES / 2 };

size_t stream_room(struct stream *s) {
    uint64_t theirs = atomic_load(&s->memory->taken), full = s->mine - theirs;
    if (full > STREAM_BYTES)
        return STREAM_BROKEN;
    s->theirs = theirs;
    return (size_t)(STREAM_BYTES - full);
}

size_t stream_ready(struct stream *s) {
    uint64_t theirs = atomic_load(&s->memory->put), full = theirs - s->mine;
    if (full > STREAM_BYTES)
        return STREAM_BROKEN;
    s->theirs = theirs;
    return (size_t)full;
}

/* How much of n lies before the ring's end, from `at` on. */
static size_t before_end(size_t at, size_t n) {
    return n < STREAM_BYTES - at ? n : STREAM_BYTES - at;
}

void stream_put(struct stream *s, const void *from, size_t n) {
    size_t at = (size_t)(s->mine % STREAM_BYTES), first = before_end(at, n);
    if (n == 0)
        return;
    memcpy(s->memory->bytes + at, from, first);
    memcpy(s->memory->bytes, (const char *)from + first, n - first);
    s->mine += n;
    atomic_store_explicit(&s->memory->put, s->mine, memory_order_release);
}

void stream_take(struct stream *s, void *to, size_t n) {
    size_t at = (size_t)(s->mine % STREAM_BYTES), first = before_end(at, n);
    if (n == 0)
        return;
    memcpy(to, s->memory->bytes + at, first);
    memcpy((char *)to + first, s->memory->bytes, n - first);
    s->mine += n;
    atomic_store_explicit(&s->memory->taken, s->mine, memory_order_release);
}

/* What was put or taken was so before; adding nothing makes it a step in the order of all. */
static bool wake(_Atomic uint64_t *mine, atomic_uint *sleeps) {
    atomic_fetch_add(mine, 0);
    return atomic_load(sleeps) && atomic_exchange(sleeps, 0);
}

bool stream_wake_reader(struct stream *s) {
    return wake(&s->memory->put, &s->memory->reader_sleeps);
}

bool stream_wake_writer(struct stream *s) {
    s->told = s->mine;
    uint64_t put = atomic_load_explicit(&s->memory->put, memory_order_relaxed);
    return put - s->mine <= STREAM_BYTES - WAKE_WRITER_AT &&
           wake(&s->memory->taken, &s->memory->writer_sleeps);
}

bool stream_reader_sleeps(struct stream *s, size_t seen) {
    atomic_store(&s->memory->reader_sleeps, 1);
    if (stream_ready(s) == seen)
        return true;
    atomic_store_explicit(&s->memory->reader_sleeps, 0, memory_order_relaxed);
    return false;
}

bool stream_writer_sleeps(struct stream *s, size_t seen) {
    atomic_store(&s->memory->writer_sleeps, 1);
    if (stream_room(s) == seen)
        return true;
    atomic_store_explicit(&s->memory->writer_sleeps, 0, memory_order_relaxed);
    return false;
}
