/* value.h - values that one task has of its own, before those of its scope. */
#ifndef TRINE_CORE_VALUE_H
#define TRINE_CORE_VALUE_H

#include <trine/task.h>

struct strand;

/* In strand->values: those of the task that it runs, which nobody has asked for. A pool's thread
 * would else have to look into the record of each. */
extern const trine_value values_of_task;

/* The strand's values, innermost first. */
const trine_value *values_here(struct strand *s);

/* Links n values and then `outer` to one list: its first. */
const trine_value *value_link(trine_value *values, size_t n, const trine_value *outer);

#endif
