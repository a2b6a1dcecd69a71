// The flash functions: serial commands through the SSI, chip select forced by the pad, as the SDK does it. The
// emulated flash therefore sees each erase and each program as one command.
#include "rom.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define XIP_FLUSH REGISTER(0x14000004)
#define SSI_CTRLR0 REGISTER(0x18000000)
#define SSI_SSIENR REGISTER(0x18000008)
#define SSI_SER REGISTER(0x18000010)
#define SSI_DR0 REGISTER(0x18000060)
#define SS_CTRL REGISTER(0x4001800c) // of IO_QSPI

#define SERIAL_8_BITS (7 << 16)
#define SS_NORMAL (0)
#define SS_LOW (2 << 8)
#define SS_HIGH (3 << 8)

#define WRITE_ENABLE (0x06)
#define READ_STATUS (0x05)
#define SECTOR_ERASE (0x20)
#define PAGE_PROGRAM (0x02)
#define BUSY (1)

#define SECTOR (4096)
#define PAGE (256)

void connect_internal_flash(void) {
    SS_CTRL = SS_NORMAL;
}

void flash_exit_xip(void) {
    SSI_SSIENR = 0;
    SSI_CTRLR0 = SERIAL_8_BITS;
    SSI_SER = 1;
    SSI_SSIENR = 1;
}

void flash_flush_cache(void) {
    XIP_FLUSH = 1;
    (void)XIP_FLUSH; // waits until it is done
    SS_CTRL = SS_NORMAL;
}

// Reading through the window works in any state of the emulated SSI.
void flash_enter_cmd_xip(void) {
}

static uint8_t transfer(uint8_t byte) {
    SSI_DR0 = byte;
    return (uint8_t)SSI_DR0;
}

static void command(uint8_t code, const uint32_t *address, const uint8_t *bytes, size_t n) {
    SS_CTRL = SS_LOW;
    transfer(code);
    if (address) {
        transfer((uint8_t)(*address >> 16));
        transfer((uint8_t)(*address >> 8));
        transfer((uint8_t)*address);
    }
    while (n--) {
        transfer(*bytes++);
    }
    SS_CTRL = SS_HIGH;
}

static uint8_t status(void) {
    SS_CTRL = SS_LOW;
    transfer(READ_STATUS);
    uint8_t value = transfer(0);
    SS_CTRL = SS_HIGH;
    return value;
}

static void write(uint8_t code, uint32_t address, const uint8_t *bytes, size_t n) {
    command(WRITE_ENABLE, NULL, NULL, 0);
    command(code, &address, bytes, n);
    while (status() & BUSY) {
    }
}

// The larger blocks that the SDK offers are not used: a sector is what power cuts are counted in.
void flash_range_erase(uint32_t address, size_t n, uint32_t block_size, uint8_t block_command) {
    (void)block_size;
    (void)block_command;
    for (uint32_t end = address + n; address < end; address += SECTOR) {
        write(SECTOR_ERASE, address, NULL, 0);
    }
}

void flash_range_program(uint32_t address, const uint8_t *bytes, size_t n) {
    for (uint32_t end = address + n; address < end; address += PAGE, bytes += PAGE) {
        write(PAGE_PROGRAM, address, bytes, PAGE);
    }
}
