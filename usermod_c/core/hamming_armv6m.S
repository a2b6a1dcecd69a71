// br_hamming_distances of hamming.c for ARMv6-M (Cortex-M0+), where compilers run out of the eight low registers.
//
// Three words at a time, merged by the third: two words of 2-bit counts of 0..2 take the halves of the third word's
// bits and hold 0..3; they fold to 4-bit counts of 0..12 and to bytes of 0..24: 39 cycles. Bytes hold six of these and
// two single words (160), halfwords all there is: of 7 * 7 * 1024 bits, half fall to each.
//
// A run is its words beyond a multiple of three one by one, then blocks of six threes, the first entered midway.

#if defined(__ARM_ARCH_6M__) && !defined(BR_PLAIN_C)

#include "armv6m.inc"

// On the stack
#define X (0) // of br_runs_t
#define SINGLES (4) // where to enter the single words
#define BLOCKS (8)
#define THREES (12) // where to enter the first block
#define X_END (16) // where the last run ends
#define X_SKIP (20) // in bytes, as the next two
#define FILTER_SKIP (24)
#define FILTER_NEXT (28)
#define OUT (32)
#define END (36) // of out
#define FRAME (40)

// In registers throughout: r0 and r1 walk x and the filter, r8, r9 and r10 are masks of 1, 2 and 4 bits, r11 sums up
// bytes, r12 halfwords, lr counts blocks.

// r11 += popcounts of the bytes of one word, or three.
.macro one
    ldmia r0!, {r2}
    ldmia r1!, {r5}
    eors r2, r5
    mov r7, r8
    lsrs r5, r2, #1
    ands r5, r7
    subs r2, r5
    mov r7, r9
    lsrs r5, r2, #2
    ands r5, r7
    ands r2, r7
    adds r2, r5
    mov r7, r10
    lsrs r5, r2, #4
    adds r2, r5
    ands r2, r7
    add r11, r2
.endm

.macro three
    ldmia r0!, {r2, r3, r4}
    ldmia r1!, {r5, r6, r7}
    eors r2, r5
    eors r3, r6
    eors r4, r7
    mov r7, r8
    lsrs r5, r2, #1
    ands r5, r7
    subs r2, r5
    lsrs r5, r3, #1
    ands r5, r7
    subs r3, r5
    lsrs r5, r4, #1
    ands r5, r7
    adds r2, r5
    ands r4, r7
    adds r3, r4
    mov r7, r9
    lsrs r5, r2, #2
    ands r5, r7
    ands r2, r7
    adds r2, r5
    lsrs r5, r3, #2
    ands r5, r7
    ands r3, r7
    adds r2, r5
    adds r2, r3
    mov r7, r10
    lsrs r5, r2, #4
    ands r5, r7
    ands r2, r7
    adds r2, r5
    add r11, r2
.endm

#define ONE_BYTES (34)
#define THREE_BYTES (66)

    function br_hamming_distances // (runs, filter, count, out)
    sub sp, #FRAME
    str r3, [sp, #OUT]
    lsls r2, #2
    adds r3, r2
    str r3, [sp, #END]
    ldmia r0!, {r2, r3, r4, r5, r6, r7} // x, words, runs, x_skip, filter_skip, filter_next
    str r2, [sp, #X]
    lsls r5, #2
    str r5, [sp, #X_SKIP]
    lsls r6, #2
    str r6, [sp, #FILTER_SKIP]
    lsls r7, #2
    str r7, [sp, #FILTER_NEXT]
    lsls r0, r3, #2
    adds r0, r5
    muls r4, r0
    adds r4, r2
    subs r4, r5
    str r4, [sp, #X_END]

    // r3 words are r4 blocks of 18 words, the first of which lacks r3 words, to the nearest three; singles come extra.
    movs r4, #0
1:  adds r4, #1
    subs r3, #18
    bhi 1b
    str r4, [sp, #BLOCKS]
    adr r5, .Lfilter
    adds r5, #(.Lsingles - .Lfilter)
    movs r6, #THREE_BYTES
    movs r7, #(.Lblock - .Lsingles)
    adds r7, r5
    rsbs r3, r3, #0
2:  subs r3, #3
    blo 3f
    adds r7, r6
    b 2b
3:  str r7, [sp, #THREES]
    adds r3, #3 // 0, or 1 or 2 words too many for threes: that means 2 or 1 single words and one three less
    beq 4f
    adds r7, r6
    str r7, [sp, #THREES]
    movs r6, #(2 * ONE_BYTES)
    subs r5, r6
    subs r3, #1
    beq 4f
    adds r5, #ONE_BYTES
4:  str r5, [sp, #SINGLES]

    ldr r2, =0x55555555
    mov r8, r2
    ldr r2, =0x33333333
    mov r9, r2
    ldr r2, =0x0f0f0f0f
    mov r10, r2

    .p2align 2
.Lfilter:
    ldr r0, [sp, #X]
    movs r7, #0
    mov r12, r7
.Lrun:
    mov r11, r7
    ldr r7, [sp, #SINGLES]
    mov pc, r7
    one
    one
.Lsingles:
    .if .Lsingles - .Lrun - 6 - 2 * ONE_BYTES
    .error "ONE_BYTES is not what one has"
    .endif
    ldr r7, [sp, #BLOCKS]
    mov lr, r7
    ldr r7, [sp, #THREES]
    mov pc, r7
.Lblock:
    three
    three
    three
    three
    three
    three
    .if . - .Lblock - 6 * THREE_BYTES
    .error "THREE_BYTES is not what three has"
    .endif
    mov r2, r11
    ldr r7, =0x00ff00ff
    lsrs r5, r2, #8
    ands r5, r7
    ands r2, r7
    adds r2, r5
    add r12, r2
    mov r7, lr
    subs r7, #1
    beq .Lnext
    mov lr, r7
    movs r7, #0
    mov r11, r7
    b .Lblock

.Lnext: // r7 is 0
    ldr r6, [sp, #X_END]
    cmp r0, r6
    bne .Lskip
    ldr r7, [sp, #FILTER_NEXT]
    adds r1, r7
    mov r2, r12
    lsrs r5, r2, #16
    uxth r2, r2
    adds r2, r5
    ldr r3, [sp, #OUT]
    stmia r3!, {r2}
    str r3, [sp, #OUT]
    ldr r4, [sp, #END]
    cmp r3, r4
    beq .Lend
    b .Lfilter

.Lskip:
    ldr r6, [sp, #X_SKIP]
    adds r0, r6
    ldr r6, [sp, #FILTER_SKIP]
    adds r1, r6
    b .Lrun

.Lend:
    add sp, #FRAME
    return br_hamming_distances
    .ltorg

#endif

#if defined(__linux__) && defined(__ELF__)
    .section .note.GNU-stack, "", %progbits // the stack need not be executable
#endif
