/* processes_help.h - for the tests of the process pool: pools, and a look at who lives. */
#ifndef TESTS_PROCESSES_HELP_H
#define TESTS_PROCESSES_HELP_H

#define TEST_TRINE_INIT
#include "test.h"

#include <trine.h>

#include <ctype.h>
#include <dirent.h>

/* A crash is to look like one, not like a sanitizer's report. */
__attribute__((visibility("default"), used)) const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return "handle_segv=0:handle_abort=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0";
}
__attribute__((visibility("default"), used)) const char *__tsan_default_options(void);
const char *__tsan_default_options(void) {
    return "handle_segv=0:handle_abort=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0";
}

__attribute__((unused)) static trine_executor *pool_open(trine_processes_opts opts) {
    trine_executor *pool = NULL;
    opts.size = sizeof(opts);
    CHECK_OK(trine_processes_open(&pool, &opts));
    return pool;
}

/* The parent of a process, and its state ('Z' is dead); 0 when it is gone. */
static inline pid_t parent_of(pid_t pid, char *ret_state) {
    char path[64], line[512];
    int parent = 0;
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    if (fgets(line, sizeof(line), file)) {
        const char *after = strrchr(line, ')');
        if (!after || sscanf(after, ") %c %d", ret_state, &parent) != 2)
            parent = 0;
    }
    fclose(file);
    return parent;
}

static inline bool is_alive(pid_t pid) {
    char state = 0;
    return parent_of(pid, &state) > 0 && state != 'Z';
}

/* The living children of a process: how many, the first `n` in ret_pids. */
static inline size_t children_of(pid_t parent, pid_t *ret_pids, size_t n) {
    size_t count = 0;
    DIR *proc = opendir("/proc");
    CHECK(proc);
    for (struct dirent *entry; (entry = readdir(proc));) {
        char state = 0;
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        pid_t pid = (pid_t)atol(entry->d_name);
        if (parent_of(pid, &state) != parent || state == 'Z')
            continue;
        if (count < n)
            ret_pids[count] = pid;
        count++;
    }
    closedir(proc);
    return count;
}

/* The zygote of this process. */
__attribute__((unused)) static pid_t find_zygote(void) {
    pid_t pids[4];
    CHECK_EQ(children_of(getpid(), pids, 4), 1);
    return pids[0];
}

/* Waits until the condition holds; false after `ms`. The pause bounds the CPU that it takes,
 * nothing depends on its length. */
#define EVENTUALLY(condition, ms)                                                                  \
    ({                                                                                             \
        int64_t eventually_end_ = test_now_ms() + (ms);                                            \
        bool eventually_ = false;                                                                  \
        while (!(eventually_ = (condition)) && test_now_ms() < eventually_end_)                    \
            usleep(500);                                                                           \
        eventually_;                                                                               \
    })

static inline size_t count_descriptors(void) {
    size_t n = 0;
    DIR *dir = opendir("/proc/self/fd");
    CHECK(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

#endif
