// Boot and look-up: what runs after a reset, and how the SDK finds the functions of the ROM.
#include "rom.h"

#define STAGE2_SOURCE ((const uint32_t *)0x10000000)
#define STAGE2 ((uint32_t *)0x20041f00)
#define STAGE2_WORDS (64)

void *rom_table_lookup(const uint16_t *table, uint32_t code) {
    for (; table[0]; table += 2) {
        if (table[0] == code) {
            return (void *)(uintptr_t)table[1];
        }
    }
    return NULL;
}

void reset_usb_boot(uint32_t activity_pins, uint32_t disabled_interfaces) {
    (void)activity_pins;
    (void)disabled_interfaces;
    for (;;) {
        __asm volatile("bkpt 0xb0");
    }
}

// CRC-32 of n words, most significant bit first, without inversion at the end.
static uint32_t crc32(const uint32_t *words, size_t n) {
    const uint8_t *bytes = (const uint8_t *)words;
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < 4 * n; i++) {
        crc ^= (uint32_t)bytes[i] << 24;
        for (uint32_t bit = 0; bit < 8; bit++) {
            crc = (crc << 1) ^ (crc & 0x80000000 ? 0x04c11db7 : 0);
        }
    }
    return crc;
}

// Copies the second stage of the program in flash to SRAM; gives its entry. Without a valid one it is BOOTSEL mode.
uint32_t boot_stage2(void) {
    for (size_t i = 0; i < STAGE2_WORDS; i++) {
        STAGE2[i] = STAGE2_SOURCE[i];
    }
    if (crc32(STAGE2, STAGE2_WORDS - 1) != STAGE2[STAGE2_WORDS - 1]) {
        reset_usb_boot(0, 0);
    }
    return (uint32_t)STAGE2 + 1;
}
