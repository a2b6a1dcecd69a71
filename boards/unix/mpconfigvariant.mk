# The unix port of MicroPython with BitReplay in it, without the parts that need libraries from elsewhere.

FROZEN_MANIFEST ?= $(VARIANT_DIR)/manifest.py

MICROPY_PY_BTREE = 0
MICROPY_PY_FFI = 0
MICROPY_PY_SSL = 0
MICROPY_SSL_MBEDTLS = 0

# mkrules.mk wants a micropython-lib, of which nothing is used: any folder with a README.md will do.
MPY_LIB_DIR = $(TOP)

# The build id is a hash over absolute paths: without it, two folders build the same bytes.
LDFLAGS_EXTRA += -Wl,--build-id=none

# The port is compiled for size; the experiments run on it, so the kernels are compiled for speed.
$(BUILD)/usermod_c/core/%.o: CFLAGS += -O3 -DBR_ASK_PROCESSOR=1

# BITREPLAY_SANITIZE=1 is the build for tests. It checks BitReplay's own C code. MicroPython stays as it is: its
# collector reads the whole stack, which AddressSanitizer would take for an error; for the same reason variables must
# stay on the real stack. Its allocations can be made to fail, and Ctrl-C to come. Its heap is in four areas, as an
# ESP32's is in several.
ifeq ($(BITREPLAY_SANITIZE),1)
$(BUILD)/usermod_c/%.o: CFLAGS += -fsanitize=address,undefined -fno-sanitize-recover=all --param asan-use-after-return=0
LDFLAGS_EXTRA += -fsanitize=address,undefined
CFLAGS += -DBITREPLAY_INJECT=1 -DMICROPY_GC_SPLIT_HEAP=1 -DMICROPY_GC_SPLIT_HEAP_N_HEAPS=4
SRC_C += $(VARIANT_DIR)/injection/modinject.c
LDFLAGS_EXTRA += -Wl,--wrap=gc_alloc,--wrap=gc_realloc
endif
