/* switch.h - the context switch: the one thing C cannot say. A suspended context is a stack
 * pointer; what it needs to go on lies on its stack. The floating-point control words are not
 * switched: they are the thread's, and a task that changes them must restore them before it waits.
 *
 * One of three: x86-64 inline, aarch64 in assembly, ucontext anywhere (-Dcontext=ucontext). */
#ifndef TRINE_ARCH_SWITCH_H
#define TRINE_ARCH_SWITCH_H

#if defined(TRINE_CONTEXT_UCONTEXT) || !defined(__x86_64__)

/* Saves the running context's stack pointer in *save and goes on where `load` was suspended. */
void arch_switch(void **save, void *load);

/* Goes on where `load` was suspended, and never comes back. */
static inline void arch_leave(void *load) {
    void *unused;
    arch_switch(&unused, load);
    __builtin_unreachable();
}

#else
#include "arch/switch_x86_64.h"
#endif

/* A context on a fresh stack that ends at `top` (aligned to 16): the first switch to it calls
 * entry(arg), which must never return. */
void *arch_context_new(void *top, void (*entry)(void *), void *arg);

#endif
