/* outbox.c - see outbox.h.
 *
 * Invariants: a block is its worker's (state 0 or OUT_OPEN) until it says OUT_LAST, then its
 * loop's, which gives it back when it has emptied it. It is posted at most once at a time: who sets
 * OUT_POSTED posts it, and the loop clears that before it looks. Blocks are never freed, only kept
 * for the next worker: one may lie in the inbox of a loop whose thread has ended.
 *
 * The worker adds, then looks whether the block is posted; the loop clears that, then looks what
 * was added: one of the two sees the other, since both are in the one order of sequentially
 * consistent operations. Rejected: a message a task (an atomic operation on the loop's inbox and
 * the record's cache line each: twice the cost of all else). */
#include "exec/outbox.h"

#include "base/fault.h"
#include "core/loop.h"
#include "core/scope.h"
#include "exec/crew.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

enum { ENTRIES = 256 };
enum { OUT_OPEN = 1, OUT_POSTED = 2, OUT_LAST = 4 };

struct outbox_block {
    struct message message;
    struct loop *home;
    struct outbox_block *next_unused;
    unsigned seen;    /* the loop's: entries that it has taken */
    unsigned written; /* the worker's: how many there are */
    _Alignas(64) atomic_uint state;
    atomic_uint count; /* what is written can be read */
    _Alignas(64) struct entry {
        struct trine_future *task;
        int status;
    } entries[ENTRIES];
};

static pthread_mutex_t unused_lock = PTHREAD_MUTEX_INITIALIZER;
static struct outbox_block *unused;

/* --- the loop's side --- */

static void empty_block(struct message *m) {
    struct outbox_block *b = container_of(m, struct outbox_block, message);
    unsigned state = atomic_fetch_and(&b->state, ~(unsigned)OUT_POSTED);
    for (unsigned count; b->seen < (count = atomic_load(&b->count));)
        while (b->seen < count) {
            struct entry e = b->entries[b->seen++];
            crew_await_cancel(e.task);
            scope_task_done(e.task->scope, e.task, e.status);
        }
    if (state & OUT_LAST)
        atomic_store_explicit(&b->state, 0, memory_order_release);
}

/* --- the worker's --- */

static struct outbox_block *block_new(void) {
    pthread_mutex_lock(&unused_lock);
    struct outbox_block *b = unused;
    if (b)
        unused = b->next_unused;
    pthread_mutex_unlock(&unused_lock);
    if (!b && (b = FAULT(aligned_alloc(64, sizeof(*b)), NULL, ENOMEM)))
        atomic_init(&b->state, 0);
    return b;
}

int outbox_init(struct outbox *o) {
    *o = (struct outbox){0};
    for (int i = 0; i < OUTBOX_BLOCKS; i++)
        if (!(o->blocks[i] = block_new())) {
            outbox_done(o);
            return -ENOMEM;
        }
    return 0;
}

/* Nothing more comes into the open block. */
static void finish(struct outbox *o) {
    struct outbox_block *b = o->open;
    o->open = NULL;
    if (!(atomic_fetch_or(&b->state, OUT_LAST | OUT_POSTED) & OUT_POSTED))
        loop_post(b->home, &b->message);
}

void outbox_done(struct outbox *o) {
    if (o->open)
        finish(o);
    pthread_mutex_lock(&unused_lock);
    for (int i = 0; i < OUTBOX_BLOCKS; i++)
        if (o->blocks[i]) {
            o->blocks[i]->next_unused = unused;
            unused = o->blocks[i];
        }
    pthread_mutex_unlock(&unused_lock);
}

static struct outbox_block *begin(struct outbox *o, struct loop *home) {
    for (unsigned i = 1; i <= OUTBOX_BLOCKS; i++) {
        unsigned at = (o->last + i) % OUTBOX_BLOCKS;
        struct outbox_block *b = o->blocks[at];
        if (atomic_load_explicit(&b->state, memory_order_acquire))
            continue;
        o->last = at;
        b->message.handle = empty_block;
        b->home = home;
        b->seen = b->written = 0;
        atomic_store_explicit(&b->count, 0, memory_order_relaxed);
        atomic_store_explicit(&b->state, OUT_OPEN, memory_order_relaxed);
        return o->open = b;
    }
    return NULL;
}

bool outbox_add(struct outbox *o, struct loop *home, struct trine_future *f, int status) {
    struct outbox_block *b = o->open;
    if (b && (b->home != home || b->written == ENTRIES)) {
        finish(o);
        b = NULL;
    }
    if (!b && !(b = begin(o, home)))
        return false;
    b->entries[b->written] = (struct entry){f, status};
    atomic_store_explicit(&b->count, ++b->written, memory_order_release);
    return true;
}

void outbox_tell(struct outbox *o) {
    struct outbox_block *b = o->open;
    if (b && !(atomic_load(&b->state) & OUT_POSTED) &&
        !(atomic_fetch_or(&b->state, OUT_POSTED) & OUT_POSTED))
        loop_post(b->home, &b->message);
}
