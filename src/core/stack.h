/* stack.h - guarded coroutine stacks, and each loop's cache of them. The strand that runs on a
 * stack lives at its top, so that a fresh coroutine touches one page. */
#ifndef TRINE_CORE_STACK_H
#define TRINE_CORE_STACK_H

#include "base/sanitizer.h"
#include "core/strand.h"

#include <stddef.h>

struct stack {
    struct strand strand; /* first: what a switch needs of it is one cache line */
    void *low;            /* lowest usable byte, just above the guard */
    size_t size;          /* usable bytes below this struct */
    size_t mapped;        /* bytes of its own mapping; 0: it is one of a slab */
    unsigned valgrind_id; /* of its own mapping */
};

/* One loop's cache. */
struct stacks {
    struct strand *cached; /* linked by next_ready */
    struct strand *odd;    /* likewise: those of their own size */
    struct slab *slabs;
    size_t stride, page;
    unsigned fresh;       /* stacks of the newest slab not used yet */
    const char *why_none; /* why there was no fresh one, when there was none; reads as a detail */
};

/* For tests: guards by mprotect from now on, as on kernels without MADV_GUARD_INSTALL. */
void stacks_use_mprotect(void);

/* A cache for stacks that lie `stride` bytes apart, guard included. NULL when memory is short. */
struct stacks *stacks_new(size_t stride);

/* Frees all its stacks; none may be in use. */
void stacks_free(struct stacks *cache);

/* One that nobody has used; NULL when memory or the kernel's mappings are used up. */
struct stack *stack_fresh(struct stacks *cache);

/* Nothing of its last life is left. */
static inline struct stack *stack_clean(struct stack *s) {
    sanitizer_clean_stack(s->low, s->size);
#ifdef __SANITIZE_THREAD__
    sanitizer_fiber_free(s->strand.tsan_fiber); /* here, since nobody can free the one it runs on */
    s->strand.tsan_fiber = sanitizer_fiber_new();
#endif
    return s;
}

/* One with at least `size` usable bytes; NULL when memory is short. Goes back by stack_give_odd. */
struct stack *stack_take_odd(struct stacks *cache, size_t size);
void stack_give_odd(struct stacks *cache, struct stack *s);

/* The stack used last, or a fresh one. */
static inline struct stack *stack_take(struct stacks *cache) {
    struct strand *cached = cache->cached;
    struct stack *s;
    if (__builtin_expect(cached != NULL, 1)) {
        cache->cached = cached->next_ready;
        __builtin_prefetch(cached->next_ready, 1); /* which is taken next, and where it begins */
        __builtin_prefetch((void *)((uintptr_t)cached->next_ready - CACHE_LINE), 1);
        s = container_of(cached, struct stack, strand);
    } else if (!(s = stack_fresh(cache))) {
        return NULL;
    }
    return stack_clean(s);
}

/* Back into the cache. The caller may still run on it until it switches away: the memory stays. */
static inline void stack_give(struct stacks *cache, struct stack *s) {
    s->strand.next_ready = cache->cached;
    cache->cached = &s->strand;
}

#endif
