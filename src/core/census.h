/* census.h - how deep coroutines use their stacks: each is filled with a pattern before, and looked
 * at after its task. */
#ifndef TRINE_CORE_CENSUS_H
#define TRINE_CORE_CENSUS_H

#include <stdatomic.h>
#include <stdbool.h>

struct stack;
struct trine_future;

extern atomic_bool census_on __attribute__((visibility("hidden")));
static inline bool census_runs(void) {
    return atomic_load_explicit(&census_on, memory_order_relaxed);
}

/* Of a stack that nobody runs on. */
void census_fill(struct stack *s);

/* The task is done, on that stack. Does nothing when the stack was taken before the census began.
 */
void census_count(const struct trine_future *f, const struct stack *s);

#endif
