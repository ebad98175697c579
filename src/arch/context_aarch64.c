/* context_aarch64.c - lays out a fresh stack as arch_switch would have left it. */
#include "arch/switch.h"

#include <stdint.h>
#include <string.h>

/* The frame of switch_aarch64.S, in words. */
enum { FRAME_WORDS = 20, X19 = 0, X20 = 1, X30 = 11 };

void arch_start(void);

void *arch_context_new(void *top, void (*entry)(void *), void *arg) {
    uintptr_t *sp = (uintptr_t *)top - FRAME_WORDS;
    memset(sp, 0, FRAME_WORDS * sizeof(*sp)); /* x29 is 0: ends the chain of frames */
    sp[X19] = (uintptr_t)entry;
    sp[X20] = (uintptr_t)arg;
    sp[X30] = (uintptr_t)arch_start;
    return sp;
}
