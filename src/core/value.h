/* value.h - values that one task has of its own, before those of its scope. */
#ifndef TRINE_CORE_VALUE_H
#define TRINE_CORE_VALUE_H

#include <trine/task.h>

/* Links n values and then `outer` to one list: its first. */
const trine_value *value_link(trine_value *values, size_t n, const trine_value *outer);

#endif
