/* switch_x86_64.h - the switch, inline: no call, so the return predictor stays in step, and the
 * compiler keeps only what is live. A suspended context's words, from its stack pointer up: where
 * to go on, rbx, rbp. All that switch are compiled without a red zone, which these would overwrite.
 *
 * The jump is indirect, not a `ret`: that would go to another stack's caller, which the return
 * predictor never knows. Rejected: a function in assembly that saves all six registers. It left its
 * own return in the predictor, and the next `ret` went wrong: 17 ns a yield, against 5. */
#ifndef TRINE_ARCH_SWITCH_X86_64_H
#define TRINE_ARCH_SWITCH_X86_64_H

#ifndef TRINE_NO_RED_ZONE
#error "compile this with -mno-red-zone and -DTRINE_NO_RED_ZONE, as src/meson.build does"
#endif

#ifdef __AVX512F__
#define ARCH_CLOBBERS_AVX512                                                                       \
    , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25",    \
        "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6",  \
        "k7"
#else
#define ARCH_CLOBBERS_AVX512
#endif

/* Saves the running context's stack pointer in *save and goes on where `load` was suspended.
 * rbx and rbp are saved by hand: compilers keep the frame in them and ignore a clobber. */
static inline __attribute__((always_inline)) void arch_switch(void **save, void *load) {
    __asm__ volatile("pushq %%rbp\n\t"
                     "pushq %%rbx\n\t"
                     "leaq 1f(%%rip), %%rcx\n\t"
                     "pushq %%rcx\n\t"
                     "movq %%rsp, (%%rdi)\n\t"
                     "movq %%rsi, %%rsp\n\t"
                     "popq %%rcx\n\t"
                     "popq %%rbx\n\t"
                     "popq %%rbp\n\t"
                     "jmp *%%rcx\n"
                     "1:"
                     : "+D"(save), "+S"(load)
                     :
                     : "memory", "cc", "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13",
                       "r14", "r15", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
                       "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "st",
                       "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)",
                       "st(7)" ARCH_CLOBBERS_AVX512);
}

/* Goes on where `load` was suspended, and never comes back. */
static inline __attribute__((always_inline)) void arch_leave(void *load) {
    __asm__ volatile("movq %0, %%rsp\n\t"
                     "popq %%rcx\n\t"
                     "popq %%rbx\n\t"
                     "popq %%rbp\n\t"
                     "jmp *%%rcx"
                     :
                     : "r"(load)
                     : "memory");
    __builtin_unreachable();
}

#endif
