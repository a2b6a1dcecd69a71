// What the files of the boot ROM share.
#ifndef ROM_H
#define ROM_H

#include <stddef.h>
#include <stdint.h>

// Ends at a breakpoint, where the emulator stops the core and says so.
void hang(void);

// Ends at the breakpoint by which the emulator knows that the firmware asked for BOOTSEL mode.
void reset_usb_boot(uint32_t activity_pins, uint32_t disabled_interfaces);

#endif
