/* stack.h - guarded coroutine stacks, and each loop's cache of them. The strand that runs on a
 * stack lives at its top, so that a fresh coroutine touches one page. */
#ifndef TRINE_CORE_STACK_H
#define TRINE_CORE_STACK_H

#include "core/strand.h"

#include <stddef.h>

struct stack {
    struct stack *next; /* in the cache */
    void *low;          /* lowest usable byte, just above the guard */
    size_t size;        /* usable bytes below this struct */
    struct strand strand;
};

struct stacks;

/* For tests: guards by mprotect from now on, as on kernels without MADV_GUARD_INSTALL. */
void stacks_use_mprotect(void);

/* A cache for stacks that lie `stride` bytes apart, guard included. NULL when memory is short. */
struct stacks *stacks_new(size_t stride);

/* Frees all its stacks; none may be in use. */
void stacks_free(struct stacks *cache);

/* The stack used last, or a fresh one; NULL when memory or the kernel's mappings are used up. */
struct stack *stack_take(struct stacks *cache);

/* Back into the cache. The caller may still run on it until it switches away: the memory stays. */
void stack_give(struct stacks *cache, struct stack *s);

#endif
