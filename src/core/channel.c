/* channel.c - a bounded queue of items between coroutines and threads of one process.
 *
 * Invariants, under the lock: receivers wait only while the ring is empty, senders only while it is
 * full; so never both, but for those whose select was decided elsewhere, whom waitq_pop passes
 * over. A value goes straight to a waiting receiver; a sender that waits has its value taken over
 * by the receiver that makes room. Nothing is consumed by a cancelled wait.
 *
 * Once two threads have been here the lock is two: all else needs both, but who sends while nobody
 * waits and there is room takes the senders' half alone, who receives while nobody waits and there
 * is an item the receivers'. Queues and `closed` change under both, so either half may read them.
 * So a sender and a receiver that keep pace never meet but in the items. Who would have to wait, on
 * a loop that looks on, looks at the numbers first, so the queues stay empty.
 *
 * Lock order: senders' half, receivers' half; several channels by address.
 * Rejected: a lock-free ring with separate parking (the order of waiters would be lost); one lock
 * for both sides (94 ns an item between threads, against 49 to 62). */
#include "core/channel.h"

#include <trine/sync.h>

#include "base/fault.h"
#include "base/panic.h"
#include "base/relax.h"
#include "core/enter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

trine_channel *trine_channel_new(size_t item_size, size_t capacity) {
    REQUIRE(item_size > 0, "a channel needs items of a size");
    size_t bytes;
    if (__builtin_mul_overflow(item_size, capacity, &bytes) ||
        __builtin_add_overflow(bytes, sizeof(trine_channel) + CACHE_LINE - 1, &bytes))
        return NULL;
    trine_channel *c =
        FAULT(aligned_alloc(CACHE_LINE, bytes / CACHE_LINE * CACHE_LINE), NULL, ENOMEM);
    if (!c)
        return NULL;
    *c = (trine_channel){.item_size = item_size, .capacity = capacity, .end = item_size * capacity};
    home_lock_init(&c->lock);
    home_lock_mutex_init(&c->receiving);
    list_init(&c->receivers);
    list_init(&c->senders);
    return c;
}

/* Most items are a word; a call of memcpy costs more than the switch to the receiver. */
static inline void copy(void *to, const void *from, size_t size) {
    if (size == sizeof(uint64_t))
        memcpy(to, from, sizeof(uint64_t));
    else
        memcpy(to, from, size);
}

static inline int closed(const trine_channel *c) {
    return atomic_load_explicit(&c->closed, memory_order_relaxed);
}

/* Each of the two numbers is written by one side, which need not ask for its own. */
static inline uint64_t number(const _Atomic uint64_t *n) {
    return atomic_load_explicit(n, memory_order_relaxed);
}

static inline uint64_t number_of_others(const _Atomic uint64_t *n) {
    return atomic_load_explicit(n, memory_order_acquire);
}

static inline size_t items(const trine_channel *c) {
    return number(&c->sent) - number(&c->taken);
}

static inline void put(trine_channel *c, const void *item) {
    copy(c->ring + c->in, item, c->item_size);
    size_t next = c->in + c->item_size;
    c->in = next == c->end ? 0 : next;
    atomic_store_explicit(&c->sent, number(&c->sent) + 1, memory_order_release);
}

static inline void take(trine_channel *c, void *item) {
    copy(item, c->ring + c->out, c->item_size);
    size_t next = c->out + c->item_size;
    c->out = next == c->end ? 0 : next;
    atomic_store_explicit(&c->taken, number(&c->taken) + 1, memory_order_release);
}

/* --- two threads --- */

void channel_lock_rest(trine_channel *c) {
    pthread_mutex_lock(&c->receiving);
    atomic_store_explicit(&c->split, true, memory_order_release);
}

static inline bool is_split(const trine_channel *c) {
    return __builtin_expect(atomic_load_explicit(&c->split, memory_order_acquire), 0);
}

static inline bool nobody_waits(const trine_channel *c) {
    return list_empty(&c->receivers) && list_empty(&c->senders);
}

/* Under the senders' half. */
static inline bool has_room(trine_channel *c) {
    uint64_t sent = number(&c->sent);
    if (sent - c->taken_seen < c->capacity)
        return true;
    c->taken_seen = number_of_others(&c->taken);
    return sent - c->taken_seen < c->capacity;
}

/* Under the receivers' half. */
static inline bool has_item(trine_channel *c) {
    uint64_t taken = number(&c->taken);
    if (c->sent_seen > taken)
        return true;
    c->sent_seen = number_of_others(&c->sent);
    return c->sent_seen > taken;
}

