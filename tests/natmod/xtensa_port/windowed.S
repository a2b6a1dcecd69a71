// What needs to know of register windows.
//
// A window that is spilled has a0..a3 in the 16 bytes below the stack pointer of the function that was called from it,
// and a4..a7 in the 16 bytes 32 below the stack pointer of the one that called it, as the overflow handlers do it. GCC
// calls with call8, so that a8... belong to who is called.

    .text
    .literal_position

    .macro function name
    .global \name
    .type \name, @function
    .align 4
\name:
    .endm

    .macro copy4 from, start, to, begin
    .irp i, 0, 4, 8, 12
    l32i a5, \from, \start + \i
    s32i a5, \to, \begin + \i
    .endr
    .endm

// \register: what a1 was of a function. Makes it the address where a4..a7 of that function are spilled.
    .macro a4_to_a7 register
    addi \register, \register, -16
    l32i \register, \register, 4
    addi \register, \register, -32
    .endm

function _start
    movi a0, 0
    mov a6, sp
    movi a2, -16
    and sp, sp, a2
    call4 board_start

// long syscall(long number, long a, long b, long c)
function syscall
    entry sp, 32
    mov a6, a3
    mov a3, a4
    mov a4, a5
    syscall
    retw

// void spill_windows(void): six calls that take 12 registers each, of 64, leave no other window that is not spilled.
function spill_windows
    entry sp, 32
    movi a10, 5
    call8 spill
    retw

function spill
    entry sp, 48
    mov a15, a15
    beqz a2, 1f
    addi a14, a2, -1
    call12 spill
1:  retw

// int setjmp(jmp_buf): words 0..3 and 4..7 are the caller's a0..a3 and a4..a7; where to return to; the stack pointer.
function setjmp
    entry sp, 32
    call8 spill_windows
    addi a4, sp, -16
    copy4 a4, 0, a2, 0
    l32i a4, a2, 4
    a4_to_a7 a4
    copy4 a4, 0, a2, 16
    s32i a0, a2, 32
    s32i sp, a2, 36
    movi a2, 0
    retw

// void longjmp(jmp_buf, int value): returns from setjmp again, to registers that are loaded from the stack.
function longjmp
    entry sp, 32
    call8 spill_windows
    l32i a4, a2, 36
    addi a4, a4, -16
    copy4 a2, 0, a4, 0
    l32i a4, a2, 4
    a4_to_a7 a4
    copy4 a2, 16, a4, 0
    l32i a0, a2, 32
    l32i sp, a2, 36
    mov a2, a3
    retw

// Functions of the compiler's library. They take and return the same registers, but return to a0 without windows.
    .macro without_windows name
function \name
    entry sp, 48
    s32i a0, sp, 0
    call0 call0_\name
    l32i a0, sp, 0
    retw
    .endm

    .irp name, __divsf3, __ashldi3, __lshrdi3, __bswapdi2
    without_windows \name
    .endr
