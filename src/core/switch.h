/* switch.h - from one strand's stack to another's, with what the sanitizers must know. */
#ifndef TRINE_CORE_SWITCH_H
#define TRINE_CORE_SWITCH_H

#include "arch/switch.h"
#include "base/sanitizer.h"
#include "core/loop.h"
#include "core/stack.h"

/* First thing on the stack that was switched to. */
static inline void strand_arrived(struct strand *self) {
#ifdef __SANITIZE_ADDRESS__
    struct loop *l = self->loop;
    const void *low;
    size_t size;
    sanitizer_after_switch(self->asan_fake_stack, &low, &size);
    if (!l->thread_low) { /* the first switch of all left the thread's stack */
        l->thread_low = low;
        l->thread_size = size;
    }
#endif
    (void)self;
}

/* Suspends `from`, which runs, and goes on with `to`. */
static inline void strand_switch(struct strand *from, struct strand *to) {
    struct stack *stack = to->stack;
    struct cxa_globals *exceptions = from->loop->exceptions;
    from->loop->current = to;
    if (exceptions) {
        from->exceptions = *exceptions;
        *exceptions = to->exceptions;
    }
    sanitizer_before_switch(&from->asan_fake_stack, stack ? stack->low : to->loop->thread_low,
                            stack ? stack->size : to->loop->thread_size, to->tsan_fiber);
    arch_switch(&from->sp, to->sp);
    strand_arrived(from);
}

/* Leaves a stack for good. Never by a call, which would put the return predictor out of step for
 * who goes on. */
static inline __attribute__((always_inline)) _Noreturn void strand_leave(struct strand *from,
                                                                         struct strand *to) {
    struct stack *stack = to->stack;
    from->loop->current = to;
    if (from->loop->exceptions)
        *from->loop->exceptions = to->exceptions;
    sanitizer_before_switch(NULL, stack ? stack->low : to->loop->thread_low,
                            stack ? stack->size : to->loop->thread_size, to->tsan_fiber);
    arch_leave(to->sp);
    __builtin_unreachable();
}

#endif
