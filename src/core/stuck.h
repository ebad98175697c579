/* stuck.h - tells a loop that waits for ever from one that waits long. */
#ifndef TRINE_CORE_STUCK_H
#define TRINE_CORE_STUCK_H

#include <stdbool.h>

struct loop;

/* The kernel has been asked for nothing that could end a wait. */
bool loop_may_be_stuck(const struct loop *l);

/* On the loop's thread, when no timer runs and it has slept for a while without a message: prints
 * the tree of tasks and aborts, if nobody is left who could send one. */
void loop_report_if_stuck(const struct loop *l);

#endif
