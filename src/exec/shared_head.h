/* shared_head.h - how memory begins that processes share: how it is found again, and how they wait
 * for a change in it. */
#ifndef TRINE_EXEC_SHARED_HEAD_H
#define TRINE_EXEC_SHARED_HEAD_H

#include "base/futex.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct shared_head {
    uint64_t id;         /* as in trine_shared */
    atomic_bool freed;   /* by who opened it: nobody finds it any more */
    atomic_bool awaited; /* somebody may sleep on `changed` */
    atomic_uint changed; /* a futex */
};

static inline unsigned shared_changed(struct shared_head *h) {
    return atomic_load_explicit(&h->changed, memory_order_acquire);
}

/* Sleeps until shared_changed(h) is not `seen`, for `most` ns (INT64_MAX: no limit), or for no
 * reason. */
static inline void shared_sleep(struct shared_head *h, unsigned seen, int64_t most) {
    futex_wait_shared(&h->changed, seen, most);
}

/* Ends the sleep of all, for them to look again. */
static inline void shared_rouse(struct shared_head *h) {
    atomic_fetch_add(&h->changed, 1);
    futex_wake_shared(&h->changed, INT_MAX);
}

#endif
