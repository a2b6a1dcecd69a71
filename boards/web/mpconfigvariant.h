// The webassembly port with the features of the RP2040 and ESP32 boards, so that what runs here runs there.

#define MICROPY_CONFIG_ROM_LEVEL (MICROPY_CONFIG_ROM_LEVEL_EXTRA_FEATURES)

// Wasm's locals cannot be looked through for pointers: the port collects garbage between two calls from JavaScript, and
// until then its heap grows.
#define MICROPY_GC_SPLIT_HEAP (1)
#define MICROPY_GC_SPLIT_HEAP_AUTO (1)
