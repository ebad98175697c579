/* lookout.c - a thread whose loop looks on before it sleeps looks for the results of a process pool
 * as well: it works in the supervisor's place, which sleeps, so neither need be woken.
 *
 * While it looks it holds `driving`, and the workers that are busy do not ring. The supervisor may
 * want to work meanwhile, get a message, or have to know of a timer: then the looking ends.
 *
 * A loop looks out for one pool at a time: the first that it gave a task to while it had none
 * there. It keeps a reference, since who closes the pool does not wait until a result that was
 * handed back has been noticed. Rejected: results straight to the owner's loop (it would have to
 * understand frames that a hostile worker writes, beside the supervisor). */
#include "exec/pool.h"

static bool begin(void *pool) {
    struct pool *p = pool;
    if (!pool_take_place(p))
        return false;
    LIST_EACH(node, &p->workers) {
        struct worker *w = container_of(node, struct worker, node);
        w->looked_at = w->state == WORKER_BUSY;
        if (w->looked_at)
            stream_reader_looks(&w->memory.in);
    }
    return true;
}

static bool look(void *pool) {
    struct pool *p = pool;
    bool any = false;
    LIST_EACH(node, &p->workers) {
        struct worker *w = container_of(node, struct worker, node);
        if (!w->looked_at || !stream_ready_for(&w->memory.in, 1))
            continue;
        any = true;
        worker_receive(w); /* after it the worker rings again */
        w->looked_at = w->state == WORKER_BUSY;
        if (w->looked_at)
            stream_reader_looks(&w->memory.in);
    }
    if (any)
        pool_settle(p);
    return !pool_is_wanted(p);
}

static void end(void *pool) {
    struct pool *p = pool;
    LIST_EACH(node, &p->workers) {
        struct worker *w = container_of(node, struct worker, node);
        if (w->looked_at)
            worker_receive(w);
        w->looked_at = false;
    }
    pool_settle(p);
    pool_leave_place(p);
}

void pool_look_out(struct pool *p, struct trine_future *f) {
    static const struct lookout_kind kind = {begin, look, end};
    struct loop *l = f->home;
    if (l->spin <= 0 || (l->lookout.tasks && l->lookout.of != p))
        return;
    if (!l->lookout.tasks++) {
        l->lookout.kind = &kind;
        l->lookout.of = p;
        executor_keep(&p->base);
    }
    f->looked_out_for = true;
}

void pool_noticed(struct message *m) {
    struct trine_future *f = container_of(m, struct trine_future, done);
    struct lookout *o = &f->home->lookout;
    if (--o->tasks == 0) {
        o->kind = NULL;
        executor_let_go(&((struct pool *)o->of)->base);
    }
    future_came_back(m);
}
