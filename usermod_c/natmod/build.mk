# Native modules, for firmware that was built without BitReplay: build/natmod/ARCH/_bitreplay.mpy; and packages of them for
# `mip`: build/mip.

# rv32imc-zbb is for the RP2350's RISC-V cores, which have instructions that an ESP32-C3 lacks: MicroPython does not tell them apart.
NATMOD_ARCHS := x64 armv6m armv7emsp rv32imc rv32imc-zbb xtensawin
NATMOD_MADE := $(NATMOD_ARCHS:%=$(BUILD)/natmod/%/.made)
# In the recipe that makes one of those:
NATMOD = $(@D)
NATMOD_ARCH = $(notdir $(@D))
MPY_BUILDS += natmod
# As seen from usermod_c/natmod: mpy_ld.py writes its path into the module.
NATMOD_OUT = ../../build/natmod/$(NATMOD_ARCH)
NATMOD_MAKE = PATH=$(ARM_BIN):$(CROSS_BIN):$$PATH $(MAKE) -C usermod_c/natmod ARCH=$(NATMOD_ARCH:-zbb=) $(if $(filter %-zbb,$(NATMOD_ARCH)),ZBB=1) BUILD=$(NATMOD_OUT) MPY_DIR=$(MPY) \
    PYTHON=$(BIN)/python $(if $(filter xtensawin,$(NATMOD_ARCH)),CROSS=xtensa-lx106-elf-)

.PHONY: natmod natmods mip no-such-arch
natmods: $(NATMOD_MADE)
	@for arch in $(NATMOD_ARCHS); do $(natmod_size); done
natmod: $(if $(filter $(NATMOD_ARCHS),$(ARCH)),$(BUILD)/natmod/$(ARCH)/.made,no-such-arch)
	@arch=$(ARCH); $(natmod_size)
natmod_size = module=build/natmod/$$arch/_bitreplay.mpy; echo "$$module, $$(stat -c %s $$module) bytes"
no-such-arch:
	@echo "ARCH= is one of $(NATMOD_ARCHS)" >&2; exit 1

mip: $(BUILD)/mip/.made
	@echo build/mip
$(BUILD)/mip/.made: $(NATMOD_MADE) $(MPY_CROSS) $(PACKAGE) host_tools/bitreplay_host/device/mip.py
	@$(BIN)/python -m bitreplay_host.device.mip
	@touch $@

$(filter %/armv6m/.made %/armv7emsp/.made,$(NATMOD_MADE)): | arm
$(filter %/rv32imc/.made %/rv32imc-zbb/.made,$(NATMOD_MADE)): | cross
$(BUILD)/natmod/xtensawin/.made: private export XTENSA_GNU_CONFIG := $(XTENSA_CONFIG)
$(BUILD)/natmod/xtensawin/.made: $(XTENSA_CONFIG) | cross

$(NATMOD_MADE): $(MPY_SOURCE) $(C_MODULE) $(call inputs,usermod_c/natmod) | $(VENV)/.test
	@$(call fresh,$(NATMOD))
	@mkdir -p "$(NATMOD)"
	@$(call quiet,$(NATMOD)/build.log,$(NATMOD_MAKE) objects)
	@# A module has no place for data that changes. mpy_ld.py does not find all of that, and does not name it.
	@data=$$(for object in $(NATMOD)/*.o; do objdump -t $$object; done | \
	    awk '$$0 ~ /[ \t](\.s?(data|bss)(\.|\t)|\*COM\*)/ && $$0 !~ /\.data\.rel\.ro/ && $$(NF-1) ~ /[1-9a-f]/ {print $$NF}'); \
	[ -z "$$data" ] || { echo "ARCH=$(NATMOD_ARCH): in .data or .bss, where a native module can have nothing:" $$data >&2; exit 1; }
	@rm -f "$(NATMOD)/_bitreplay.native.mpy"
	@$(call quiet,$(NATMOD)/build.log,$(NATMOD_MAKE) $(NATMOD_OUT)/_bitreplay.native.mpy)
	@cp $(NATMOD)/_bitreplay.native.mpy $(NATMOD)/_bitreplay.mpy
	@touch $@
