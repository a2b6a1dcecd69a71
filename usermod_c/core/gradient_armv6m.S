// br_update_rounded of gradient.c for ARMv6-M (Cortex-M0+): 32 cycles a weight, where compilers need 44, as the flags
// tell of overflow and of signs.

#if defined(__ARM_ARCH_6M__) && !defined(BR_PLAIN_C)

    .syntax unified
    .thumb

#ifndef BR_HOT_SECTION
#define BR_HOT_SECTION ".text"
#endif

    .section BR_HOT_SECTION, "ax"

// Exchanges bits that are \shift apart: r7, masked by \mask.
.macro exchange shift mask
    ldr r6, =\mask
    lsrs r5, r7, #\shift
    ands r5, r6
    ands r7, r6
    lsls r7, #\shift
    orrs r7, r5
.endm

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
    rev r7, r7
    exchange 4, 0x0f0f0f0f
    exchange 2, 0x33333333
    exchange 1, 0x55555555
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

#endif

#if defined(__linux__) && defined(__ELF__)
    .section .note.GNU-stack, "", %progbits // the stack need not be executable
#endif
