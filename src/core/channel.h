/* channel.h - the inside of a channel, for what waits in several of them (select.c). */
#ifndef TRINE_CORE_CHANNEL_H
#define TRINE_CORE_CHANNEL_H

#include <trine.h>

#include "core/home_lock.h"
#include "core/waitq.h"

/* On cache lines by who writes them. */
struct trine_channel {
    struct list receivers, senders;  /* of struct waiter */
    size_t item_size, capacity, end; /* end: of the ring, in bytes */
    atomic_int closed; /* what senders, and receivers of nothing, get; 0: it is open */
    atomic_bool split; /* two threads have been here: see channel.c */

    _Alignas(CACHE_LINE) struct home_lock lock; /* all; once split, the senders' half */
    _Alignas(CACHE_LINE) _Atomic uint64_t sent;
    uint64_t taken_seen; /* `taken`, as a sender saw it last */
    size_t in;           /* where the next item goes */

    _Alignas(CACHE_LINE) pthread_mutex_t receiving; /* once split, the receivers' half */
    _Atomic uint64_t taken;
    uint64_t sent_seen;
    size_t out; /* where the next item comes from */

    _Alignas(CACHE_LINE) char ring[];
};

/* The rest of channel_lock when it is not the home's. */
void channel_lock_rest(trine_channel *c);

/* Takes the channel as a whole; what it gives back is for channel_unlock. */
static inline bool channel_lock(trine_channel *c) {
    bool quick = home_lock_take(&c->lock);
    if (__builtin_expect(!quick, 0))
        channel_lock_rest(c);
    return quick;
}

static inline void channel_unlock(trine_channel *c, bool quick) {
    if (__builtin_expect(!quick, 0))
        pthread_mutex_unlock(&c->receiving);
    home_lock_drop(&c->lock, quick);
}

/* Under the lock: moves one item without waiting, and sets *ret_wake to whose wait ends by it, who
 * is to be woken with 0 (NULL: nobody). -EAGAIN: it would wait; else the error of a closed one. */
int channel_try_send(trine_channel *c, const void *item, struct waiter **ret_wake);
int channel_try_recv(trine_channel *c, void *ret_item, struct waiter **ret_wake);

#endif
