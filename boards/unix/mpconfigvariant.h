// The unix port with the features of the RP2040 and ESP32 boards, so that what runs here runs there.

#define MICROPY_CONFIG_ROM_LEVEL (MICROPY_CONFIG_ROM_LEVEL_EXTRA_FEATURES)
#define MICROPY_PY_OS_SYNC (1)

#include "variants/mpconfigvariant_common.h"

// Ctrl-C raises between two bytecodes, as on a board. From the signal handler it would leave kernels, and the heap,
// halfway.
#undef MICROPY_ASYNC_KBD_INTR
#define MICROPY_ASYNC_KBD_INTR (0)

#if BITREPLAY_INJECT
void inject_branch(void);
#define MICROPY_VM_HOOK_LOOP inject_branch();
#endif
