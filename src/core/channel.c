/* channel.c - a bounded queue of items between coroutines and threads of one process.
 *
 * Invariants, under the lock: receivers wait only while the ring is empty, senders only while it is
 * full; so never both. A value goes straight to a waiting receiver; a sender that waits has its
 * value taken over by the receiver that makes room. Nothing is consumed by a cancelled wait.
 * Lock order: the channel's lock alone.
 * Rejected: a lock-free ring with separate parking (the order of waiters would be lost). */
#include <trine.h>

#include "base/fault.h"
#include "base/panic.h"
#include "core/waitq.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct trine_channel {
    pthread_mutex_t lock;
    struct list receivers, senders; /* of struct waiter */
    size_t item_size, capacity, first, count;
    bool closed;
    char ring[];
};

trine_channel *trine_channel_new(size_t item_size, size_t capacity) {
    REQUIRE(item_size > 0 && capacity > 0, "a channel needs items of a size and a capacity >= 1");
    size_t bytes;
    if (__builtin_mul_overflow(item_size, capacity, &bytes) ||
        __builtin_add_overflow(bytes, sizeof(trine_channel), &bytes))
        return NULL;
    trine_channel *c = FAULT(malloc(bytes), NULL, ENOMEM);
    if (!c)
        return NULL;
    *c = (trine_channel){.item_size = item_size, .capacity = capacity};
    pthread_mutex_init(&c->lock, NULL);
    list_init(&c->receivers);
    list_init(&c->senders);
    return c;
}

static void put(trine_channel *c, const void *item) {
    size_t i = c->first + c->count;
    if (i >= c->capacity)
        i -= c->capacity;
    memcpy(c->ring + i * c->item_size, item, c->item_size);
    c->count++;
}

static void take(trine_channel *c, void *item) {
    memcpy(item, c->ring + c->first * c->item_size, c->item_size);
    if (++c->first == c->capacity)
        c->first = 0;
    c->count--;
}

int trine_channel_send(trine_channel *c, const void *item) {
    struct strand *self;
    int r = strand_enter(&self);
    if (r < 0)
        return r;
    pthread_mutex_lock(&c->lock);
    if (c->closed) {
        pthread_mutex_unlock(&c->lock);
        return -EPIPE;
    }
    struct waiter *receiver = waitq_pop(&c->receivers);
    if (!receiver && c->count == c->capacity) {
        struct waiter w = {.item = (void *)item};
        waitq_add(&c->senders, &w, self, &c->lock);
        pthread_mutex_unlock(&c->lock);
        return waitq_park(&w, "channel send");
    }
    if (receiver)
        memcpy(receiver->item, item, c->item_size);
    else
        put(c, item);
    pthread_mutex_unlock(&c->lock);
    if (receiver)
        waitq_wake(receiver, 0);
    return 0;
}

int trine_channel_recv(trine_channel *c, void *ret_item) {
    struct strand *self;
    int r = strand_enter(&self);
    if (r < 0)
        return r;
    pthread_mutex_lock(&c->lock);
    if (!c->count) {
        struct waiter w = {.item = ret_item};
        bool closed = c->closed;
        if (!closed)
            waitq_add(&c->receivers, &w, self, &c->lock);
        pthread_mutex_unlock(&c->lock);
        return closed ? -EPIPE : waitq_park(&w, "channel receive");
    }
    take(c, ret_item);
    struct waiter *sender = waitq_pop(&c->senders);
    if (sender)
        put(c, sender->item);
    pthread_mutex_unlock(&c->lock);
    if (sender)
        waitq_wake(sender, 0);
    return 0;
}

void trine_channel_close(trine_channel *c) {
    struct list waiters;
    list_init(&waiters);
    pthread_mutex_lock(&c->lock);
    c->closed = true;
    struct waiter *w;
    while ((w = waitq_pop(&c->receivers)) || (w = waitq_pop(&c->senders)))
        list_push(&waiters, &w->node);
    pthread_mutex_unlock(&c->lock);
    /* They are out of the queue for good: nobody but us knows them. */
    for (struct list *node; (node = list_pop(&waiters));)
        waitq_wake(container_of(node, struct waiter, node), -EPIPE);
}

size_t trine_channel_count(trine_channel *c) {
    pthread_mutex_lock(&c->lock);
    size_t count = c->count;
    pthread_mutex_unlock(&c->lock);
    return count;
}

void trine_channel_free(trine_channel **c) {
    if (!*c)
        return;
    REQUIRE(list_empty(&(*c)->receivers) && list_empty(&(*c)->senders),
            "a channel was freed while tasks wait in it: close it and join them before");
    pthread_mutex_destroy(&(*c)->lock);
    free(*c);
    *c = NULL;
}
