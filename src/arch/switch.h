/* switch.h - the context switch: the one thing C cannot say. A suspended context is its stack
 * pointer; the callee-saved registers lie on its stack. The floating-point control words are not
 * switched: they are the thread's, and a task that changes them must restore them before it waits.
 */
#ifndef TRINE_ARCH_SWITCH_H
#define TRINE_ARCH_SWITCH_H

/* Saves the running context's stack pointer in *save and goes on where `load` was suspended. */
void arch_switch(void **save, void *load);

/* A context on a fresh stack that ends at `top` (aligned to 16): the first switch to it calls
 * entry(arg), which must never return. */
void *arch_context_new(void *top, void (*entry)(void *), void *arg);

#endif
