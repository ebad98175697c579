/* limits.c - what time and memory a task may use before its worker is struck, what a worker may
 * before it is replaced; and the steps of a cancellation, which are limits of time as well. What
 * the kernel limits (address space, CPU time) it was told at its start, in worker.c. */
#include "exec/batch.h"
#include "exec/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define MEMORY_LOOK_EVERY TRINE_MS(100)

/* So often one that is over its limit is let go on, since it has begun its next task: the answer
 * to the present one is on its way then, or it lies. */
enum { LOOKS_MOST = 3 };

/* So often, every ms, what is ahead of a task is asked for before its worker is struck. */
enum { TRIES_MOST = 100 };

/* Memory of its own that is resident, or 0 when that cannot be told. */
static size_t resident(pid_t pid) {
    char path[40], text[128];
    snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, text, sizeof(text) - 1);
    close(fd);
    unsigned long all, shared;
    text[n > 0 ? n : 0] = '\0';
    if (sscanf(text, "%*u %lu %lu", &all, &shared) != 2 || shared > all)
        return 0;
    return (all - shared) * (size_t)sysconf(_SC_PAGESIZE);
}

bool worker_is_used_up(struct worker *w) {
    const struct pool *p = w->pool;
    /* The turn's time stands still while others work in the supervisor's place. */
    int64_t now = p->max_age || p->max_resident ? loop_read_clock(p->loop) : 0;
    if ((p->max_tasks && w->tasks >= p->max_tasks) || (p->max_age && now - w->born >= p->max_age))
        w->used_up = true;
    if (p->max_resident && now - w->looked >= MEMORY_LOOK_EVERY) {
        w->looked = now;
        w->used_up |= resident(w->pid) > p->max_resident;
    }
    return w->used_up;
}

void worker_check_memory(struct timer *t) {
    struct worker *w = container_of(t, struct worker, memory_check);
    size_t limit = w->pool->limit_memory;
    if (resident(w->pid) > limit) {
        uint64_t present = worker_sent(w, 0)->frame.sequence;
        worker_receive(w); /* it may have answered, which starts this anew if there is another */
        if (w->state != WORKER_BUSY || worker_sent(w, 0)->frame.sequence != present)
            return;
        if (worker_return_ahead(w) || w->looks++ >= LOOKS_MOST) {
            worker_kill(w, -ENOMEM,
                        failure_new(SIGKILL, "memory limit of %g MiB", (double)limit / (1 << 20)));
            return;
        }
    }
    loop_timer_start(w->pool->loop, &w->memory_check, MEMORY_CHECK_EVERY);
}

/* --- time --- */

/* Of the task that it runs; 0: none. */
static int64_t time_limit(struct worker *w) {
    const struct trine_future *f = worker_task(w);
    return f->options && f->own.timeout ? f->own.timeout : w->pool->task_timeout;
}

void worker_start_limits(struct worker *w) {
    struct pool *p = w->pool;
    int64_t timeout = time_limit(w);
    if (timeout && future_is_batch(worker_task(w)) && timeout < INT64_MAX - BATCH_LONGEST)
        timeout += BATCH_LONGEST; /* its last one has all of its time, too */
    if (timeout)
        loop_timer_start(p->loop, &w->deadline, timeout);
    if (p->limit_memory && !w->ended)
        loop_timer_start(p->loop, &w->memory_check, MEMORY_CHECK_EVERY);
}

/* Before its task is ended by a signal: what was sent ahead must not meet it. False: it has begun
 * the next one, so the answer is on its way, or it lies; it is looked at again soon. */
static bool can_be_struck(struct worker *w) {
    if (worker_return_ahead(w) || w->tries++ >= TRIES_MOST)
        return true;
    loop_timer_start(w->pool->loop, &w->deadline, TRINE_MS(1));
    return false;
}

/* The second step of a cancellation; the first was the flag, the third is the worker's end. */
static void terminate(struct worker *w) {
    w->terminated = w->used_up = true;
    worker_signal(w, SIGTERM);
    loop_timer_start(w->pool->loop, &w->deadline, w->pool->grace - w->pool->grace / 2);
}

/* We may be late, not the worker; or its follower is: what it has reported is dropped when the
 * answer may lie behind that. */
static void take_answer(struct worker *w, uint64_t sequence) {
    worker_receive(w);
    for (size_t i = 0; i <= STREAM_BYTES / WIRE_HEADER && w->piece_waits; i++) {
        if (worker_sent(w, 0)->frame.sequence != sequence ||
            (!atomic_load(&worker_task(w)->cancel) && worker_return_ahead(w)))
            return;
        worker_drop_piece(w);
        worker_receive(w);
    }
}

void worker_deadline_passed(struct timer *t) {
    struct worker *w = container_of(t, struct worker, deadline);
    if (w->ended) {
        worker_end_goes_on(w, true);
    } else if (w->state == WORKER_BUSY) {
        uint64_t late = worker_sent(w, 0)->frame.sequence;
        take_answer(w, late);
        if (w->state != WORKER_BUSY || worker_sent(w, 0)->frame.sequence != late ||
            !can_be_struck(w))
            return;
        if (atomic_load(&worker_task(w)->cancel) && !w->terminated)
            terminate(w);
        else if (w->terminated)
            worker_kill(w, -ECANCELED, failure_new(0, "it was cancelled"));
        else
            worker_kill(w, -ETIME,
                        failure_new(SIGKILL, "time limit of %g s", (double)time_limit(w) / 1e9));
    } else {
        worker_kill(w, -ETIME, failure_new(SIGKILL, "worker %d did not start", (int)w->pid));
    }
}