/* With half of the lock; false: that is not enough, nothing has happened. */
static bool send_by_half(trine_channel *c, const void *item) {
    pthread_mutex_lock(&c->lock.mutex);
    bool can = nobody_waits(c) && !closed(c) && has_room(c);
    if (can)
        put(c, item);
    pthread_mutex_unlock(&c->lock.mutex);
    return can;
}

static bool recv_by_half(trine_channel *c, void *ret_item) {
    pthread_mutex_lock(&c->receiving);
    bool can = nobody_waits(c) && has_item(c);
    if (can)
        take(c, ret_item);
    pthread_mutex_unlock(&c->receiving);
    return can;
}

/* --- two threads that look on --- */

static bool may_recv(const void *arg) {
    const trine_channel *c = arg;
    return number_of_others(&c->sent) != number(&c->taken) || closed(c);
}

static bool may_send(const void *arg) {
    const trine_channel *c = arg;
    return number(&c->sent) - number_of_others(&c->taken) < c->capacity || closed(c);
}

/* What comes at once is the first of many: who took each as it comes would move a cache line for
 * each. So the other side gets a head start. */
static bool comes(trine_channel *c, struct strand *self, bool (*may)(const void *)) {
    enum { AT_ONCE = 3, HEAD_START = 40, MANY = 16 };
    if (!c->capacity)
        return false; /* who sends is seen in the queue alone */
    int looks = loop_look_on(self->loop, may, c);
    if (looks >= 0 && looks <= AT_ONCE && c->capacity >= MANY)
        for (int i = 0; i < HEAD_START; i++)
            cpu_relax();
    return looks >= 0;
}

/* --- one item --- */

static inline __attribute__((always_inline)) int try_send(trine_channel *c, const void *item,
                                                          struct waiter **ret_wake) {
    *ret_wake = NULL;
    if (__builtin_expect(closed(c) != 0, 0))
        return closed(c);
    struct waiter *receiver = waitq_pop(&c->receivers);
    if (receiver)
        copy(receiver->item, item, c->item_size);
    else if (items(c) < c->capacity)
        put(c, item);
    else
        return -EAGAIN;
    *ret_wake = receiver;
    return 0;
}

static inline __attribute__((always_inline)) int try_recv(trine_channel *c, void *ret_item,
                                                          struct waiter **ret_wake) {
    *ret_wake = NULL;
    if (items(c)) {
        take(c, ret_item);
        struct waiter *sender = waitq_pop(&c->senders);
        if (sender)
            put(c, sender->item);
        *ret_wake = sender;
        return 0;
    }
    struct waiter *sender = waitq_pop(&c->senders);
    if (!sender)
        return closed(c) ? closed(c) : -EAGAIN;
    copy(ret_item, sender->item, c->item_size);
    *ret_wake = sender;
    return 0;
}

int channel_try_send(trine_channel *c, const void *item, struct waiter **ret_wake) {
    return try_send(c, item, ret_wake);
}

int channel_try_recv(trine_channel *c, void *ret_item, struct waiter **ret_wake) {
    return try_recv(c, ret_item, ret_wake);
}

/* --- waiting --- */

struct channel_wait {
    struct waiter waiter;
    trine_channel *channel;
};

static void leave_channel(struct strand *s, int reason) {
    struct channel_wait *w = s->wait_arg;
    bool quick = channel_lock(w->channel);
    bool queued = !list_empty(&w->waiter.node);
    if (queued)
        list_remove(&w->waiter.node);
    channel_unlock(w->channel, quick);
    if (queued)
        strand_unpark(s, reason);
}

/* With the lock held, which it drops. Apart, so that who need not wait saves no registers for it;
 * what of the waiter nobody reads is not set. */
static __attribute__((noinline)) int wait_in(trine_channel *c, struct list *queue,
                                             struct strand *self, void *item,
                                             const struct wait_kind *kind, bool quick) {
    struct channel_wait w;
    w.channel = c;
    w.waiter.item = item;
    w.waiter.selection = NULL;
    waitq_add(queue, &w.waiter, self, NULL);
    channel_unlock(c, quick);
    return strand_park_here(self, kind, &w);
}

/* Drops the lock, and wakes whom `wake` names. While the lock is quick, no other thread has ever
 * been here, so whoever waits is of this loop. */
static inline void drop_and_wake(trine_channel *c, bool quick, struct waiter *wake) {
    channel_unlock(c, quick);
    if (!wake)
        return;
    if (__builtin_expect(quick, 1))
        waiter_end_here(wake, 0);
    else
        waitq_wake(wake, 0);
}

