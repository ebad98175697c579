/* context_x86_64.c - lays out a fresh stack as arch_switch would have left it. */
#include "arch/switch.h"

#include <stdint.h>

void arch_start(void);

void *arch_context_new(void *top, void (*entry)(void *), void *arg) {
    uintptr_t *sp = (uintptr_t *)top;
    *--sp = 0;
    *--sp = 0; /* two words: rsp must be a multiple of 16 at the call in arch_start */
    *--sp = (uintptr_t)arch_start;
    *--sp = 0;                /* rbp: ends the chain of frames */
    *--sp = 0;                /* rbx */
    *--sp = (uintptr_t)arg;   /* r12 */
    *--sp = (uintptr_t)entry; /* r13 */
    *--sp = 0;                /* r14 */
    *--sp = 0;                /* r15 */
    return sp;
}
