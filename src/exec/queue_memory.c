/* queue_memory.c - see queue_memory.h. A ring of items under a robust lock, made so that whoever
 * holds the lock may die between any two instructions:
 *
 * - Each change is decided by one store: a put by that to `tail`, a get by that to `head`, close by
 *   that to `closed`. What was done before it is invisible, so there is nothing to roll back. Words
 *   are stored with release order, since a killed process has run its instructions in their order.
 * - `ledger` says during a call what it does, and `ticket` how to see whether it was decided; the
 *   next one to get the lock reads there whether an item was lost, and counts it in one store.
 * - Who finds no item or no room sets `awaited` under the lock, and sleeps while `changed` stays as
 *   it was. Whoever is about to change something first wakes all, then clears `awaited`, then
 *   decides. A death before the wake-up has changed nothing; the sleepers of a death after it are
 *   at the lock already, where the kernel hands them on. So no wake-up is lost, and a sleeper that
 *   dies owes nobody anything. Who finds the owner dead wakes all as well.
 *
 * Lock order: the memory's lock alone; no call under it waits but for memory. Who is stopped
 * (SIGSTOP) in it stops the others until it goes on.
 *
 * Rejected: waking one sleeper (when that one is killed, the others sleep on beside an item);
 * counting sleepers (the dead stay in the count); waking after the change (a death between the two
 * leaves sleepers beside an item, unless they all look up every so often); a lock-free ring (a
 * putter that dies between claiming a place and filling it stops all getters). */
#include "exec/queue_memory.h"

#include "base/clock.h"
#include "base/panic.h"
#include "base/sanitizer.h"

#include <errno.h>
#include <string.h>

enum { DOING_NOTHING, DOING_PUT, DOING_GET, DOING = 3, LEDGER_ITEM = 4 };
#define LOCK_PATIENCE INT64_C(100000000)

#define SET(word, value) atomic_store_explicit(&(word), value, memory_order_release)
#define GET(word) atomic_load_explicit(&(word), memory_order_relaxed)

size_t queue_memory_size(uint64_t item_size, uint64_t capacity) {
    size_t bytes, unit = item_size ? item_size : 1;
    if (!item_size && __builtin_add_overflow(capacity, MESSAGE_ALIGNMENT - 1, &capacity))
        return 0;
    if (__builtin_mul_overflow(unit, capacity, &bytes) ||
        __builtin_add_overflow(bytes, sizeof(struct queue_memory), &bytes) || bytes > PTRDIFF_MAX)
        return 0;
    return bytes;
}

static uint64_t rounded(uint64_t bytes) {
    return (bytes + MESSAGE_ALIGNMENT - 1) / MESSAGE_ALIGNMENT * MESSAGE_ALIGNMENT;
}

void queue_memory_init(struct queue_memory *m, size_t item_size, size_t capacity) {
    pthread_mutexattr_t robust;
    pthread_mutexattr_init(&robust);
    pthread_mutexattr_setpshared(&robust, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&robust, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&m->lock, &robust);
    pthread_mutexattr_destroy(&robust);
    m->item_size = item_size;
    m->capacity = item_size ? capacity : rounded(capacity);
}

/* --- sleep and wake --- */

/* Under the lock, before the change. */
static void wake_sleepers(struct queue_memory *m) {
    if (!GET(m->base.awaited))
        return;
    shared_rouse(&m->base);
    SET(m->base.awaited, false);
}

/* Under the lock, by who will wait: what for. */
static int must_wait(struct queue_memory *m, unsigned *ret_seen) {
    SET(m->base.awaited, true);
    *ret_seen = shared_changed(&m->base);
    return -EAGAIN;
}

/* --- the lock --- */

/* The owner died with the lock: closes its account. */
static void recover(struct queue_memory *m) {
    uint64_t ledger = GET(m->ledger), ticket = GET(m->ticket), doing = ledger & DOING;
    bool lost =
        doing == DOING_PUT ? GET(m->tail) != ticket : doing == DOING_GET && GET(m->head) == ticket;
    SET(m->ledger, ledger - doing + (lost ? LEDGER_ITEM : 0));
    shared_rouse(&m->base);
    pthread_mutex_consistent(&m->lock);
}

/* In glibc's lock a sleeper may be forgotten when the one that was woken in its place is killed
 * while a third one takes the lock; so nobody sleeps there for long without another try. */
static int sleep_for_lock(pthread_mutex_t *lock) {
#ifdef __SANITIZE_THREAD__ /* the TSan of gcc 12 does not know pthread_mutex_clocklock */
    return pthread_mutex_lock(lock);
#else
    struct timespec until = clock_left(clock_monotonic() + LOCK_PATIENCE, 0);
    return pthread_mutex_clocklock(lock, CLOCK_MONOTONIC, &until);
#endif
}

static void lock(struct queue_memory *m) {
    int r = pthread_mutex_trylock(&m->lock);
    while (r == EBUSY || r == ETIMEDOUT)
        r = sleep_for_lock(&m->lock);
    if (r == EOWNERDEAD)
        recover(m);
    else
        REQUIRE(r == 0, "a queue between processes was overwritten: its lock gives %s",
                strerrorname_np(r));
}

