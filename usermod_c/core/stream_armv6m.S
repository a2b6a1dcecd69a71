// br_binarize_words of stream.c for ARMv6-M (Cortex-M0+), where compilers run out of the eight low registers: 18 cycles
// for four values.

#if defined(__ARM_ARCH_6M__) && !defined(BR_PLAIN_C)

#include "armv6m.inc"

// r8 |= which of the next four values are not below their thresholds, from bit `first` on
.macro four_values first
    ldmia r0!, {r2}
    ldmia r1!, {r3}
    mov r4, r2
    orrs r4, r6
    mov r5, r3
    bics r5, r6
    subs r4, r5
    eors r3, r2
    eors r2, r4
    bics r3, r2
    eors r4, r3
    ands r4, r6
    muls r4, r7
    lsrs r4, #28
    .if \first
    lsls r4, #\first
    add r8, r4
    .else
    mov r8, r4
    .endif
.endm

    .global br_binarize_words
    .type br_binarize_words, %function
    .thumb_func
    .p2align 2
br_binarize_words: // x, threshold, flip, y, where y ends
    push {r4-r7, lr}
    mov r4, r8
    mov r5, r9
    mov r6, r10
    push {r4-r6}
    ldr r4, [sp, #32]
    mov r9, r2
    mov r10, r3
    mov r12, r4
    ldr r6, =0x80808080
    ldr r7, =0x00204081
    .p2align 2
1:  .irp first, 0, 4, 8, 12, 16, 20, 24, 28
    four_values \first
    .endr
    mov r2, r9
    ldmia r2!, {r3}
    mov r9, r2
    mov r4, r8
    eors r3, r4
    mov r2, r10
    stmia r2!, {r3}
    mov r10, r2
    cmp r2, r12
    beq 2f
    b 1b
2:  pop {r4-r6}
    mov r8, r4
    mov r9, r5
    mov r10, r6
    pop {r4-r7, pc}
    .ltorg
    .size br_binarize_words, . - br_binarize_words

#endif

#if defined(__linux__) && defined(__ELF__)
    .section .note.GNU-stack, "", %progbits // the stack need not be executable
#endif
