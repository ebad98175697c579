/* switch_aarch64.S - AAPCS64: x19 to x30, sp and the low halves of v8 to v15 belong to the callee.
 * The frame, from sp up: x19 to x28, x29, x30, d8 to d15 (see context_aarch64.c). */
        .text
        .globl  arch_switch
        .hidden arch_switch
        .type   arch_switch, %function
        .p2align 4
arch_switch:
        .cfi_startproc
        stp     x19, x20, [sp, #-160]!
        .cfi_def_cfa_offset 160
        .cfi_offset x19, -160
        .cfi_offset x20, -152
        stp     x21, x22, [sp, #16]
        .cfi_offset x21, -144
        .cfi_offset x22, -136
        stp     x23, x24, [sp, #32]
        .cfi_offset x23, -128
        .cfi_offset x24, -120
        stp     x25, x26, [sp, #48]
        .cfi_offset x25, -112
        .cfi_offset x26, -104
        stp     x27, x28, [sp, #64]
        .cfi_offset x27, -96
        .cfi_offset x28, -88
        stp     x29, x30, [sp, #80]
        .cfi_offset x29, -80
        .cfi_offset x30, -72
        stp     d8, d9, [sp, #96]
        stp     d10, d11, [sp, #112]
        stp     d12, d13, [sp, #128]
        stp     d14, d15, [sp, #144]
        mov     x9, sp
        str     x9, [x0]
        mov     sp, x1
        ldp     x21, x22, [sp, #16]
        ldp     x23, x24, [sp, #32]
        ldp     x25, x26, [sp, #48]
        ldp     x27, x28, [sp, #64]
        ldp     x29, x30, [sp, #80]
        ldp     d8, d9, [sp, #96]
        ldp     d10, d11, [sp, #112]
        ldp     d12, d13, [sp, #128]
        ldp     d14, d15, [sp, #144]
        ldp     x19, x20, [sp], #160
        .cfi_restore x19
        .cfi_restore x20
        .cfi_restore x21
        .cfi_restore x22
        .cfi_restore x23
        .cfi_restore x24
        .cfi_restore x25
        .cfi_restore x26
        .cfi_restore x27
        .cfi_restore x28
        .cfi_restore x29
        .cfi_restore x30
        .cfi_def_cfa_offset 0
        ret
        .cfi_endproc
        .size   arch_switch, .-arch_switch

/* Where a fresh context begins: entry in x19, its argument in x20. Nothing is above it: unwinders
 * stop here. */
        .globl  arch_start
        .hidden arch_start
        .type   arch_start, %function
        .p2align 4
arch_start:
        .cfi_startproc
        .cfi_undefined x30
        mov     x0, x20
        blr     x19
        brk     #1
        .cfi_endproc
        .size   arch_start, .-arch_start

        .section .note.GNU-stack,"",%progbits
