/* The argument of a spawned task has the task's own type.
 * expect: int64_t \*|long \*|_Generic */
#include <trine.h>

static int count(int *n) {
    return ++*n;
}
TRINE_TASK(count, int);

int spawns(trine_scope *s);
int spawns(trine_scope *s) {
#ifdef BREACH
    int64_t n = 0;
#else
    int n = 0;
#endif
    return trine_spawn(s, count, &n) + trine_join(s);
}
