/* channel.h - the inside of a channel, for what waits in several of them (select.c). */
#ifndef TRINE_CORE_CHANNEL_H
#define TRINE_CORE_CHANNEL_H

#include <trine.h>

#include "core/home_lock.h"
#include "core/waitq.h"

struct trine_channel {
    struct home_lock lock;
    struct list receivers, senders; /* of struct waiter */
    size_t item_size, capacity, count;
    size_t in, out, end; /* of the ring, in bytes: where the next item goes, comes from; its size */
    int closed;          /* what senders, and receivers of nothing, get; 0: it is open */
    _Alignas(16) char ring[];
};

/* Under the lock: moves one item without waiting, and sets *ret_wake to whose wait ends by it, who
 * is to be woken with 0 (NULL: nobody). -EAGAIN: it would wait; else the error of a closed one. */
int channel_try_send(trine_channel *c, const void *item, struct waiter **ret_wake);
int channel_try_recv(trine_channel *c, void *ret_item, struct waiter **ret_wake);

#endif
