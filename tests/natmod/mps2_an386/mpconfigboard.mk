# A board of MicroPython's port for QEMU with a Cortex-M4, whose native modules (armv7emsp) are those of the Pico 2.

QEMU_ARCH = arm
QEMU_MACHINE = mps2-an386

CFLAGS += -mthumb -mcpu=cortex-m4 -mfpu=fpv4-sp-d16 -mfloat-abi=hard
CFLAGS += -DQEMU_SOC_MPS2
CFLAGS += -DMICROPY_HW_MCU_NAME='"Cortex-M4"'

LDSCRIPT = mcu/arm/mps2.ld
SRC_BOARD_O = shared/runtime/gchelper_native.o shared/runtime/gchelper_thumb2.o

# The port has no processor with floating point, so that nothing switches that on.
SRC_C += $(BOARD_DIR)/fpu.c
LDFLAGS += -Wl,--wrap=uart_init
