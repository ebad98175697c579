/* uses.c - the executors that a scope has started tasks in. It keeps their memory: one may be
 * closed by another thread while what was done in it has not come back here yet, or while a task
 * waits to be let in; a cancellation still asks it then. */
#include "core/scope.h"

#include "base/fault.h"
#include "core/executor.h"

#include <errno.h>
#include <stdlib.h>

struct scope_use {
    struct scope_use *next;
    struct trine_executor *executor;
};

/* Makes it the last one; the one that was goes among the others, in `u`. */
static int become_last(struct scope *s, struct trine_executor *on, struct scope_use *u) {
    if (u)
        u->executor = s->uses;
    s->uses = on;
    return 0;
}

static bool is_done_with(const struct scope *s, struct trine_executor *e) {
    if (atomic_load(executor_refs(e)) > 1)
        return false;
    LIST_EACH(node, &s->tasks) {
        const struct trine_future *f = container_of(node, struct trine_future, in_scope);
        if (f->kind == RECORD_TASK && f->on == e)
            return false;
    }
    return true;
}

/* Those that were closed since, and have no task here any more. With a limit one may wait for its
 * place, in no list. */
static void let_closed_go(struct scope *s) {
    for (struct scope_use **at = &s->other_uses, *u; !s->limit && (u = *at);) {
        if (!is_done_with(s, u->executor)) {
            at = &u->next;
            continue;
        }
        *at = u->next;
        executor_let_go(u->executor);
        free(u);
    }
}

int scope_use(struct scope *s, struct trine_executor *on) {
    struct scope_use *u = s->other_uses;
    while (u && u->executor != on)
        u = u->next;
    if (u)
        return become_last(s, on, u);
    let_closed_go(s);
    if (s->uses) {
        u = FAULT(malloc(sizeof(*u)), NULL, ENOMEM);
        if (!u)
            return -ENOMEM;
        u->next = s->other_uses;
        s->other_uses = u;
    }
    executor_keep(on);
    return become_last(s, on, u);
}

void scope_end_uses(struct scope *s) {
    for (struct scope_use *u; (u = s->other_uses);) {
        s->other_uses = u->next;
        executor_let_go(u->executor);
        free(u);
    }
    if (s->uses)
        executor_let_go(s->uses);
}
