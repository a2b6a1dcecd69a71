// br_fill_table, br_look_up, br_add_sums and br_write_lanes of bconv2d_tables.c for ARMv6-M (Cortex-M0+), where
// compilers run out of the eight low registers: 92 cycles for 64 bits of a filter and eight lanes, 650 for a table.

#if defined(__ARM_ARCH_6M__) && !defined(BR_PLAIN_C)

#include "armv6m.inc"

// Four entries, which differ from the last four by a register.
.macro four by
    adds r0, \by
    adds r1, \by
    adds r2, \by
    adds r3, \by
    stmia r4!, {r0-r3}
.endm

.macro next_32 by
    mov r7, \by
    adds r0, r7
    adds r1, r7
    adds r2, r7
    adds r3, r7
.endm

.macro entries_32
    stmia r4!, {r0-r3}
    four r5
    four r6
    four r5
    mov r7, r8
    four r7
    four r5
    four r6
    four r5
.endm

    function br_fill_table // table, start
    mov r4, r0
    movs r2, #4
    lsls r2, #8
    adds r2, r0
    mov lr, r2 // where the table ends
    mov r7, r1
    adds r7, #16
    ldmia r7!, {r1, r2, r3, r5, r6} // r1, r2, r3: start[4], [5], [6]
    mov r8, r3
    mov r9, r5
    mov r10, r6
    ldr r5, [r7]
    mov r11, r5
    mov r5, r1
    mov r6, r2
    subs r7, #36
    ldmia r7!, {r0, r1, r2, r3}
    .p2align 2
1:  entries_32
    next_32 r9
    entries_32
    next_32 r10
    entries_32
    next_32 r9
    entries_32
    cmp r4, lr
    beq 2f
    next_32 r11
    b 1b
2:  return br_fill_table

// r8 += the even nibbles of an entry, r9 += the entry >> 4: the odd ones, and 16 times the even ones but the lowest.
.macro look_up byte, table, far
    ldrb r1, [r0, #\byte]
    lsls r1, #2
    .if \far
    add r1, r12
    .endif
    ldr r1, [\table, r1]
    lsrs r2, r1, #4
    ands r1, r3
    .if \byte
    add r8, r1
    add r9, r2
    .else
    mov r8, r1
    mov r9, r2
    .endif
.endm

    function br_look_up // filter, sums, the sums' end, tables, step
    mov r10, r1
    mov lr, r2
    ldr r1, [sp, #36]
    lsls r1, #2
    mov r11, r1
    mov r4, r3
    movs r1, #1
    lsls r1, #10
    adds r5, r4, r1
    adds r6, r5, r1
    adds r7, r6, r1
    lsls r1, #2
    mov r12, r1 // from the first four tables to the others
    ldr r3, =0x0f0f0f0f
    .p2align 2
1:  look_up 0, r4, 0
    look_up 1, r5, 0
    look_up 2, r6, 0
    look_up 3, r7, 0
    look_up 4, r4, 1
    look_up 5, r5, 1
    look_up 6, r6, 1
    look_up 7, r7, 1
    mov r1, r10
    ldr r2, [r1]
    add r2, r8
    stmia r1!, {r2}
    ldr r2, [r1]
    add r2, r9
    stmia r1!, {r2}
    mov r10, r1
    add r0, r11
    cmp r1, lr
    bne 1b
    return br_look_up
    .ltorg

    function br_add_sums // sums, the sums' end, distances
    mov r12, r1
    ldr r7, =0x00ff00ff
1:  ldmia r0!, {r3, r4}
    subs r0, #8
    movs r5, #0
    movs r6, #0
    stmia r0!, {r5, r6}
    lsrs r5, r3, #8
    lsls r6, r5, #4
    subs r4, r6 // the odd nibbles
    ands r3, r7
    ands r5, r7
    lsrs r6, r4, #8
    ands r4, r7
    ands r6, r7
    ldr r1, [r2]
    adds r3, r1
    ldr r1, [r2, #4]
    adds r4, r1
    ldr r1, [r2, #8]
    adds r5, r1
    ldr r1, [r2, #12]
    adds r6, r1
    stmia r2!, {r3, r4, r5, r6}
    cmp r0, r12
    bne 1b
    return br_add_sums
    .ltorg

// The output of the next lane, whose distance is in r2: r7 channels from there, r5 and r6 are slopes, r8 is the bias.
.macro write_lane
    ldmia r0!, {r3, r4}
    subs r4, r2
    subs r4, r2
    bmi 2f
    muls r4, r5
    b 3f
2:  muls r4, r6
3:  add r4, r8
    mov r2, r9
    asrs r4, r2
    ldrsb r2, [r3, r7]
    adds r4, r2
    sxtb r2, r4
    cmp r2, r4
    beq 4f
    asrs r4, #31
    movs r2, #127
    eors r4, r2
4:  strb r4, [r3, r7]
.endm

    function br_write_lanes // distances, lanes, affine, count
    mov r10, r0
    mov lr, r3
    ldmia r2!, {r4, r5, r6} // slope, bias, shift
    mov r11, r4
    mov r12, r5
    mov r9, r6
    subs r6, #1
    movs r4, #1
    lsls r4, r6
    push {r4} // what rounds
    mov r0, r1
    movs r7, #0
    .p2align 2
.Lchannel:
    mov r1, r11
    movs r2, #0
    ldrsh r5, [r1, r2]
    movs r2, #2
    ldrsh r6, [r1, r2]
    adds r1, #4
    mov r11, r1
    mov r1, r12
    ldmia r1!, {r4}
    mov r12, r1
    ldr r1, [sp]
    adds r4, r1
    mov r8, r4
    .irp word, 0, 4, 8, 12
    mov r1, r10
    ldr r1, [r1, #\word]
    uxth r2, r1
    write_lane
    lsrs r2, r1, #16
    write_lane
    .endr
    movs r1, #16
    add r10, r1
    subs r0, #64
    adds r7, #1
    cmp r7, lr
    beq 5f
    b .Lchannel
5:  pop {r0}
    return br_write_lanes

#endif

#if defined(__linux__) && defined(__ELF__)
    .section .note.GNU-stack, "", %progbits // the stack need not be executable
#endif
