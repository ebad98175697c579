/* processes_inside.h - a look inside a process pool, for tests that must catch it in one state. */
#ifndef TESTS_PROCESSES_INSIDE_H
#define TESTS_PROCESSES_INSIDE_H

#include "processes_help.h"

#include "exec/pool.h"

static inline struct pool *inside(trine_executor *e) {
    return container_of(e, struct pool, base);
}

static inline bool try_to_hold(trine_executor *e) {
    return pool_take_place(inside(e));
}

/* The supervisor does nothing from here on: it sends nothing, reads nothing, no limit ends. Not to
 * be held over a call on the pool. */
__attribute__((unused)) static void hold_supervisor(trine_executor *e) {
    CHECK(EVENTUALLY(try_to_hold(e), 20000));
}

static inline void let_supervisor_go(trine_executor *e) {
    pool_leave_place(inside(e));
}

/* While the supervisor is held: this worker, or NULL, when it is gone or is killed already. */
__attribute__((unused)) static struct worker *find_worker(trine_executor *e, pid_t pid) {
    LIST_EACH(node, &inside(e)->workers) {
        struct worker *w = container_of(node, struct worker, node);
        if (w->pid == pid)
            return w->state == WORKER_KILLED ? NULL : w;
    }
    return NULL;
}

/* Bytes on their way through a stream. */
static inline uint64_t on_the_way(const struct stream_memory *m) {
    return atomic_load(&m->put) - atomic_load(&m->taken);
}

/* How many wait for room in the queue. */
__attribute__((unused)) static unsigned count_submitters(trine_executor *e) {
    struct pool *p = inside(e);
    pthread_mutex_lock(&p->lock);
    unsigned n = (unsigned)list_count(&p->submitters);
    pthread_mutex_unlock(&p->lock);
    return n;
}

#endif
