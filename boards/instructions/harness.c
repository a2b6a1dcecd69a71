// One call of a kernel under QEMU's user-mode emulation: reads the call, makes it, writes what it left in memory.
//
// All of this is in a section of its own, so that .text has the kernels alone and their instructions can be counted.

#include <stddef.h>
#include <stdint.h>

#define HARNESS __attribute__((section("harness")))

// System calls of Linux: the instruction, and the registers of the number, three arguments and the result.
#if defined(__arm__)
enum { SYS_READ = 3, SYS_WRITE = 4, SYS_EXIT = 1 };
#define CALL "svc 0"
#define NUMBER "r7"
#define FIRST "r0"
#define SECOND "r1"
#define THIRD "r2"
#define RESULT "r0"
#elif defined(__riscv)
enum { SYS_READ = 63, SYS_WRITE = 64, SYS_EXIT = 93 };
#define CALL "ecall"
#define NUMBER "a7"
#define FIRST "a0"
#define SECOND "a1"
#define THIRD "a2"
#define RESULT "a0"
#else
enum { SYS_READ = 12, SYS_WRITE = 13, SYS_EXIT = 118 };
#define CALL "syscall"
#define NUMBER "a2"
#define FIRST "a6"
#define SECOND "a3"
#define THIRD "a4"
#define RESULT "a2"
// C has to be called with a window of four registers: of more, nothing says where they would be spilled.
__asm__(".section harness, \"ax\"\n.global _start\n.align 4\n_start: movi a0, 0\ncall4 start\n.text\n");
#define _start start
#endif

static long HARNESS system_call(long number, long first, long second, long third) {
    register long n __asm__(NUMBER) = number, a __asm__(FIRST) = first;
    register long b __asm__(SECOND) = second, c __asm__(THIRD) = third;
    register long result __asm__(RESULT);
    __asm__ volatile(CALL : "=r"(result) : "r"(n), "r"(a), "r"(b), "r"(c) : "memory");
    return result;
}

// Kernels take addresses and numbers of up to 32 bits: all are words to the calling conventions here. What a kernel
// does not take is passed and ignored. Addresses in the call are those of this very program.
struct {
    uint32_t (*kernel)(uint32_t, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t,
        uint32_t, uint32_t, uint32_t, uint32_t);
    uint32_t argument[13];
    uint32_t memory[1 << 18];
} call;

void HARNESS _start(void) {
    uint32_t *a = call.argument;
    long size = system_call(SYS_READ, 0, (long)&call, sizeof(call));
    a[0] = call.kernel(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10], a[11], a[12]);
    system_call(SYS_WRITE, 1, (long)&call, size);
    system_call(SYS_EXIT, 0, 0, 0);
}

// GCC calls these for structures. In a native module they are the firmware's. volatile: or they would call themselves.
void *HARNESS memcpy(void *to, const void *from, size_t n) {
    for (size_t i = 0; i < n; i++) {
        ((volatile uint8_t *)to)[i] = ((const uint8_t *)from)[i];
    }
    return to;
}

void *HARNESS memset(void *to, int value, size_t n) {
    for (size_t i = 0; i < n; i++) {
        ((volatile uint8_t *)to)[i] = (uint8_t)value;
    }
    return to;
}
