/* help.c - see help.h. A task that runs here is not seen by those who would tell it to end; but it
 * runs inside of the scope that it belongs to, so its waits end with that. Rejected: running any
 * task of the pool (see help.h); a limit to how deep such waits nest (their stack is the thread's,
 * as if the tasks called each other). */
#include "core/help.h"

#include "core/scope.h"

/* It is in its scope, not in those that the waiting thread has opened inside of that. */
static bool run_here(struct trine_future *f, struct strand *self, int *ret_status) {
    struct scope *inner = self->scope;
    self->scope = f->scope;
    bool ran = f->on->kind->run_here(f->on, f, self, ret_status);
    self->scope = inner;
    if (ran && inner != f->scope)
        scope_refresh(self, inner); /* what ended meanwhile could not reach them */
    return ran;
}

bool help_with(struct trine_future *f, struct strand *self) {
    int status;
    if (self->stack || f->state != FUTURE_STARTED || !f->on || !helps_here(f->on, self->loop) ||
        !run_here(f, self, &status))
        return false;
    self->loop->current = NULL;
    scope_task_done(f->scope, f, status);
    self->loop->current = self;
    return true;
}

bool help_in(struct scope *s, struct strand *self) {
    unsigned before = s->running + s->waiting;
    loop_drain_inbox(self->loop); /* what is done needs no help */
    if (s->running + s->waiting != before)
        return true;
    LIST_EACH(node, &s->tasks) {
        struct trine_future *f = container_of(node, struct trine_future, in_scope);
        if (f->kind == RECORD_TASK && help_with(f, self))
            return true;
    }
    return false;
}
