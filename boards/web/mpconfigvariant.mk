# The webassembly port of MicroPython with BitReplay in it.

FROZEN_MANIFEST ?= $(VARIANT_DIR)/manifest.py

# mkrules.mk wants a micropython-lib, of which nothing is used: any folder with a README.md will do.
MPY_LIB_DIR = $(TOP)

JSFLAGS += -s ALLOW_MEMORY_GROWTH

# The port is compiled for size and linked without a word on that; kernels are for speed.
$(BUILD)/usermod_c/core/%.o: CFLAGS += -O3

# After the port's own library.js, of which it has some functions in a form that old Emscripten takes.
$(BUILD)/micropython.mjs: JSFLAGS += -O3 --js-library $(VARIANT_DIR)/old_emscripten.js
