/* queue.c - the queue between processes as its users see it. queue_memory.c has the queue itself,
 * shared_map.c how a process gets at it, shared_wait.c how it waits for it.
 *
 * A wait is a loop: try, and if that would have to wait, wait until anything has changed. Nothing
 * is taken or put by the wait itself, so a cancelled one leaves nothing behind.
 * Rejected: handing items straight to waiters, as channels do (a waiter may be killed at any time,
 * and its item with it). */
#include <trine/queue.h>

#include "base/panic.h"
#include "exec/queue_memory.h"
#include "exec/shared_map.h"

#include <errno.h>

static struct queue_memory *queue_of(const struct mapping *m) {
    return (struct queue_memory *)m->memory;
}

static int open_queue(size_t item_size, size_t capacity, trine_queue *ret_queue) {
    struct mapping *m;
    size_t bytes = queue_memory_size(item_size, capacity);
    int r = bytes ? shared_map_new(bytes, &ret_queue->memory_, &m) : -ENOMEM;
    if (r == 0)
        queue_memory_init(queue_of(m), item_size, capacity);
    return r;
}

int trine_queue_open(size_t item_size, size_t capacity, trine_queue *ret_queue) {
    REQUIRE(item_size > 0 && capacity > 0, "a queue needs items of a size and a capacity >= 1");
    return open_queue(item_size, capacity, ret_queue);
}

int trine_queue_open_bytes(size_t bytes, trine_queue *ret_queue) {
    REQUIRE(bytes > 0, "a queue of messages needs room for one");
    return open_queue(0, bytes, ret_queue);
}

static void close_memory(struct shared_head *head) {
    queue_memory_close((struct queue_memory *)head);
}

void trine_queue_free(trine_queue *q) {
    if (q->memory_.id_ != 0)
        shared_map_free(&q->memory_, close_memory, "a queue");
    *q = (trine_queue){0};
}

/* --- put, get --- */

/* What one call is about. */
struct call {
    trine_bytes message; /* to put */
    const void *item;
    void *ret_item; /* to get */
    trine_buf *ret_message;
};

/* A message: its length is known only when it is its turn. */
static int get_message(struct queue_memory *m, const struct call *c, unsigned *ret_seen) {
    trine_buf *b = c->ret_message;
    size_t len;
    for (;;) {
        int r = queue_memory_get_bytes(m, b->ptr, b->cap, &len, ret_seen);
        if (r == 0)
            b->len = len;
        if (r != -ENOBUFS)
            return r;
        b->len = 0;
        r = trine_buf_reserve(b, len);
        if (r < 0)
            return r;
    }
}

static int put_message(struct queue_memory *m, const struct call *c, unsigned *ret_seen) {
    return queue_memory_put_bytes(m, c->message, ret_seen);
}

static int get_item(struct queue_memory *m, const struct call *c, unsigned *ret_seen) {
    return queue_memory_get(m, c->ret_item, ret_seen);
}

static int put_item(struct queue_memory *m, const struct call *c, unsigned *ret_seen) {
    return queue_memory_put(m, c->item, ret_seen);
}

/* Tries until it need not wait. `messages`: it is for queues of those. */
static int call(const trine_queue *q, bool messages,
                int (*try)(struct queue_memory *, const struct call *, unsigned *),
                const struct call *c, const char *what_for) {
    struct strand *self;
    struct mapping *m;
    unsigned seen;
    int r = strand_enter(&self);
    if (r < 0 || (r = shared_map_enter(&q->memory_, &m)) < 0)
        return r;
    REQUIRE(!queue_of(m)->item_size == messages,
            "a queue of messages wants the calls that end in _bytes, and no other does");
    while ((r = try(queue_of(m), c, &seen)) == -EAGAIN) {
        r = bell_wait(&m->bell, self, seen, INT64_MAX, what_for);
        if (r < 0 || (r = strand_reason(self)) < 0)
            break;
    }
    shared_map_leave(m);
    return r;
}

int trine_queue_put(const trine_queue *q, const void *item) {
    return call(q, false, put_item, &(struct call){.item = item}, "room in a queue");
}

int trine_queue_get(const trine_queue *q, void *ret_item) {
    return call(q, false, get_item, &(struct call){.ret_item = ret_item}, "an item of a queue");
}

int trine_queue_put_bytes(const trine_queue *q, trine_bytes message) {
    return call(q, true, put_message, &(struct call){.message = message}, "room in a queue");
}

int trine_queue_get_bytes(const trine_queue *q, trine_buf *ret_message) {
    return call(q, true, get_message, &(struct call){.ret_message = ret_message},
                "a message of a queue");
}

/* --- the rest --- */

int trine_queue_close(const trine_queue *q) {
    struct mapping *m;
    int r = shared_map_enter(&q->memory_, &m);
    if (r < 0)
        return r;
    queue_memory_close(queue_of(m));
    shared_map_leave(m);
    return 0;
}

int64_t trine_queue_count(const trine_queue *q) {
    struct mapping *m;
    int r = shared_map_enter(&q->memory_, &m);
    if (r < 0)
        return r;
    int64_t count = (int64_t)queue_memory_count(queue_of(m));
    shared_map_leave(m);
    return count;
}

int64_t trine_queue_lost(const trine_queue *q) {
    struct mapping *m;
    int r = shared_map_enter(&q->memory_, &m);
    if (r < 0)
        return r;
    int64_t lost = (int64_t)queue_memory_lost(queue_of(m));
    shared_map_leave(m);
    return lost;
}