static const struct wait_kind sending = {.name = "channel send", .abort = leave_channel};
static const struct wait_kind receiving = {.name = "channel receive", .abort = leave_channel};

/* For strangers, and for all once they have come. Apart, so that the home pays nothing for it. */
static __attribute__((noinline)) int send_among_threads(trine_channel *c, const void *item,
                                                        struct strand *self) {
    if (is_split(c) &&
        (send_by_half(c, item) || (comes(c, self, may_send) && send_by_half(c, item))))
        return 0;
    struct waiter *wake;
    bool quick = channel_lock(c);
    int r = try_send(c, item, &wake);
    if (r == -EAGAIN)
        return wait_in(c, &c->senders, self, (void *)item, &sending, quick);
    drop_and_wake(c, quick, wake);
    return r;
}

static __attribute__((noinline)) int recv_among_threads(trine_channel *c, void *ret_item,
                                                        struct strand *self) {
    if (is_split(c) &&
        (recv_by_half(c, ret_item) || (comes(c, self, may_recv) && recv_by_half(c, ret_item))))
        return 0;
    struct waiter *wake;
    bool quick = channel_lock(c);
    int r = try_recv(c, ret_item, &wake);
    if (r == -EAGAIN)
        return wait_in(c, &c->receivers, self, ret_item, &receiving, quick);
    drop_and_wake(c, quick, wake);
    return r;
}

int trine_channel_send(trine_channel *c, const void *item) {
    struct strand *self;
    int r = strand_enter_here(&self);
    if (r < 0)
        return r;
    if (is_split(c) || !home_lock_take_at_home(&c->lock, self->loop))
        return send_among_threads(c, item, self);
    struct waiter *wake;
    r = try_send(c, item, &wake);
    if (r == -EAGAIN)
        return wait_in(c, &c->senders, self, (void *)item, &sending, true);
    drop_and_wake(c, true, wake);
    return r;
}

int trine_channel_recv(trine_channel *c, void *ret_item) {
    struct strand *self;
    int r = strand_enter_here(&self);
    if (r < 0)
        return r;
    if (is_split(c) || !home_lock_take_at_home(&c->lock, self->loop))
        return recv_among_threads(c, ret_item, self);
    struct waiter *wake;
    r = try_recv(c, ret_item, &wake);
    if (r == -EAGAIN)
        return wait_in(c, &c->receivers, self, ret_item, &receiving, true);
    drop_and_wake(c, true, wake);
    return r;
}

int trine_channel_try_send(trine_channel *c, const void *item) {
    struct waiter *wake;
    bool quick = channel_lock(c);
    int r = try_send(c, item, &wake);
    drop_and_wake(c, quick, wake);
    return r;
}

int trine_channel_try_recv(trine_channel *c, void *ret_item) {
    struct waiter *wake;
    bool quick = channel_lock(c);
    int r = try_recv(c, ret_item, &wake);
    drop_and_wake(c, quick, wake);
    return r;
}

/* --- the end --- */

void trine_channel_close_error(trine_channel *c, int error) {
    REQUIRE(error < 0 && error != -EAGAIN,
            "a channel is closed with a negative errno other than -EAGAIN, not %d", error);
    struct taken taken = {0};
    bool quick = channel_lock(c);
    if (!closed(c))
        atomic_store_explicit(&c->closed, error, memory_order_relaxed);
    error = closed(c);
    taken_add_all(&taken, &c->receivers);
    taken_add_all(&taken, &c->senders);
    channel_unlock(c, quick);
    taken_wake(&taken, error);
}

void trine_channel_close(trine_channel *c) {
    trine_channel_close_error(c, -EPIPE);
}

size_t trine_channel_count(trine_channel *c) {
    bool quick = channel_lock(c);
    size_t count = items(c);
    channel_unlock(c, quick);
    return count;
}

void trine_channel_free(trine_channel **c) {
    if (!*c)
        return;
    REQUIRE(list_empty(&(*c)->receivers) && list_empty(&(*c)->senders),
            "a channel was freed while tasks wait in it: close it and join them before");
    home_lock_done(&(*c)->lock);
    pthread_mutex_destroy(&(*c)->receiving);
    free(*c);
    *c = NULL;
}

void trine_channel_stats(trine_channel *c, trine_sync_stats *ret_stats) {
    bool quick = channel_lock(c);
    *ret_stats = (trine_sync_stats){.waiters = list_count(&c->senders) + list_count(&c->receivers),
                                    .held = items(c)};
    channel_unlock(c, quick);
}
