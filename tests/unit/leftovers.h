/* leftovers.h - for the storms: that nothing is left of what they killed. Descriptors are counted
 * by processes_help.h. */
#ifndef TESTS_LEFTOVERS_H
#define TESTS_LEFTOVERS_H

#include "processes_help.h"

/* From now on who loses its parent becomes our child at once, so without a child there is no
 * descendant. A look through /proc could miss one that is just being handed on. */
static inline void adopt_orphans(void) {
    CHECK_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
}

static inline bool nobody_is_left(void) {
    pid_t dead;
    while ((dead = waitpid(-1, NULL, WNOHANG)) > 0)
        continue;
    return dead < 0 && errno == ECHILD;
}

/* Of memory that is shared with other processes. */
static inline size_t count_mappings(void) {
    FILE *maps = fopen("/proc/self/maps", "re");
    char *line = NULL;
    size_t room = 0, n = 0;
    CHECK(maps);
    while (getline(&line, &room, maps) > 0)
        n += strstr(line, "memfd:") != NULL;
    free(line);
    fclose(maps);
    return n;
}

#endif
