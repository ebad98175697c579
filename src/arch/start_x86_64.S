/* start_x86_64.S - where a fresh context begins: entry in rbx, its argument in rbp, an empty stack
 * (see arch_context_new). entry never returns, so it is jumped to: a call
 * would put the return predictor out of step. Nothing is above it: unwinders stop here. */
        .text
        .globl  arch_start
        .hidden arch_start
        .type   arch_start, @function
        .p2align 4
arch_start:
        .cfi_startproc
        .cfi_undefined %rip
        movq    %rbp, %rdi
        xorl    %ebp, %ebp
        leaq    1f(%rip), %rcx
        pushq   %rcx
        jmp     *%rbx
        nop
1:      ud2
        .cfi_endproc
        .size   arch_start, .-arch_start

        .section .note.GNU-stack,"",@progbits
