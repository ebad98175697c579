/* spawn.c - see spawn.h. posix_spawn and not fork: the program may have threads, and a fork copies
 * page tables (0.7 ms and up here). Descriptors are closed by number in the child, since those that
 * the program's other code opened need not be close-on-exec.
 *
 * Invariant: a source descriptor is never overwritten before it was copied, because those that lie
 * in the range of targets are first duplicated above it. */
#include "base/spawn.h"

#include "base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <unistd.h>

extern char **environ;

struct plan {
    int sources[SPAWN_FDS_MAX]; /* SPAWN_NULL: /dev/null */
    int copies[SPAWN_FDS_MAX];  /* ours to close; -1: none */
    size_t n;
};

static void plan_done(struct plan *plan) {
    for (size_t i = 0; i < plan->n; i++)
        if (plan->copies[i] >= 0)
            close(plan->copies[i]);
}

static int plan_init(struct plan *plan, const int *fds, size_t n) {
    plan->n = 0;
    for (size_t i = 0; i < n; i++) {
        int fd = fds[i] >= 0 && fcntl(fds[i], F_GETFD) >= 0 ? fds[i] : SPAWN_NULL;
        plan->copies[i] = -1;
        plan->n = i + 1;
        if (fd >= 0 && fd < (int)n && fd != (int)i) {
            fd = FAULT(fcntl(fd, F_DUPFD_CLOEXEC, (int)n), -1, EMFILE);
            if (fd < 0) {
                int error = -errno;
                plan_done(plan);
                return error;
            }
            plan->copies[i] = fd;
        }
        plan->sources[i] = fd;
    }
    return 0;
}

static int add_actions(posix_spawn_file_actions_t *actions, const struct plan *plan) {
    int error = 0;
    for (size_t i = 0; i < plan->n && !error; i++) {
        if (plan->sources[i] == SPAWN_NULL)
            error = posix_spawn_file_actions_addopen(actions, (int)i, "/dev/null", O_RDWR, 0);
        else /* the same number twice takes close-on-exec off */
            error = posix_spawn_file_actions_adddup2(actions, plan->sources[i], (int)i);
    }
    if (!error)
        error = posix_spawn_file_actions_addclosefrom_np(actions, (int)plan->n);
    return error;
}

static int set_attributes(posix_spawnattr_t *attributes) {
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    int error = posix_spawnattr_setsigdefault(attributes, &all);
    if (!error)
        error = posix_spawnattr_setsigmask(attributes, &none);
    if (!error)
        error = posix_spawnattr_setpgroup(attributes, 0);
    if (!error)
        error =
            posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK |
                                                     POSIX_SPAWN_SETPGROUP);
    return error;
}

/* Like posix_spawn itself these give positive errnos. */
static int spawn_planned(const char *path, char *const *argv, const struct plan *plan, pid_t *ret) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error = posix_spawn_file_actions_init(&actions);
    if (error)
        return error;
    error = posix_spawnattr_init(&attributes);
    if (!error) {
        error = add_actions(&actions, plan);
        if (!error)
            error = set_attributes(&attributes);
        if (!error)
            error = posix_spawn(ret, path, &actions, &attributes, argv, environ);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

int spawn_process(const char *path, char *const *argv, const int *fds, size_t n, pid_t *ret_pid) {
    if (n > SPAWN_FDS_MAX)
        return -EINVAL;
    struct plan plan = {.n = 0};
    int error = plan_init(&plan, fds, n);
    if (error < 0)
        return error;
    pid_t pid = -1;
    error = -spawn_planned(path, argv, &plan, &pid);
    plan_done(&plan);
    if (error < 0)
        return error;
    *ret_pid = pid;
    return 0;
}
