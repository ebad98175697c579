/* TRINE_TASK names the type that its function takes.
 * expect: incompatible[- ]pointer */
#include <trine.h>

static int count(int *n) {
    return ++*n;
}
#ifdef BREACH
TRINE_TASK(count, double);
#else
TRINE_TASK(count, int);
#endif
