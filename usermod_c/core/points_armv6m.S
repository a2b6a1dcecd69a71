// br_write_points of points.c for ARMv6-M (Cortex-M0+): 38 cycles for an output, where compilers run out of the eight low
// registers.

#if defined(__ARM_ARCH_6M__) && !defined(BR_PLAIN_C)

#include "armv6m.inc"

// On the stack
#define INPUTS (36)
#define PASSES (40)
#define NEGATIVE (44)

// void br_write_points(const uint32_t *equal, uint32_t lane, const br_affine_t *affine, int8_t *y, int32_t inputs,
//     uint32_t *passes, uint32_t *negative)
    function br_write_points
    adds r0, r1
    movs r4, #128
    adds r4, r0
    mov r12, r4 // where equal ends
    ldr r4, [sp, #INPUTS]
    rsbs r4, r4, #0
    mov r8, r4
    ldmia r2!, {r4, r5, r6} // slope, bias, shift
    movs r1, r4
    movs r2, r5
    mov r10, r6
    subs r6, #1
    movs r4, #1
    lsls r4, r6
    mov r9, r4 // what rounds
    .p2align 2
1:  ldrb r4, [r0]
    lsls r4, #1
    add r4, r8
    lsrs r5, r4, #31
    lsls r5, #1
    ldrsh r5, [r1, r5]
    lsls r6, r4, #1
    adcs r7, r7 // the sign
    muls r4, r5
    ldmia r2!, {r5}
    adds r4, r5
    add r4, r9
    mov r5, r10
    asrs r4, r5
    movs r5, #0
    ldrsb r5, [r3, r5]
    adds r4, r5
    adds r4, #128
    lsrs r6, r4, #8
    bne 3f
2:  subs r4, #128
    strb r4, [r3]
    cmp r6, #1 // the carry is whether it saturates
    mov r5, r11
    adcs r5, r5
    mov r11, r5
    adds r0, #4
    adds r1, #4
    adds r3, #1
    cmp r0, r12
    bne 1b

    mvns r0, r5
    reverse r0
    ldr r4, [sp, #PASSES]
    str r0, [r4]
    movs r0, r7
    reverse r0
    ldr r4, [sp, #NEGATIVE]
    str r0, [r4]
    return br_write_points

3:  // 0 where it is below, 255 where it is above.
    asrs r4, r4, #31
    mvns r4, r4
    uxtb r4, r4
    b 2b
    .ltorg

#endif

#if defined(__linux__) && defined(__ELF__)
    .section .note.GNU-stack, "", %progbits // the stack need not be executable
#endif
