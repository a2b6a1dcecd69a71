# A board of MicroPython's port for QEMU that is an Xtensa core with register windows, as the ESP32, S2 and S3 have: a
# Linux program for qemu-xtensa, which takes a file to be put at `image`. It uses no C library but MicroPython's own.

QEMU_ARCH = xtensa
QEMU_MACHINE = qemu-xtensa
CROSS_COMPILE = xtensa-lx106-elf-

MICROPY_HEAP_SIZE = 524288
XTENSA_ABI = -mabi=windowed -mlongcalls -mtext-section-literals
CFLAGS += $(XTENSA_ABI) -I$(BOARD_DIR)
CFLAGS += -DMICROPY_EMIT_XTENSAWIN=1 -DMICROPY_NLR_SETJMP=1 -DMICROPY_HW_MCU_NAME='"de233_fpu"'
LDFLAGS += $(XTENSA_ABI) -nostdlib
LDSCRIPT = $(BOARD_DIR)/board.ld

SRC_C += $(addprefix $(BOARD_DIR)/, board.c doubles.c)
OBJ += $(BUILD)/windowed.o
$(BUILD)/windowed.o: $(BOARD_DIR)/windowed.S
	$(Q)$(CC) $(XTENSA_ABI) -c -o $@ $<

# Debian's library of the compiler's own functions is for the ABI without windows; windowed.S calls it.
LIBS = $(BUILD)/libgcc.a
$(BUILD)/firmware.elf: $(BUILD)/libgcc.a
$(BUILD)/libgcc.a:
	$(Q)$(OBJCOPY) --prefix-symbols=call0_ --remove-section=.xtensa.info $$($(CC) -print-libgcc-file-name) $@
