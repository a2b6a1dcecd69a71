// br_fill_sums, br_find_sums, br_add_found_sums and br_load_counts of products.c for ARMv6-M (Cortex-M0+): compilers store and load the four sums of a
// block one by one, and run out of the eight low registers where there are four tables.

#if defined(__ARM_ARCH_6M__) && !defined(BR_PLAIN_C)

#include "armv6m.inc"

// The next block of four sums: 9 cycles.
.macro block step
    adds r0, \step
    adds r1, \step
    adds r2, \step
    adds r3, \step
    stmia r4!, {r0-r3}
.endm

// A block whose step is in a high register.
.macro far step
    mov r7, \step
    block r7
.endm

// Seven blocks, after one that is a multiple of eight.
.macro seven
    block r5
    block r6
    block r5
    far r8
    block r5
    block r6
    block r5
.endm

// void br_fill_sums(uint32_t *table, const uint32_t *steps)
    function br_fill_sums
    mov r4, r0
    mov r7, r1
    ldr r0, [r7, #24]
    mov r8, r0
    ldr r0, [r7, #28]
    mov r9, r0
    ldr r0, [r7, #32]
    mov r10, r0
    ldr r0, [r7, #36]
    mov r11, r0
    ldr r5, [r7, #16]
    ldr r6, [r7, #20]
    ldmia r7!, {r0-r3}
    movs r7, #1
    lsls r7, #10
    adds r7, r4
    mov lr, r7
    stmia r4!, {r0-r3}
1:  seven
    far r9
    seven
    cmp r4, lr
    beq 2f
    // Every sixteen blocks the two highest steps take turns.
    mov r7, r10
    mov r12, r11
    mov r11, r7
    mov r10, r12
    block r7
    b 1b
2:
    return br_fill_sums

// What a byte of the row finds in its table.
.macro find byte table to
    ldrb \to, [r0, #\byte]
    lsls \to, #2
    ldr \to, [\table, \to]
.endm

// void name(const uint32_t *tables, const uint32_t *rows, size_t step, uint32_t *sums, const uint32_t *sums_end)
.macro lookups name add
    .global \name
    .type \name, %function
    .thumb_func
    .p2align 2
\name:
    push {r4-r7, lr}
    mov r4, r8
    push {r4}
    mov r4, r0
    mov r0, r1
    mov r1, r3
    lsls r2, #2
    mov r8, r2
    ldr r2, [sp, #24]
    mov r12, r2
    movs r2, #1
    lsls r2, #10
    adds r5, r4, r2
    adds r6, r5, r2
    adds r7, r6, r2
    .p2align 2
1:  find 0, r4, r2
    find 1, r5, r3
    adds r2, r3
    find 2, r6, r3
    adds r2, r3
    find 3, r7, r3
    adds r2, r3
    .if \add
    ldr r3, [r1]
    adds r2, r3
    .endif
    stmia r1!, {r2}
    add r0, r8
    cmp r1, r12
    bne 1b
    pop {r4}
    mov r8, r4
    pop {r4-r7, pc}
    .size \name, . - \name
.endm

    lookups br_find_sums 0 // 29 cycles a sum
    lookups br_add_found_sums 1 // 32 cycles

// Adds the number of a row to those in r4, and what it has below zero to r6.
.macro add_number row shift
    ldrsh r5, [r0, \row]
    asrs r7, r5, #31
    ands r7, r5
    lsls r7, #\shift
    adds r6, r7
    lsls r5, #\shift
    adds r4, r5
.endm

// uint32_t br_load_counts(const int16_t *const *q, uint32_t mask, uint32_t *start, uint32_t *d): 43 cycles for four
    function br_load_counts
    mov r11, r1
    mov r12, r2
    adds r2, #16
    push {r2} // where start ends
    mov r10, r3
    movs r4, #0
    mov r9, r4 // the total
    ldmia r0!, {r4, r5, r6, r7}
    movs r0, r4
    subs r1, r5, r0
    subs r2, r6, r0
    subs r3, r7, r0
1:  movs r7, #0
    mov r8, r7 // what is below zero
    movs r7, #16
    adds r7, r0
    mov lr, r7
    .p2align 2
2:  movs r4, #0
    mov r7, r11
    lsrs r7, #1
    mov r11, r7
    bcc 3f
    ldrsh r4, [r0, r4]
    asrs r6, r4, #31
    ands r6, r4
    add_number r1, 8
    add_number r2, 16
    add_number r3, 24
    add r8, r6
    add r9, r4
3:  mov r7, r10
    stmia r7!, {r4}
    mov r10, r7
    adds r0, #2
    cmp r0, lr
    bne 2b
    mov r6, r8
    rsbs r6, r6, #0
    mov r7, r12
    stmia r7!, {r6}
    mov r12, r7
    add r9, r6
    add r9, r6
    ldr r6, [sp]
    cmp r7, r6
    bne 1b
    mov r0, r9
    pop {r1}
    return br_load_counts

#endif

#if defined(__linux__) && defined(__ELF__)
    .section .note.GNU-stack, "", %progbits // the stack need not be executable
#endif
