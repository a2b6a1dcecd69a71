// br_update_rounded and br_update_counted of gradient.c for ARMv6-M (Cortex-M0+): 32 cycles a weight, where compilers
// need 44, as the flags tell of overflow and of signs; and 27 with the square, as four weights of a word take their steps
// at once.

#if defined(__ARM_ARCH_6M__) && !defined(BR_PLAIN_C)

#include "armv6m.inc"

// uint32_t br_update_rounded(int8_t *weight, const int32_t *dw, int32_t mantissa, uint32_t shift, uint32_t *rng)
    .global br_update_rounded
    .type br_update_rounded, %function
    .thumb_func
    .p2align 2
br_update_rounded:
    push {r4-r7, lr}
    mov r4, r8
    mov r5, r9
    push {r4, r5}
    movs r4, #32
    subs r4, r3
    mov r8, r4
    movs r4, #128
    adds r4, r1
    mov r9, r4
    ldr r4, [sp, #28]
    ldr r4, [r4]
    .p2align 2
1:  lsls r5, r4, #13
    eors r4, r5
    lsrs r5, r4, #17
    eors r4, r5
    lsls r5, r4, #5
    eors r4, r5
    mov r5, r8
    movs r6, r4
    lsrs r6, r5
    ldmia r1!, {r5}
    muls r5, r2
    adds r5, r6
    bvs 4f
2:  asrs r5, r3
    ldrb r6, [r0]
    sxtb r6, r6
    subs r6, r5
    adds r6, #127
    cmp r6, #254
    bhi 5f
3:  cmp r6, #127 // the carry is 1 where the weight is not negative
    adcs r7, r7
    subs r6, #127
    strb r6, [r0]
    adds r0, #1
    cmp r1, r9
    bne 1b

    ldr r5, [sp, #28]
    str r4, [r5]
    // The first weight's bit is the highest.
    reverse r7
    movs r0, r7
    pop {r4, r5}
    mov r8, r4
    mov r9, r5
    pop {r4-r7, pc}

4:  // What is added is not negative, so the sum is too large: 2^31 - 1.
    ldr r5, =0x7fffffff
    b 2b
5:  // Below 0, or above 254.
    asrs r6, r6, #31
    mvns r6, r6
    movs r5, #254
    ands r6, r5
    b 3b
    .ltorg
    .size br_update_rounded, . - br_update_rounded

// On the stack
#define END (0) // of the counts
#define BLOCK_END (4) // of those of 32 weights
#define FRAME (8)
#define PACKED (44)
#define RNG (48)

// In registers throughout: r1 walks the counts, r2 is the factor, r4 the generator's state, r8 walks the weights, r9 is the
// total, negated, r10 sums up squares, r11 and r12 are constants, lr collects signs.

// r0 becomes 256 times itself, less the step of a weight.
.macro step at
    ldrb r5, [r1, #\at]
    lsls r5, #1
    add r5, r9
    movs r3, r5
    muls r3, r3
    add r10, r3
    lsls r3, r4, #13
    eors r4, r3
    lsrs r3, r4, #17
    eors r4, r3
    lsls r3, r4, #5
    eors r4, r3
    muls r5, r2
    lsrs r3, r4, #8
    adds r5, r3
    asrs r5, #24
    .if \at
    lsls r0, #8
    subs r0, r5
    .else
    rsbs r0, r5, #0
    .endif
.endm

// uint32_t br_update_counted(int8_t *weight, const uint32_t *counts, size_t n, const br_steps_t *steps,
//     uint32_t *packed, uint32_t *rng)
    function br_update_counted
    sub sp, #FRAME
    mov r8, r0
    lsls r2, #2
    ldmia r3!, {r4, r5, r6} // total, factor, lane
    adds r1, r6
    adds r2, r1
    str r2, [sp, #END]
    rsbs r4, r4, #0
    mov r9, r4
    movs r2, r5
    movs r4, #0
    mov r10, r4
    ldr r4, =0x80808080
    mov r11, r4
    ldr r4, =0x10204080 // brings bits 0, 8, 16 and 24 to 28 and above
    mov r12, r4
    ldr r4, [sp, #RNG]
    ldr r4, [r4]
.Lblock:
    movs r7, #128
    adds r7, r1
    str r7, [sp, #BLOCK_END]
    .p2align 2
.Lword:
    step 0
    step 4
    step 8
    step 12
    adds r1, #16
    // The steps, of -31..31, become bytes when 128 is added to each; so do the weights.
    mov r6, r11
    adds r0, r6
    rev r0, r0
    mov r3, r8
    ldr r5, [r3]
    // Beyond -96..95 a weight could leave -127..127: its highest bit differs from the next, which is as the third.
    lsls r7, r5, #1
    eors r7, r5
    eors r5, r6
    adds r5, r0
    subs r5, r6
    movs r0, r7
    lsls r7, #1
    bics r0, r7
    tst r0, r6
    bne .Lclamp
.Lstore:
    movs r0, r5
    ands r0, r6
    eors r5, r6
    stmia r3!, {r5}
    mov r8, r3
    lsrs r0, #7
    mov r7, r12
    muls r0, r7
    lsrs r0, #28
    lsls r0, #28
    mov r7, lr
    lsrs r7, #4
    orrs r0, r7
    mov lr, r0
    ldr r7, [sp, #BLOCK_END]
    cmp r1, r7
    bne .Lword
    ldr r7, [sp, #PACKED]
    stmia r7!, {r0}
    str r7, [sp, #PACKED]
    ldr r7, [sp, #END]
    cmp r1, r7
    bne .Lblock
    ldr r7, [sp, #RNG]
    str r4, [r7]
    mov r0, r10
    add sp, #FRAME
    return br_update_counted

.Lclamp: // byte by byte
    ldr r0, [r3]
    eors r0, r6
    adds r5, r6
    subs r5, r0 // the steps again
    movs r6, #4
6:  uxtb r3, r5
    lsrs r5, #8
    uxtb r7, r0
    lsrs r0, #8
    adds r3, r7
    subs r3, #128
    bgt 7f
    movs r3, #1
7:  cmp r3, #255
    bls 8f
    movs r3, #255
8:  lsls r3, #24
    orrs r0, r3
    subs r6, #1
    bne 6b
    movs r5, r0
    mov r6, r11
    mov r3, r8
    b .Lstore
    .ltorg

#endif

#if defined(__linux__) && defined(__ELF__)
    .section .note.GNU-stack, "", %progbits // the stack need not be executable
#endif
