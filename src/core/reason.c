/* reason.c - why a task is to end, and what error codes mean. A wait gives -ECANCELED or
 * -ETIMEDOUT; the reason behind it is with the scope that decided, further out, or was left in the
 * task's record when it was marked, for other threads to read. */
#include <trine/task.h>

#include "core/enter.h"
#include "core/task.h"

#include <string.h>

/* With what the task that runs there was cancelled, from outside of it; 0: it was not. */
static int why_of_task(const struct strand *s) {
    return s->task ? atomic_load(&s->task->why) : task_flag_why();
}

int scope_why(const struct scope *s) {
    while (s->rank == RANK_OUTER && s->outer && s->outer->reason)
        s = s->outer;
    int why = s->rank == RANK_OUTER ? why_of_task(s->owner) : 0;
    return why ? why : s->outcome ? s->outcome : s->reason;
}

int strand_why(const struct strand *s) {
    return s->scope ? scope_why(s->scope) : why_of_task(s);
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
    int reason = strand_reason_here(self), why = why_of_task(self);
    if (!self->task && why) /* in a worker process, where it may not have waited since */
        return why;
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
