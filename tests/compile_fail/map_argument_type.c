/* The array of arguments of a map is one of the task's own type, not of pointers to it.
 * expect: int \*\*|_Generic */
#include <trine.h>

static int count(int *n) {
    return ++*n;
}
TRINE_TASK(count, int);

int maps(trine_scope *s, trine_executor *pool);
int maps(trine_scope *s, trine_executor *pool) {
#ifdef BREACH
    int a = 0, *args[1] = {&a};
#else
    int args[1] = {0};
#endif
    return trine_map(s, pool, count, args, 1) + trine_join(s);
}
