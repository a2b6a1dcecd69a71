# MicroPython for the tests of the native modules: build/natmod-hosts/.
#
# x64 is the stock unix port. The others are MicroPython's port for QEMU: its boards with a Cortex-M0 and a RISC-V
# processor, and boards of our own with a Cortex-M4 and an Xtensa core. xtensa has BitReplay in it as a user module.

HOSTS := $(BUILD)/natmod-hosts
HOST_NAMES := x64/micropython $(addsuffix /firmware.elf,armv6m armv7emsp rv32imc xtensawin xtensa) \
    newer/x64/micropython newer/armv6m/firmware.elf
MPY_BUILDS += natmod-hosts
XTENSA_FPU := $(HOSTS)/esp32-fpu.so
XTENSA_PORT := $(ROOT)/tests/natmod/xtensa_port
MPS2_PORT := $(ROOT)/tests/natmod/mps2_an386

# The package takes RAM here, which it does not where it is frozen. More does not fit in the memory of MICROBIT.
HOST_HEAP := 245760

# A newer release, from Debian's sid: modules that were built for the one are to run on the other.
NEWER_VERSION := 1.26.1
override NEWER := $(SOURCES)/micropython-$(NEWER_VERSION)
$(HOSTS)/newer/%: private MPY := $(NEWER)
$(HOSTS)/newer/%: private export MICROPY_GIT_TAG := v$(NEWER_VERSION)

.PHONY: natmod-hosts
natmod-hosts: $(addprefix $(HOSTS)/,$(HOST_NAMES))
	@:

# $(call host,PORT,ARGUMENTS) builds a port of MicroPython in the folder of the target.
host = mkdir -p "$(@D)" && echo "Building MicroPython for native modules ($(notdir $(@D))) ..." && \
    $(call quiet,$(@D).log,PATH=$(ARM_BIN):$(CROSS_BIN):$$PATH $(MAKE) -C $(MPY)/ports/$(1) -j$(JOBS) BUILD=$(@D) \
    FROZEN_MANIFEST= MPY_LIB_DIR=$(MPY) $(2)) && touch $@

$(addprefix $(HOSTS)/,$(HOST_NAMES)): tests/natmod/build.mk $(MPY_CROSS)
$(filter %armv6m/firmware.elf %armv7emsp/firmware.elf,$(addprefix $(HOSTS)/,$(HOST_NAMES))): | arm
$(filter $(HOSTS)/newer/%,$(addprefix $(HOSTS)/,$(HOST_NAMES))): $(SOURCES)/.newer
$(HOSTS)/rv32imc/firmware.elf: | cross

$(SOURCES)/.newer: tests/natmod/newer.sha256
	@echo "Fetching MicroPython $(NEWER_VERSION) ..."
	@mkdir -p "$(SOURCES)"
	@$(TOOLCHAIN)/private-apt.sh $(BUILD)/apt-sid sid
	@cd $(SOURCES) && APT_CONFIG=$(BUILD)/apt-sid/apt.conf apt-get -qq source --download-only micropython=$(NEWER_VERSION)+ds-1 || \
	    { echo "Debian's sid has moved on from $(NEWER_VERSION): name its release in tests/natmod/{build.mk,newer.sha256}" >&2; exit 1; }
	@cd $(SOURCES) && sha256sum --quiet --check $(ROOT)/tests/natmod/newer.sha256
	@rm -rf "$(NEWER)" && python3 -m tarfile -e $(SOURCES)/micropython_$(NEWER_VERSION)+ds.orig.tar.xz $(SOURCES)
	@touch $@

$(HOSTS)/x64/micropython $(HOSTS)/newer/x64/micropython:
	@$(call host,unix,VARIANT=standard MICROPY_PY_BTREE=0 MICROPY_PY_FFI=0 MICROPY_PY_SSL=0 MICROPY_SSL_MBEDTLS=0)

# The port leaves native code out on this board, but the RP2040 with the same instructions has it.
$(HOSTS)/armv6m/firmware.elf $(HOSTS)/newer/armv6m/firmware.elf:
	@$(call host,qemu,BOARD=MICROBIT MICROPY_HEAP_SIZE=$(HOST_HEAP) CFLAGS_EXTRA="-DMICROPY_EMIT_THUMB=1 \
	    -DMICROPY_EMIT_THUMB_ARMV7M=0 -DMICROPY_EMIT_INLINE_THUMB=0")

$(HOSTS)/armv7emsp/firmware.elf: $(wildcard $(MPS2_PORT)/*)
	@$(call host,qemu,BOARD=MPS2_AN386 BOARD_DIR=$(MPS2_PORT) MICROPY_HEAP_SIZE=$(HOST_HEAP))

$(HOSTS)/rv32imc/firmware.elf:
	@$(call host,qemu,BOARD=VIRT_RV32 MICROPY_HEAP_SIZE=$(HOST_HEAP))

$(HOSTS)/xtensawin/firmware.elf $(HOSTS)/xtensa/firmware.elf: export XTENSA_GNU_CONFIG := $(XTENSA_FPU)
$(HOSTS)/xtensawin/firmware.elf: $(wildcard $(XTENSA_PORT)/*) $(XTENSA_FPU)
	@$(call host,qemu,BOARD=XTENSA BOARD_DIR=$(XTENSA_PORT))
$(HOSTS)/xtensa/firmware.elf: $(wildcard $(XTENSA_PORT)/* usermod_c/core/* usermod_c/bindings/*) $(XTENSA_FPU)
	@$(call host,qemu,BOARD=XTENSA BOARD_DIR=$(XTENSA_PORT) USER_C_MODULES=$(ROOT))

# With the floating point of the ESP32 and S3, so that the port needs few functions of the compiler's library.
$(XTENSA_FPU): $(XTENSA_CONFIG)
	@mkdir -p $(HOSTS)
	@sed -E 's/(XCHAL_HAVE_(FP|BOOLEANS)), 0/\1, 1/' $(TOOLCHAIN)/xtensa/config.c > $(HOSTS)/config.c
	@$(call xtensa_config,$@,$(HOSTS)/config.c)
