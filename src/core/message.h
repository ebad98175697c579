/* message.h - how threads tell each other things: a message is posted to a loop and handled there,
 * on the loop's thread. It lives in the sender's or the receiver's object: posting never allocates.
 * Messages from one thread arrive in the order in which they were posted. */
#ifndef TRINE_CORE_MESSAGE_H
#define TRINE_CORE_MESSAGE_H

#include "base/seam.h"

struct loop;

struct message {
    struct message *next;
    void (*handle)(struct message *); /* may reuse or free what the message lives in */
};

/* Hands the message over and wakes the loop's thread if it sleeps. Any thread; after this call the
 * message belongs to the receiver. A message must not be posted again before it was handled. */
void loop_post(struct loop *to, struct message *m) SEAM(loop_post);

/* Its two parts, for who posts many: hands messages over that are linked from the last to the
 * first; wakes the thread if it sleeps. */
void loop_post_chain(struct loop *to, struct message *newest, struct message *oldest);
void loop_wake(struct loop *to);

/* Wakes it after n tasks have come back well, which it may not have waited for one by one. */
void loop_wake_for(struct loop *to, int n);

#endif
