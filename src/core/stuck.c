/* stuck.c - everybody waits and nothing is pending: the program would wait for ever. That is
 * certain only where each thread is known to rest, and the kernel has been asked for nothing; with
 * threads that the library knows nothing of nobody here can tell. So threads are counted by /proc.
 *
 * They are looked at one after the other. One that was awake may have called one looked at before
 * and then have gone to rest itself: but whoever goes to rest counts that before he does, so that
 * the look is seen to be worth nothing. Who was called rests no more, whether it has noticed or
 * not.
 */
#include "core/stuck.h"

#include <trine/debug.h>

#include "base/panic.h"
#include "core/dump.h"
#include "core/loop.h"
#include "core/watchdog.h"

#include <sys/stat.h>
#include <unistd.h>

/* As the kernel counts them; 0: it does not tell. Not by reading the directory: that ends early
 * where a thread ends just then, and the threads behind it are missed. */
static unsigned threads(void) {
    enum { OTHER_LINKS = 2 };
    struct stat tasks;
    if (stat("/proc/self/task", &tasks) < 0 || tasks.st_nlink < OTHER_LINKS)
        return 0;
    return (unsigned)tasks.st_nlink - OTHER_LINKS;
}

bool loop_may_be_stuck(const struct loop *l) {
    return !l->backend || (l->backend->kind->idle && l->backend->kind->idle(l->backend));
}

static atomic_uint rests;

void rest_begin(struct loop *l) {
    atomic_fetch_add(&rests, 1);
    atomic_store(&l->rests, true);
}

void rest_end(struct loop *l) {
    atomic_store(&l->rests, false);
}

/* Another thread's. */
static bool is_at_rest(struct loop *l) {
    const atomic_size_t *work = atomic_load(&l->serves);
    if (work && atomic_load(work))
        return false;
    return atomic_load(&l->rests) && !atomic_load(&l->inbox);
}

static void count_resting(struct loop *l, void *count) {
    *(unsigned *)count += is_at_rest(l);
}

/* Of those at rest one may just have woken to look for itself. */
static void dump_other(struct loop *l, void *self) {
    if (l != self && l->thread.wait)
        loop_dump(l, STDERR_FILENO);
}

void loop_report_if_stuck(struct loop *l) {
    unsigned before = atomic_load(&rests), resting = 0;
    if (!loop_may_be_stuck(l))
        return;
    loops_each(count_resting, &resting);
    if (threads() != 1 + resting + watchdog_threads() || atomic_load(&rests) != before)
        return;
    if (atomic_load(&l->inbox)) /* of a thread that has ended by now: none comes after this look */
        return;
    l->now = loop_read_clock(l);
    trine_dump(STDERR_FILENO);
    loops_each(dump_other, l);
    panic("deadlock: all tasks wait, and nobody is left who could end a wait; what each waits for "
          "stands above");
}
