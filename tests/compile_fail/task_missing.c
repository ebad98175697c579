/* A function is no task before TRINE_TASK made it one.
 * expect: 'count_task' undeclared|undeclared identifier 'count_task'|‘count_task’ undeclared */
#include <trine.h>

#ifndef BREACH
static int count(int *n) {
    return ++*n;
}
TRINE_TASK(count, int);
#else
int count(int *n);
#endif

int runs(int *n);
int runs(int *n) {
    return trine_run(count, n);
}
