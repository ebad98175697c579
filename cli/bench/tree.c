/* tree.c - see tree.h. All processes are looked at once for their parents. Rejected: the lists of
 * children in /proc/PID/task, one a thread, of which a program may have ten thousand. A process may
 * end at any moment: then it counts for nothing. */
#include "bench/tree.h"

#include <ctype.h>
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct process {
    pid_t pid, parent;
};

/* The parent stands two fields after the name, which is in parentheses and may have any in it. */
static pid_t parent_of(const char *pid) {
    char path[64], text[512];
    snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return 0;
    size_t len = fread(text, 1, sizeof(text) - 1, f);
    fclose(f);
    text[len] = '\0';
    const char *after = strrchr(text, ')');
    return after && strlen(after) > 4 ? (pid_t)strtol(after + 4, NULL, 10) : 0;
}

static size_t all_processes(struct process *ret, size_t most) {
    DIR *dir = opendir("/proc");
    size_t n = 0;
    for (struct dirent *d; dir && n < most && (d = readdir(dir));)
        if (isdigit((unsigned char)d->d_name[0]))
            ret[n++] = (struct process){(pid_t)atoi(d->d_name), parent_of(d->d_name)};
    if (dir)
        closedir(dir);
    return n;
}

size_t tree_find(pid_t root, pid_t *ret_pids, size_t most) {
    enum { ALL_MOST = 65536 };
    static struct process all[ALL_MOST];
    size_t count = all_processes(all, ALL_MOST), used = 1;
    ret_pids[0] = root;
    for (size_t i = 0; i < used; i++)
        for (size_t k = 0; k < count && used < most; k++)
            if (all[k].parent == ret_pids[i])
                ret_pids[used++] = all[k].pid;
    return used;
}

/* The number after `field` in a file of the process; 0 when there is none. */
static double field_of(pid_t pid, const char *file, const char *field) {
    char path[64], line[256];
    snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
    FILE *f = fopen(path, "re");
    double value = 0;
    while (f && fgets(line, sizeof(line), f))
        if (strncmp(line, field, strlen(field)) == 0) {
            value = strtod(line + strlen(field), NULL);
            break;
        }
    if (f)
        fclose(f);
    return value;
}

void tree_measure(pid_t root, struct tree_use *ret_use) {
    static pid_t pids[TREE_MOST];
    size_t n = tree_find(root, pids, TREE_MOST);
    *ret_use = (struct tree_use){0};
    for (size_t i = 0; i < n; i++) {
        long threads = (long)field_of(pids[i], "status", "Threads:");
        ret_use->memory += field_of(pids[i], "smaps_rollup", "Pss:") * 1024;
        ret_use->threads += threads;
        ret_use->processes += threads > 0;
    }
}