static void unlock(struct queue_memory *m) {
    pthread_mutex_unlock(&m->lock);
}

/* --- put, get, close --- */

static void begin(struct queue_memory *m, unsigned doing, uint64_t ticket) {
    SET(m->ticket, ticket);
    SET(m->ledger, GET(m->ledger) + doing);
}

static void end(struct queue_memory *m, unsigned doing) {
    SET(m->ledger, GET(m->ledger) - doing);
}

/* May so much be put? */
static int may_put(struct queue_memory *m, uint64_t n, unsigned *ret_seen) {
    if (GET(m->closed))
        return -EPIPE;
    return m->capacity - (GET(m->tail) - GET(m->head)) < n ? must_wait(m, ret_seen) : 0;
}

static int may_get(struct queue_memory *m, unsigned *ret_seen) {
    if (GET(m->head) != GET(m->tail))
        return 0;
    return GET(m->closed) ? -EPIPE : must_wait(m, ret_seen);
}

/* What was begun is decided here. */
static void decide_put(struct queue_memory *m) {
    wake_sleepers(m);
    SET(m->tail, GET(m->ticket));
    end(m, DOING_PUT);
}

static void decide_get(struct queue_memory *m) {
    wake_sleepers(m);
    SET(m->head, GET(m->ticket));
    end(m, DOING_GET);
}

/* Where the item of this number lies. */
static unsigned char *place(struct queue_memory *m, uint64_t number) {
    return m->items + number % m->capacity * m->item_size;
}

int queue_memory_put(struct queue_memory *m, const void *item, unsigned *ret_seen) {
    lock(m);
    uint64_t tail = GET(m->tail);
    int r = may_put(m, 1, ret_seen);
    if (r == 0) {
        begin(m, DOING_PUT, tail + 1);
        memcpy(place(m, tail), item, m->item_size);
        decide_put(m);
    }
    unlock(m);
    return r;
}

int queue_memory_get(struct queue_memory *m, void *ret_item, unsigned *ret_seen) {
    lock(m);
    uint64_t head = GET(m->head);
    int r = may_get(m, ret_seen);
    if (r == 0) {
        begin(m, DOING_GET, head + 1);
        memcpy(ret_item, place(m, head), m->item_size);
        decide_get(m);
    }
    unlock(m);
    return r;
}

void queue_memory_close(struct queue_memory *m) {
    lock(m);
    wake_sleepers(m);
    SET(m->closed, true);
    unlock(m);
}

/* --- messages: a length, which lies in one piece, and bytes, which may go on at the beginning ---
 */

static uint64_t *length_at(struct queue_memory *m, uint64_t at) {
    return (uint64_t *)(void *)(m->items + at % m->capacity);
}

static uint64_t space_of(uint64_t length) {
    return MESSAGE_HEADER + rounded(length);
}

/* How much of n bytes lies before the ring's end. */
static size_t before_end(const struct queue_memory *m, uint64_t at, size_t n) {
    size_t left = (size_t)(m->capacity - at % m->capacity);
    return n < left ? n : left;
}

int queue_memory_put_bytes(struct queue_memory *m, trine_bytes message, unsigned *ret_seen) {
    if (message.len > m->capacity || space_of(message.len) > m->capacity)
        return -EMSGSIZE;
    lock(m);
    uint64_t tail = GET(m->tail), at = tail + MESSAGE_HEADER, space = space_of(message.len);
    int r = may_put(m, space, ret_seen);
    if (r == 0) {
        size_t first = before_end(m, at, message.len);
        begin(m, DOING_PUT, tail + space);
        *length_at(m, tail) = message.len;
        if (message.len > 0) {
            memcpy(m->items + at % m->capacity, message.ptr, first);
            memcpy(m->items, (const char *)message.ptr + first, message.len - first);
        }
        decide_put(m);
    }
    unlock(m);
    return r;
}

int queue_memory_get_bytes(struct queue_memory *m, void *ret_bytes, size_t room, size_t *ret_len,
                           unsigned *ret_seen) {
    lock(m);
    uint64_t head = GET(m->head), at = head + MESSAGE_HEADER;
    int r = may_get(m, ret_seen);
    size_t len = r == 0 ? (size_t)*length_at(m, head) : 0;
    if (r == 0 && len > room)
        r = -ENOBUFS;
    *ret_len = len;
    if (r == 0) {
        size_t first = before_end(m, at, len);
        begin(m, DOING_GET, head + space_of(len));
        if (len > 0) {
            memcpy(ret_bytes, m->items + at % m->capacity, first);
            memcpy((char *)ret_bytes + first, m->items, len - first);
        }
        decide_get(m);
    }
    unlock(m);
    return r;
}

/* --- figures --- */

uint64_t queue_memory_count(struct queue_memory *m) {
    lock(m);
    uint64_t head = GET(m->head), tail = GET(m->tail), count = tail - head;
    if (!m->item_size)
        for (count = 0; head != tail; count++)
            head += space_of(*length_at(m, head));
    unlock(m);
    return count;
}

uint64_t queue_memory_lost(struct queue_memory *m) {
    lock(m);
    uint64_t lost = GET(m->ledger) / LEDGER_ITEM;
    unlock(m);
    return lost;
}
