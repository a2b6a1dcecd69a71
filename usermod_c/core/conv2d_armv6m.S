// br_dot_four of conv2d.c for ARMv6-M (Cortex-M0+), where compilers run out of the eight low registers: 28 cycles for
// two weights of four windows.

#if defined(__ARM_ARCH_6M__) && !defined(BR_PLAIN_C)

#include "armv6m.inc"

// On the stack
#define TAPS (0)
#define START (4) // of each sum
#define BEFORE (8) // how far before the weights those of the first block would start
#define ENTRY (12) // where to enter the first block
#define FRAME (16)
#define PIXELS (32)
#define SUMS (36)
#define END (60) // of sums

// In registers throughout: r0 and r1 walk weights and pixels, r8 to r11 are the sums, r12 is BR_LANES, lr where the
// weights end.

// Adds the halves of r4 to two sums, those of r5 to two others.
.macro add_lanes
    add r4, r12
    uxth r6, r4
    add r8, r6
    lsrs r4, #16
    add r9, r4
    add r5, r12
    uxth r7, r5
    add r10, r7
    lsrs r5, #16
    add r11, r5
.endm

.macro two_weights at
    ldrb r2, [r0, #\at]
    ldrb r3, [r0, #(\at + 1)]
    sxtb r2, r2
    sxtb r3, r3
    ldmia r1!, {r4, r5, r6, r7}
    muls r4, r2
    muls r5, r2
    muls r6, r3
    muls r7, r3
    adds r4, r6
    adds r5, r7
    add_lanes
.endm

#define TWO_WEIGHTS_BYTES (42)

    .global br_dot_four
    .type br_dot_four, %function
    .thumb_func
    .p2align 2
br_dot_four: // w, pixels, taps, sums, the sums' end
    push {r1, r3-r7, lr}
    mov r4, r8
    mov r5, r9
    mov r6, r10
    mov r7, r11
    push {r4-r7}
    sub sp, #FRAME
    str r2, [sp, #TAPS]
    ldr r4, =0x7fff7fff
    mov r12, r4
    // What BR_LANES adds to each sum, which is one time for every two weights
    adds r4, r2, #1
    lsrs r4, #1
    lsls r5, r4, #15
    subs r4, r5
    str r4, [sp, #START]
    // The first block is entered where it has as many left as four do not divide.
    lsrs r3, r2, #1
    rsbs r3, r3, #0
    movs r2, #3
    ands r3, r2
    lsls r2, r3, #1
    str r2, [sp, #BEFORE]
    movs r2, #TWO_WEIGHTS_BYTES
    muls r3, r2
    adr r2, .Lblock
    adds r2, r3
    str r2, [sp, #ENTRY]

.Lfilter:
    ldr r1, [sp, #PIXELS]
    ldr r4, [sp, #START]
    mov r8, r4
    mov r9, r4
    mov r10, r4
    mov r11, r4
    ldr r2, [sp, #TAPS]
    adds r4, r0, r2
    mov lr, r4
    lsrs r2, #1 // the carry is whether there is an odd one
    bcc 1f
    movs r6, #0
    ldrsb r6, [r0, r6]
    adds r0, #1
    ldmia r1!, {r4, r5}
    muls r4, r6
    muls r5, r6
    add_lanes
    cmp r0, lr
    beq .Lstore
1:  ldr r2, [sp, #BEFORE]
    subs r0, r2
    ldr r2, [sp, #ENTRY]
    mov pc, r2

    .p2align 2
.Lblock:
    two_weights 0
    two_weights 2
    two_weights 4
    two_weights 6
    .if . - .Lblock - 4 * TWO_WEIGHTS_BYTES
    .error "TWO_WEIGHTS_BYTES is not what two_weights has"
    .endif
    adds r0, #8
    cmp r0, lr
    bne .Lblock

.Lstore:
    ldr r3, [sp, #SUMS]
    mov r4, r8
    mov r5, r9
    mov r6, r10
    mov r7, r11
    stmia r3!, {r4, r5, r6, r7}
    str r3, [sp, #SUMS]
    ldr r4, [sp, #END]
    cmp r3, r4
    beq .Ldone
    b .Lfilter

.Ldone:
    add sp, #FRAME
    pop {r4-r7}
    mov r8, r4
    mov r9, r5
    mov r10, r6
    mov r11, r7
    pop {r1, r3-r7, pc}
    .ltorg
    .size br_dot_four, . - br_dot_four

#endif

#if defined(__linux__) && defined(__ELF__)
    .section .note.GNU-stack, "", %progbits // the stack need not be executable
#endif
