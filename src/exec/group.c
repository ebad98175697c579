/* group.c - see group.h. Rejected: groups made unasked next to the program's own (a group with
 * processes in it may have no limited children, so the program would have to move itself). */
#include "exec/group.h"

#include "base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { CPU_PERIOD = 100000 }; /* us */

struct group_name {
    char text[64];
};

static struct group_name name_of(const struct groups *g, uint32_t worker, const char *file) {
    struct group_name n;
    snprintf(n.text, sizeof(n.text), "trine-%08x-%u%s", g->pool, worker, file);
    return n;
}

/* --- files --- */

static int write_file(int dir, const char *name, const char *format, ...) {
    char text[64];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    int fd = openat(dir, name, O_WRONLY | O_CLOEXEC);
    int r = fd < 0 || write(fd, text, (size_t)len) < 0 ? -errno : 0;
    if (fd >= 0)
        close(fd);
    return r;
}

static int read_file(int dir, const char *name, char *ret_text, size_t size) {
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, ret_text, size - 1);
    int r = n < 0 ? -errno : 0;
    ret_text[n > 0 ? n : 0] = '\0';
    if (fd >= 0)
        close(fd);
    return r;
}

/* Is the word in the list that the file holds? */
static bool has_word(int dir, const char *name, const char *word) {
    char text[512], *rest = NULL;
    if (read_file(dir, name, text, sizeof(text)) < 0)
        return false;
    for (char *w = strtok_r(text, " \n", &rest); w; w = strtok_r(NULL, " \n", &rest))
        if (strcmp(w, word) == 0)
            return true;
    return false;
}

/* --- the directory --- */

static int enable(int dir, const char *controller) {
    if (has_word(dir, "cgroup.subtree_control", controller))
        return 0;
    if (!has_word(dir, "cgroup.controllers", controller))
        return -ENOTSUP;
    return write_file(dir, "cgroup.subtree_control", "+%s", controller);
}

int groups_open(struct groups *g, const char *path, const struct group_limits *limits) {
    uint32_t mark = 0; /* no other pool's, of any program that was given the directory */
    int dir = FAULT(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), -1, EMFILE);
    struct statfs kind;
    if (dir < 0)
        return -errno;
    int r = fstatfs(dir, &kind) < 0 ? -errno : kind.f_type != CGROUP2_SUPER_MAGIC ? -ENOTSUP : 0;
    if (r == 0 && limits->memory)
        r = enable(dir, "memory");
    if (r == 0 && limits->cpu_percent)
        r = enable(dir, "cpu");
    if (r == 0 && getrandom(&mark, sizeof(mark), 0) != sizeof(mark))
        r = -EAGAIN;
    if (r < 0) {
        close(dir);
        return r;
    }
    *g = (struct groups){.dir = dir, .pool = mark | 1, .limits = *limits};
    return 0;
}

/* --- a worker's --- */

static bool is_removed(struct groups *g, uint32_t worker) {
    return unlinkat(g->dir, name_of(g, worker, "").text, AT_REMOVEDIR) == 0 || errno != EBUSY;
}

static void remove_left(struct groups *g) {
    size_t kept = 0;
    for (size_t i = 0; i < g->left_count; i++)
        if (!is_removed(g, g->left[i]))
            g->left[kept++] = g->left[i];
    g->left_count = kept;
}

void groups_close(struct groups *g) {
    if (!groups_are_used(g))
        return;
    remove_left(g);
    for (int i = 0; i < 1000 && g->left_count; i++) { /* what was killed is on its way out */
        usleep(1000);
        remove_left(g);
    }
    free(g->left);
    close(g->dir);
    *g = (struct groups){0};
}

static int apply_limits(struct groups *g, uint32_t worker) {
    const struct group_limits *l = &g->limits;
    int r = 0;
    if (l->memory) {
        r = write_file(g->dir, name_of(g, worker, "/memory.max").text, "%llu",
                       (unsigned long long)l->memory);
        write_file(g->dir, name_of(g, worker, "/memory.swap.max").text, "0"); /* if it has swap */
    }
    if (r == 0 && l->cpu_percent)
        r = write_file(g->dir, name_of(g, worker, "/cpu.max").text, "%llu %d",
                       (unsigned long long)l->cpu_percent * (CPU_PERIOD / 100), CPU_PERIOD);
    return r;
}

static int open_entry(struct groups *g, uint32_t worker) {
    struct group_name name = name_of(g, worker, "/cgroup.procs");
    int fd = FAULT(openat(g->dir, name.text, O_WRONLY | O_CLOEXEC), -1, EMFILE);
    return fd < 0 ? -errno : fd;
}

int group_make(struct groups *g, uint32_t worker) {
    remove_left(g);
    if (FAULT(mkdirat(g->dir, name_of(g, worker, "").text, 0755), -1, ENOSPC) < 0)
        return -errno;
    int r = faccessat(g->dir, name_of(g, worker, "/cgroup.kill").text, W_OK, 0) < 0 ? -ENOTSUP : 0;
    if (r == 0)
        r = apply_limits(g, worker);
    if (r == 0)
        r = open_entry(g, worker);
    if (r < 0)
        unlinkat(g->dir, name_of(g, worker, "").text, AT_REMOVEDIR);
    return r;
}

/* Later; when there is no memory to remember it, an empty directory stays. */
static void leave(struct groups *g, uint32_t worker) {
    if (g->left_count == g->left_room) {
        size_t room = g->left_room + 16;
        uint32_t *grown = FAULT(realloc(g->left, room * sizeof(*grown)), NULL, ENOMEM);
        if (!grown)
            return;
        g->left = grown;
        g->left_room = room;
    }
    g->left[g->left_count++] = worker;
}

void group_remove(struct groups *g, uint32_t worker) {
    if (is_removed(g, worker))
        return;
    write_file(g->dir, name_of(g, worker, "/cgroup.kill").text, "1");
    if (!is_removed(g, worker))
        leave(g, worker);
}

bool group_was_short_of_memory(struct groups *g, uint32_t worker) {
    char text[512];
    unsigned long long kills = 0;
    if (read_file(g->dir, name_of(g, worker, "/memory.events").text, text, sizeof(text)) < 0)
        return false;
    const char *line = strstr(text, "oom_kill ");
    return line && sscanf(line, "oom_kill %llu", &kills) == 1 && kills > 0;
}
