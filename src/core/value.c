/* value.c - values that tasks inherit. A strand has a list of them, innermost first, whose parts
 * live on the stacks of the blocks that set them. A scope keeps the list as it was when it was
 * opened and gives it to its tasks: it is closed before those blocks are left, and so are they.
 *
 * Rejected: the list of who starts the task (a scope that was opened further out would keep tasks
 * whose values are gone). */
#include "core/value.h"

#include "base/panic.h"
#include "core/enter.h"

static struct strand *caller(void) {
    struct strand *self = strand_self();
    REQUIRE(self, "a value was set in a callback on the loop's own stack");
    return self;
}

const trine_value values_of_task;

const trine_value *values_here(struct strand *s) {
    const struct trine_future *f = s->task;
    if (s->values == &values_of_task)
        s->values = f->options ? f->own.values : f->scope->values;
    return s->values;
}

trine_value *trine_value_push(trine_value *v) {
    struct strand *self = caller();
    v->outer = values_here(self);
    self->values = v;
    return v;
}

void trine_value_pop(trine_value **v) {
    struct strand *self = caller();
    REQUIRE(self->values == *v, "values were not taken away in the reverse order of setting them");
    self->values = (*v)->outer;
    *v = NULL;
}

const trine_value *value_link(trine_value *values, size_t n, const trine_value *outer) {
    while (n-- > 0) {
        values[n].outer = outer;
        outer = &values[n];
    }
    return outer;
}

void *trine_value_get(const void *key) {
    struct strand *self = strand_self();
    for (const trine_value *v = self ? values_here(self) : NULL; v; v = v->outer)
        if (v->key == key)
            return v->value;
    return NULL;
}
