/* context_x86_64.c - lays out a fresh stack as arch_switch would have left it. */
#include "arch/switch.h"

#include <stdint.h>

void arch_start(void);

void *arch_context_new(void *top, void (*entry)(void *), void *arg) {
    uintptr_t *sp = (uintptr_t *)top;
    *--sp = (uintptr_t)arg;   /* rbp */
    *--sp = (uintptr_t)entry; /* rbx */
    *--sp = (uintptr_t)arch_start;
    return sp;
}
