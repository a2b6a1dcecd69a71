// What MicroPython's port for QEMU wants of a board, by system calls of Linux.

#include <stdint.h>
#include <stdlib.h>

#include "py/gc.h"
#include "py/mpstate.h"
#include "shared/runtime/gchelper.h"
#include "uart.h"

enum { SYS_OPEN = 8, SYS_READ = 12, SYS_WRITE = 13, SYS_EXIT = 118 };

long syscall(long number, long a, long b, long c);
void spill_windows(void);
int main(int argc, char **argv);

// Where board.ld has it.
static uint8_t image[2 << 20] __attribute__((section(".image,\"aw\",@nobits#")));

// stack: as Linux leaves it to a program, argc and argv.
void board_start(long *stack) {
    long file = syscall(SYS_OPEN, stack[2], 0, 0);
    if (stack[0] != 2 || file < 0 || syscall(SYS_READ, file, (long)image, sizeof(image)) < 0) {
        exit(2);
    }
    main(0, NULL);
    exit(0);
}

void exit(int status) {
    syscall(SYS_EXIT, status, 0, 0);
    for (;;) {
    }
}

int uart_rx_chr(void) {
    unsigned char byte;
    if (syscall(SYS_READ, 0, (long)&byte, 1) != 1) {
        exit(0);
    }
    return byte;
}

void uart_tx_strn(const char *buf, size_t len) {
    syscall(SYS_WRITE, 1, (long)buf, len);
}

void gc_helper_collect_regs_and_stack(void) {
    uintptr_t *sp;
    spill_windows();
    __asm volatile("mov %0, sp" : "=r"(sp));
    // The first four registers of the function that called this one are below this one's frame.
    sp -= 4;
    gc_collect_root((void **)sp, (uintptr_t *)MP_STATE_THREAD(stack_top) - sp);
}
