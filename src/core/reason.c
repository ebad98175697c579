/* reason.c - why a task is to end, and what error codes mean. A wait gives -ECANCELED or
 * -ETIMEDOUT; the reason behind it is with the scope that decided, further out, or was left in the
 * task's record when it was marked, for other threads to read. */
#include <trine/task.h>

#include "core/enter.h"

#include <string.h>

int scope_why(const struct scope *s) {
    while (s->rank == RANK_OUTER && s->outer && s->outer->reason)
        s = s->outer;
    const struct trine_future *task = s->owner->task;
    int why = s->rank == RANK_OUTER && task ? atomic_load(&task->why) : 0;
    return why ? why : s->outcome ? s->outcome : s->reason;
}

const char *trine_task_name(void) {
    struct strand *self = strand_self();
    return self && self->task ? future_name(self->task) : NULL;
}

int trine_cancel_reason(void) {
    struct strand *self = strand_self();
    if (!self)
        return 0;
    if (self->scope)
        return self->scope->reason ? scope_why(self->scope) : 0;
    int reason = strand_reason_here(self), why = self->task ? atomic_load(&self->task->why) : 0;
    return reason && why ? why : reason;
}

const char *trine_strerror(int code) {
    switch (code) {
    case -ECANCELED:
        return "it was cancelled: the scope around it is ending";
    case -ETIMEDOUT:
        return "the deadline of the scope around it has passed";
    case -ETIME:
        return "the time that the call was given is over";
    case -EAGAIN:
        return "it would have to wait, where nothing may wait";
    case -EDEADLK:
        return "it would wait for itself";
    case -ESHUTDOWN:
        return "what it was given to is closing";
    case -EPIPE:
        return "the other side is closed";
    case -EBADF:
        return "it was closed meanwhile";
    case -EPROTO:
        return "it ended without having done what was agreed";
    default:
        break;
    }
    const char *words = code < 0 ? strerrordesc_np(-code) : "success";
    return words ? words : "an unknown error";
}
