/* outbox.h - how a worker thread gives tasks back: in blocks of many for one loop, which that loop
 * empties when it comes to it, so that a task costs neither a message nor a cache line of its own.
 * An entry can be seen by its loop as soon as it is in. */
#ifndef TRINE_EXEC_OUTBOX_H
#define TRINE_EXEC_OUTBOX_H

#include "core/future.h"

struct outbox_block;

enum { OUTBOX_BLOCKS = 8 };

/* One worker's. */
struct outbox {
    struct outbox_block *open; /* where the next entry goes, NULL: none is begun */
    struct outbox_block *blocks[OUTBOX_BLOCKS];
    unsigned last; /* the block taken last */
};

/* 0 or -ENOMEM. */
int outbox_init(struct outbox *o);
void outbox_done(struct outbox *o);

/* Gives a task back: true, and outbox_tell must follow, after a sequentially consistent operation;
 * until then its loop may not notice. False: there is no room, the loop is far behind; give it back
 * by future_done_remote. */
bool outbox_add(struct outbox *o, struct loop *home, struct trine_future *f, int status);
void outbox_tell(struct outbox *o);

#endif
