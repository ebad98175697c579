/* relax.h - tells the CPU that a loop waits for another CPU. */
#ifndef TRINE_BASE_RELAX_H
#define TRINE_BASE_RELAX_H

static inline void cpu_relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory"); /* "yield" is no pause on most of them */
#endif
}

#endif
