// As MicroPython's own board, with a ROMFS partition for models. Files have what is left of the flash.
#include "boards/RPI_PICO_W/mpconfigboard.h"

#define BITREPLAY_FIRMWARE_BYTES (1024 * 1024)
#define MICROPY_HW_ROMFS_BYTES (512 * 1024)

#undef MICROPY_HW_FLASH_STORAGE_BYTES
#define MICROPY_HW_FLASH_STORAGE_BYTES (PICO_FLASH_SIZE_BYTES - BITREPLAY_FIRMWARE_BYTES - MICROPY_HW_ROMFS_BYTES)
