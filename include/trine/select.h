/* trine/select.h - wait for the first of several things: a channel to give or take an item, a
 * future to be done, a descriptor to be ready, a time to pass; and a channel whose items reach all
 * who subscribe. See trine.h for [S] and errors.
 *
 *     int64_t n;
 *     trine_case cases[] = {TRINE_CASE_RECV(numbers, &n), TRINE_CASE_DONE(future)};
 *     int which = trine_select(cases, 2, TRINE_SEC(1));
 *     if (which == 0 && cases[0].status == 0)
 *         use(n); */
#ifndef TRINE_SELECT_H
#define TRINE_SELECT_H

#include <trine.h>
#include <trine/sync.h>
#ifdef __cplusplus
extern "C" {
#endif

typedef enum trine_case_kind {
    TRINE_CASE_IS_NONE, /* never happens; so a case can be switched off */
    TRINE_CASE_IS_SEND,
    TRINE_CASE_IS_RECV,
    TRINE_CASE_IS_DONE,
    TRINE_CASE_IS_READ,
    TRINE_CASE_IS_WRITE
} trine_case_kind;

/* One thing to wait for; written by the macros below. */
typedef struct trine_case {
    trine_case_kind kind;
    trine_channel *channel;
    void *item;           /* to send, or where the received one goes */
    trine_future *future; /* of the caller's thread */
    int fd;
    int status; /* of the case that was chosen: 0; the error of a closed channel; what the future's
                 * task returned */
} trine_case;

#define TRINE_CASE_SEND(channel, item)                                                             \
    { TRINE_CASE_IS_SEND, channel, (void *)(item), 0, -1, 0 }
#define TRINE_CASE_RECV(channel, item)                                                             \
    { TRINE_CASE_IS_RECV, channel, item, 0, -1, 0 }
#define TRINE_CASE_DONE(future)                                                                    \
    { TRINE_CASE_IS_DONE, 0, 0, future, -1, 0 }
#define TRINE_CASE_READ(fd)                                                                        \
    { TRINE_CASE_IS_READ, 0, 0, 0, fd, 0 }
#define TRINE_CASE_WRITE(fd)                                                                       \
    { TRINE_CASE_IS_WRITE, 0, 0, 0, fd, 0 }

enum { TRINE_CASES_MOST = 32 };

/* Waits until one of `n` (at most TRINE_CASES_MOST) cases can happen, lets that one happen, and
 * returns its index; none of the others has taken or given anything. Of several that can happen one
 * is chosen at random. `timeout` in ns: 0 only looks, negative waits without end.
 * Errors: -ETIME (the timeout has passed), those of watching a descriptor (-EBADF; -EPERM, a file
 * that is always ready). [S] any thread; futures must be of the caller's. */
TRINE_MUST_USE_ int trine_select(trine_case *cases, size_t n, int64_t timeout);

/* --- broadcast ------------------------------------------------------------------------------ */

typedef struct trine_broadcast trine_broadcast;

/* One reader of a broadcast; on the reader's stack or in its struct. Its inside is private. */
typedef struct trine_subscriber {
    uint64_t priv_[6];
} trine_subscriber;

/* A channel of which each subscriber gets each item that was sent after it subscribed; any thread
 * may use it. It keeps `capacity` >= 1 items: a sender waits for the slowest subscriber. With
 * `lossy` it does not wait: who is too slow loses the oldest items, and is told. NULL when memory
 * is short. */
TRINE_PUBLIC_ trine_broadcast *trine_broadcast_new(size_t item_size, size_t capacity, bool lossy);

/* Begins, and ends, to take part. *subscriber must stay where it is in between. Never waits. */
TRINE_PUBLIC_ void trine_broadcast_join(trine_broadcast *b, trine_subscriber *subscriber);
TRINE_PUBLIC_ void trine_broadcast_leave(trine_broadcast *b, trine_subscriber *subscriber);

/* Gives all subscribers the item; without any it is gone. -EPIPE: it is closed. [S] */
TRINE_MUST_USE_ int trine_broadcast_send(trine_broadcast *b, const void *item);

/* The subscriber's next item. -EPIPE: closed, and nothing is left for it. -EOVERFLOW: it was too
 * slow and has lost items; said once, then it goes on with the oldest that is left. [S] */
TRINE_MUST_USE_ int trine_broadcast_recv(trine_broadcast *b, trine_subscriber *subscriber,
                                         void *ret_item);

/* No more items: senders get -EPIPE, subscribers take what is left. Never waits. */
TRINE_PUBLIC_ void trine_broadcast_close(trine_broadcast *b);

/* Frees it and sets *b to NULL; nobody may be in a call on it any more, nor be joined. */
TRINE_PUBLIC_ void trine_broadcast_free(trine_broadcast **b);

/* Who waits in it, to send or to receive, and, in `held`, the items that the slowest subscriber has
 * yet to read. Never waits; any thread. */
TRINE_PUBLIC_ void trine_broadcast_stats(trine_broadcast *b, trine_sync_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
