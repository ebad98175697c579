/* The field of TRINE_TASK_IO is one of the argument struct.
 * expect: no member named */
#include <trine.h>

struct pair {
    int in, out;
};

static int copy(struct pair *p) {
    return p->out = p->in;
}
#ifdef BREACH
TRINE_TASK_IO(copy, struct pair, result);
#else
TRINE_TASK_IO(copy, struct pair, out);
#endif
