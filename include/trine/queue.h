/* trine/queue.h - a bounded queue between the processes of one program: items of one size, or
 * messages of any, first in, first out, any number of putters and getters, in the program's threads
 * and coroutines and in tasks of worker processes. See trine.h for [S] and errors.
 *
 * A trine_queue is plain data that names the queue: copy it, or make it a field of the argument of
 * a task that runs in a worker process, where it works as it is. (As always, an argument is its
 * task's until that is done: each task gets one of its own.)
 *
 *     struct square { trine_queue numbers, squares; };
 *
 *     static int square(struct square *a) {
 *         int64_t n;
 *         while (trine_queue_get(&a->numbers, &n) == 0) {
 *             int64_t result = n * n;
 *             int r = trine_queue_put(&a->squares, &result);
 *             if (r < 0)
 *                 return r;
 *         }
 *         return 0;
 *     }
 *     TRINE_TASK(square, struct square);
 *
 * Death: a process that dies, at whatever moment, takes at most the one item with it that each of
 * its threads was putting or had taken; the queue goes on. For processes that trust each other: a
 * participant can write all over the queue's memory. */
#ifndef TRINE_QUEUE_H
#define TRINE_QUEUE_H

#include <trine.h>
#include <trine/shared.h>
#ifdef __cplusplus
extern "C" {
#endif

/* Names a queue; its inside is private. All zero is none. */
typedef struct trine_queue {
    trine_shared memory_;
} trine_queue;

/* Opens a queue of at most `capacity` items of `item_size` bytes, both at least 1. It takes their
 * product of memory, when it is used, and one descriptor. The process that opened it keeps it for
 * the others: free it there, with trine_queue_free, when they are done.
 * Errors: -ENOMEM, -EMFILE, -ENFILE. Does not suspend; any thread. */
TRINE_MUST_USE_ int trine_queue_open(size_t item_size, size_t capacity, trine_queue *ret_queue);

/* The same for messages that differ in length, whose puts and gets end in _bytes: `bytes` are for
 * all that are in it, each with 8 bytes more, rounded up to 8. */
TRINE_MUST_USE_ int trine_queue_open_bytes(size_t bytes, trine_queue *ret_queue);

/* Copies one item in; waits while the queue is full. Who waits is served in no particular order.
 * Errors: -EPIPE (closed), those of reaching the queue, and -EAGAIN also where a coroutine would
 * have to wait and no thread can be had to wake it. With an error the item is not in the queue.
 * Reaching the queue may fail at a process's first use, see trine/shared.h. [S] any thread. */
TRINE_MUST_USE_ int trine_queue_put(const trine_queue *q, const void *item);

/* Takes the oldest item out; waits while the queue is empty. Errors: -EPIPE (closed, and nothing is
 * left), otherwise as trine_queue_put; with an error nothing was taken. [S] any thread. */
TRINE_MUST_USE_ int trine_queue_get(const trine_queue *q, void *ret_item);

/* Likewise for messages; an empty one is one, too. put gives -EMSGSIZE for one that is longer than
 * the queue has room for when it is empty. get replaces what is in *ret_message, all zero or used
 * before, which stays the caller's to free; -ENOMEM: the message is still in the queue. [S] any
 * thread. */
TRINE_MUST_USE_ int trine_queue_put_bytes(const trine_queue *q, trine_bytes message);
TRINE_MUST_USE_ int trine_queue_get_bytes(const trine_queue *q, trine_buf *ret_message);

/* The end of the input: putters get -EPIPE, getters take what is left and then get -EPIPE. Closing
 * twice is harmless. 0, or an error of reaching the queue. Does not suspend; any thread. */
TRINE_PUBLIC_ int trine_queue_close(const trine_queue *q);

/* Items in the queue now; a hint, since others go on. Errors: those of reaching the queue. Does not
 * suspend; any thread. */
TRINE_PUBLIC_ int64_t trine_queue_count(const trine_queue *q);

/* Items known to be lost, since the queue was opened: a process died inside trine_queue_put before
 * the item was in, or inside trine_queue_get after it was out. An item that a process had already
 * been given, and dies with, is not counted here: the error of that process's task tells.
 * Errors: those of reaching the queue. Does not suspend; any thread. */
TRINE_PUBLIC_ int64_t trine_queue_lost(const trine_queue *q);

/* Gives back what this process holds of the queue, and sets *q to zero; all zero is fine. Nobody in
 * this process may be in a call on the queue. In the process that opened it this closes the queue
 * too, and what is still in it may be out of reach of the others from then on. In a worker process
 * it is not needed: what is left there goes when the worker ends, or meets its next queue. Does not
 * suspend; any thread. */
TRINE_PUBLIC_ void trine_queue_free(trine_queue *q);

#ifdef __cplusplus
}
#endif
#endif
