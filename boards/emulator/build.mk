# The emulated Pico: build/emulator, for `bitreplay emulate`. Needs node 18 or newer.

EMULATOR := $(BUILD)/emulator
EMULATOR_SOURCES := $(wildcard boards/emulator/*.mjs boards/emulator/*.json)
ROM_SOURCES := $(wildcard boards/emulator/rom/*)
ROM_FLAGS := -mcpu=cortex-m0plus -mthumb -Os -std=gnu11 -ffreestanding -fno-tree-loop-distribute-patterns \
    -Wall -Wextra -Werror -nostartfiles -nodefaultlibs

.PHONY: emulator
emulator: $(EMULATOR)/.packages $(EMULATOR)/bootrom.bin $(EMULATOR_SOURCES:boards/emulator/%=$(EMULATOR)/%)
	@:

# Modules find their packages beside themselves: they run from a copy.
$(EMULATOR)/%: boards/emulator/%
	@mkdir -p $(EMULATOR)
	@cp $< $@

$(EMULATOR)/.packages: $(EMULATOR)/package.json $(EMULATOR)/package-lock.json
	@echo "Installing the emulator's package ..."
	@$(call quiet,$(BUILD)/emulator.log,cd $(EMULATOR) && npm ci --no-audit --no-fund)
	@touch $@

$(EMULATOR)/bootrom.bin: $(ROM_SOURCES) | arm
	@mkdir -p $(EMULATOR)
	@$(call quiet,$(BUILD)/emulator-rom.log,$(ARM_BIN)/arm-none-eabi-gcc $(ROM_FLAGS) -T boards/emulator/rom/rom.ld \
	    -o $(EMULATOR)/bootrom.elf $(filter %.S %.c,$(ROM_SOURCES)) -lm -lgcc)
	@$(ARM_BIN)/arm-none-eabi-objcopy -O binary $(EMULATOR)/bootrom.elf $@
