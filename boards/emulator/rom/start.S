// The start of the boot ROM, as the RP2040 datasheet lays it out: the vectors, and the tables that the SDK looks in.
// The tables hold 16-bit addresses, which C cannot initialize.
    .syntax unified
    .cpu cortex-m0plus
    .thumb

    .section .vectors, "a"
    .word 0x20041f00        // stack: below the second stage
    .word reset + 1
    .word hang + 1          // NMI
    .word hang + 1          // HardFault
    .byte 'M', 'u', 1, 3    // boot ROM version 3 (chip B2)
    .hword functions
    .hword data
    .hword rom_table_lookup + 1

    .text
    .thumb_func
reset:
    bl boot_stage2          // gives the entry of the second stage, in SRAM
    movs r1, #0             // which starts the program when LR is 0
    mov lr, r1
    bx r0

    .thumb_func
    .global hang
hang:
    bkpt #0
    b hang

    .section .rodata.tables, "a"
    .balign 2
    .macro function code, name
    .ascii "\code"
    .hword \name + 1
    .endm
functions:
    function "P3", popcount32
    function "R3", reverse32
    function "L3", clz32
    function "T3", ctz32
    function "MS", memset
    function "S4", memset
    function "MC", memcpy
    function "C4", memcpy
    function "IF", connect_internal_flash
    function "EX", flash_exit_xip
    function "RE", flash_range_erase
    function "RP", flash_range_program
    function "FC", flash_flush_cache
    function "CX", flash_enter_cmd_xip
    function "UB", reset_usb_boot
    .hword 0
data:
    .ascii "SF"
    .hword float_table + 4
    .ascii "SD"
    .hword double_table + 4
    .hword 0
