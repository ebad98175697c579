/* stuck.c - everybody waits and nothing is pending: the program would wait for ever. That is
 * certain only where no other thread is there to end a wait, and the kernel has been asked for
 * nothing; a process with more threads may hang as well, but nobody here can tell.
 *
 * Threads are counted by /proc, not by what the library started: the program's own count too. */
#include "core/stuck.h"

#include <trine/debug.h>

#include "base/panic.h"
#include "core/loop.h"
#include "core/watchdog.h"

#include <dirent.h>
#include <unistd.h>

static unsigned threads(void) {
    DIR *tasks = opendir("/proc/self/task");
    unsigned n = 0;
    for (struct dirent *entry; tasks && (entry = readdir(tasks));)
        n += entry->d_name[0] != '.';
    if (tasks)
        closedir(tasks);
    return n;
}

bool loop_may_be_stuck(const struct loop *l) {
    return !l->backend || (l->backend->kind->idle && l->backend->kind->idle(l->backend));
}

void loop_report_if_stuck(const struct loop *l) {
    if (!loop_may_be_stuck(l) || threads() != 1 + watchdog_threads())
        return;
    if (atomic_load(&l->inbox)) /* of a thread that has ended by now: none comes after this look */
        return;
    trine_dump(STDERR_FILENO);
    panic("deadlock: all tasks wait, and nobody is left who could end a wait; what each waits for "
          "stands above");
}
