/* stuck.h - tells a loop that waits for ever from one that waits long. */
#ifndef TRINE_CORE_STUCK_H
#define TRINE_CORE_STUCK_H

#include <stdbool.h>

struct loop;

/* The kernel has been asked for nothing that could end a wait. */
bool loop_may_be_stuck(const struct loop *l);

/* The loop's thread rests from now on: until somebody calls it, it does nothing that could end
 * another's wait. rest_end may be said by who calls it. */
void rest_begin(struct loop *l);
void rest_end(struct loop *l);

/* On the loop's thread, when no timer runs and it has slept for a while without a message: prints
 * the trees of tasks and aborts, if all other threads rest too. */
void loop_report_if_stuck(struct loop *l);

#endif
