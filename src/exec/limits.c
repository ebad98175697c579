/* limits.c - what a worker process may use before its task fails, and before it is replaced. What
 * the kernel limits (address space, CPU time) it was told at its start, in worker.c. */
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
    if (resident(w->pid) > limit && (worker_return_ahead(w) || w->tries++ >= LOOKS_MOST))
        worker_kill(w, -ENOMEM,
                    failure_new(SIGKILL, "memory limit of %g MiB", (double)limit / (1 << 20)));
    else
        loop_timer_start(w->pool->loop, &w->memory_check, MEMORY_CHECK_EVERY);
}
