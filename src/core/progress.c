/* progress.c - pieces of a task's result that reach who follows it before the task is done, through
 * a channel, whose bound holds up a task that is faster. Rejected: a callback on the owner's loop
 * (it could not hold anybody up, and would be a second way to hear of things beside waiting). */
#include "core/progress.h"

#include <trine/task.h>

#include "core/future.h"
#include "core/strand.h"

static _Thread_local int (*to_the_program)(const void *bytes, size_t len);

void progress_goes_to(int (*take)(const void *bytes, size_t len)) {
    to_the_program = take;
}

int trine_progress(const void *bytes, size_t len) {
    struct strand *self = strand_self();
    if (!self)
        return -EAGAIN;
    const struct trine_future *f = self->task;
    trine_channel *follower = f && f->options ? f->own.progress : NULL;
    if (!follower)
        return to_the_program ? to_the_program(bytes, len) : 0;
    trine_buf piece = {0};
    int r = trine_buf_append(&piece, bytes, len);
    if (r == 0)
        r = trine_channel_send(follower, &piece);
    if (r < 0)
        trine_buf_free(&piece);
    return r;
}
