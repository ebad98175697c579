/* queue.c - the queue between processes as its users see it. queue_memory.c has the queue itself,
 * queue_map.c how a process gets at it, queue_wait.c how it waits for it.
 *
 * A wait is a loop: try, and if that would have to wait, wait until anything has changed. Nothing
 * is taken or put by the wait itself, so a cancelled one leaves nothing behind.
 * Rejected: handing items straight to waiters, as channels do (a waiter may be killed at any time,
 * and its item with it). */
#include <trine/queue.h>

#include "base/panic.h"
#include "exec/queue_map.h"

#include <errno.h>

int trine_queue_open(size_t item_size, size_t capacity, trine_queue *ret_queue) {
    REQUIRE(item_size > 0 && capacity > 0, "a queue needs items of a size and a capacity >= 1");
    return queue_map_new(item_size, capacity, ret_queue);
}

void trine_queue_free(trine_queue *q) {
    if (q->id_ != 0)
        queue_map_free(q);
    *q = (trine_queue){0};
}

/* --- put, get --- */

int trine_queue_put(const trine_queue *q, const void *item) {
    struct strand *self;
    struct mapping *m;
    unsigned seen;
    int r = strand_enter(&self);
    if (r < 0 || (r = queue_map_enter(q, &m)) < 0)
        return r;
    while ((r = queue_memory_put(m->memory, item, &seen)) == -EAGAIN) {
        r = bell_wait(&m->bell, self, seen, "room in a queue");
        if (r < 0 || (r = strand_reason(self)) < 0)
            break;
    }
    queue_map_leave(m);
    return r;
}

int trine_queue_get(const trine_queue *q, void *ret_item) {
    struct strand *self;
    struct mapping *m;
    unsigned seen;
    int r = strand_enter(&self);
    if (r < 0 || (r = queue_map_enter(q, &m)) < 0)
        return r;
    while ((r = queue_memory_get(m->memory, ret_item, &seen)) == -EAGAIN) {
        r = bell_wait(&m->bell, self, seen, "an item of a queue");
        if (r < 0 || (r = strand_reason(self)) < 0)
            break;
    }
    queue_map_leave(m);
    return r;
}

/* --- the rest --- */

int trine_queue_close(const trine_queue *q) {
    struct mapping *m;
    int r = queue_map_enter(q, &m);
    if (r < 0)
        return r;
    queue_memory_close(m->memory);
    queue_map_leave(m);
    return 0;
}

int64_t trine_queue_count(const trine_queue *q) {
    struct mapping *m;
    int r = queue_map_enter(q, &m);
    if (r < 0)
        return r;
    int64_t count = (int64_t)queue_memory_count(m->memory);
    queue_map_leave(m);
    return count;
}

int64_t trine_queue_lost(const trine_queue *q) {
    struct mapping *m;
    int r = queue_map_enter(q, &m);
    if (r < 0)
        return r;
    int64_t lost = (int64_t)queue_memory_lost(m->memory);
    queue_map_leave(m);
    return lost;
}
