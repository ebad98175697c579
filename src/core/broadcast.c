/* broadcast.c - a ring of items that each subscriber reads at its own place.
 *
 * Invariants, under the lock: a subscriber's place is at most `next`; unless lossy, no place is
 * more than `capacity` behind it, so no item is overwritten that somebody has yet to read. Who
 * waits is woken to look again; it looks before it minds a cancellation, so that no wake-up is lost
 * with it. Lock order: the broadcast's lock alone. Rejected: a queue a subscriber (a copy of each
 * item for each of them). */
#include <trine/select.h>

#include "base/fault.h"
#include "base/panic.h"
#include "core/enter.h"
#include "core/waitq.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct subscriber {
    struct list node;
    uint64_t at; /* the number of the item that it reads next */
};
_Static_assert(sizeof(struct subscriber) <= sizeof(trine_subscriber), "it must fit");

struct trine_broadcast {
    pthread_mutex_t lock;
    struct list subscribers;
    struct list receivers, senders; /* of struct waiter */
    size_t item_size, capacity;
    uint64_t next;  /* number of the next item */
    uint64_t floor; /* no subscriber reads below; may lag behind the truth */
    bool lossy, closed;
    char ring[];
};

static struct subscriber *inside(trine_subscriber *s) {
    return (struct subscriber *)s;
}

trine_broadcast *trine_broadcast_new(size_t item_size, size_t capacity, bool lossy) {
    REQUIRE(item_size > 0 && capacity > 0, "a broadcast needs items of a size and a capacity >= 1");
    size_t bytes;
    if (__builtin_mul_overflow(item_size, capacity, &bytes) ||
        __builtin_add_overflow(bytes, sizeof(trine_broadcast), &bytes))
        return NULL;
    trine_broadcast *b = FAULT(malloc(bytes), NULL, ENOMEM);
    if (!b)
        return NULL;
    *b = (trine_broadcast){.item_size = item_size, .capacity = capacity, .lossy = lossy};
    pthread_mutex_init(&b->lock, NULL);
    list_init(&b->subscribers);
    list_init(&b->receivers);
    list_init(&b->senders);
    return b;
}

static char *place(trine_broadcast *b, uint64_t number) {
    return b->ring + number % b->capacity * b->item_size;
}

static void find_floor(trine_broadcast *b) {
    b->floor = b->next;
    LIST_EACH(node, &b->subscribers) {
        struct subscriber *s = container_of(node, struct subscriber, node);
        b->floor = s->at < b->floor ? s->at : b->floor;
    }
}

void trine_broadcast_join(trine_broadcast *b, trine_subscriber *subscriber) {
    struct subscriber *s = inside(subscriber);
    pthread_mutex_lock(&b->lock);
    s->at = b->next;
    list_push(&b->subscribers, &s->node);
    pthread_mutex_unlock(&b->lock);
}

void trine_broadcast_leave(trine_broadcast *b, trine_subscriber *subscriber) {
    struct taken taken = {0};
    pthread_mutex_lock(&b->lock);
    list_remove(&inside(subscriber)->node);
    taken_add_all(&taken, &b->senders);
    pthread_mutex_unlock(&b->lock);
    taken_wake(&taken, 0);
}

/* Under the lock: 0, -EPIPE, or -EAGAIN: the slowest subscriber has to be waited for. */
static int try_send(trine_broadcast *b, const void *item) {
    if (b->closed)
        return -EPIPE;
    if (!b->lossy && b->next - b->floor >= b->capacity) {
        find_floor(b);
        if (b->next - b->floor >= b->capacity)
            return -EAGAIN;
    }
    memcpy(place(b, b->next), item, b->item_size);
    b->next++;
    return 0;
}

/* Under the lock: 0, -EPIPE, -EOVERFLOW, or -EAGAIN: there is nothing yet. */
static int try_recv(trine_broadcast *b, struct subscriber *s, void *ret_item) {
    if (s->at == b->next)
        return b->closed ? -EPIPE : -EAGAIN;
    if (b->next - s->at > b->capacity) {
        s->at = b->next - b->capacity;
        return -EOVERFLOW;
    }
    memcpy(ret_item, place(b, s->at), b->item_size);
    s->at++;
    return 0;
}

/* Waits in `queue` to look again. The lock is held, and dropped. */
static int look_later(trine_broadcast *b, struct list *queue, struct strand *self,
                      const char *what_for) {
    struct waiter w = {0};
    int r = strand_reason_here(self);
    if (r == 0)
        waitq_add(queue, &w, self, &b->lock);
    pthread_mutex_unlock(&b->lock);
    return r < 0 ? r : waitq_park(&w, what_for);
}

int trine_broadcast_send(trine_broadcast *b, const void *item) {
    struct strand *self;
    int r = strand_enter_here(&self);
    while (r == 0) {
        pthread_mutex_lock(&b->lock);
        r = try_send(b, item);
        if (r == -EAGAIN) {
            r = look_later(b, &b->senders, self, "broadcast send");
            continue;
        }
        struct taken taken = {0};
        taken_add_all(&taken, &b->receivers);
        pthread_mutex_unlock(&b->lock);
        taken_wake(&taken, 0);
        return r;
    }
    return r;
}

int trine_broadcast_recv(trine_broadcast *b, trine_subscriber *subscriber, void *ret_item) {
    struct strand *self;
    int r = strand_enter_here(&self);
    while (r == 0) {
        pthread_mutex_lock(&b->lock);
        r = try_recv(b, inside(subscriber), ret_item);
        if (r == -EAGAIN) {
            r = look_later(b, &b->receivers, self, "broadcast receive");
            continue;
        }
        struct taken taken = {0};
        taken_add_all(&taken, &b->senders);
        pthread_mutex_unlock(&b->lock);
        taken_wake(&taken, 0);
        return r;
    }
    return r;
}

void trine_broadcast_close(trine_broadcast *b) {
    struct taken taken = {0};
    pthread_mutex_lock(&b->lock);
    b->closed = true;
    taken_add_all(&taken, &b->receivers);
    taken_add_all(&taken, &b->senders);
    pthread_mutex_unlock(&b->lock);
    taken_wake(&taken, 0);
}

void trine_broadcast_free(trine_broadcast **b) {
    if (!*b)
        return;
    REQUIRE(list_empty(&(*b)->subscribers),
            "a broadcast was freed while somebody subscribes to it: let them leave before");
    pthread_mutex_destroy(&(*b)->lock);
    free(*b);
    *b = NULL;
}

void trine_broadcast_stats(trine_broadcast *b, trine_sync_stats *ret_stats) {
    pthread_mutex_lock(&b->lock);
    find_floor(b);
    uint64_t held = b->next - b->floor;
    *ret_stats = (trine_sync_stats){.waiters = list_count(&b->senders) + list_count(&b->receivers),
                                    .held = held < b->capacity ? held : b->capacity};
    pthread_mutex_unlock(&b->lock);
}
