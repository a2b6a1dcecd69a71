# Native modules, for firmware that was built without BitReplay: build/natmod/ARCH/_bitreplay.mpy; and packages of them for
# `mip`: build/mip.

NATMOD_ARCHS := x64 armv6m armv7emsp rv32imc xtensawin
NATMOD = $(BUILD)/natmod/$(ARCH)
MPY_BUILDS += $(BUILD)/natmod
# As seen from usermod_c/natmod: mpy_ld.py writes its path into the module.
NATMOD_OUT = $(shell realpath -m --relative-to usermod_c/natmod $(NATMOD))
NATMOD_MAKE = PATH=$(ARM_BIN):$(CROSS_BIN):$$PATH $(MAKE) -C usermod_c/natmod ARCH=$(ARCH) BUILD=$(NATMOD_OUT) MPY_DIR=$(MPY) \
    PYTHON=$(BIN)/python $(if $(filter xtensawin,$(ARCH)),CROSS=xtensa-lx106-elf-)

.PHONY: natmod natmods mip natmod-tools
natmods:
	@for arch in $(NATMOD_ARCHS); do $(MAKE) --no-print-directory natmod ARCH=$$arch; done

mip: natmods mpy-cross
	@$(BIN)/python -m bitreplay_host.device.mip
	@echo build/mip

natmod-tools: $(if $(filter arm%,$(ARCH)),arm) $(if $(filter rv% xtensa%,$(ARCH)),cross)
	@:

natmod: export XTENSA_GNU_CONFIG := $(if $(filter xtensawin,$(ARCH)),$(XTENSA_CONFIG))
natmod: micropython-source setup natmod-tools
	@[[ " $(NATMOD_ARCHS) " == *" $(ARCH) "* ]] || { echo "ARCH= is one of $(NATMOD_ARCHS)" >&2; exit 1; }
	@mkdir -p $(NATMOD)
	@$(call quiet,$(NATMOD)/build.log,$(NATMOD_MAKE) objects)
	@# A module has no place for data that changes. mpy_ld.py does not find all of that, and does not name it.
	@data=$$(for object in $(NATMOD)/*.o; do objdump -t $$object; done | \
	    awk '$$0 ~ /[ \t](\.s?(data|bss)(\.|\t)|\*COM\*)/ && $$0 !~ /\.data\.rel\.ro/ && $$(NF-1) ~ /[1-9a-f]/ {print $$NF}'); \
	[ -z "$$data" ] || { echo "ARCH=$(ARCH): in .data or .bss, where a native module can have nothing:" $$data >&2; exit 1; }
	@[ usermod_c/natmod/build.mk -ot $(NATMOD)/_bitreplay.native.mpy ] || rm -f $(NATMOD)/_bitreplay.native.mpy
	@$(call quiet,$(NATMOD)/build.log,$(NATMOD_MAKE) $(NATMOD_OUT)/_bitreplay.native.mpy)
	@cp $(NATMOD)/_bitreplay.native.mpy $(NATMOD)/_bitreplay.mpy
	@echo "build/natmod/$(ARCH)/_bitreplay.mpy, $$(stat -c %s $(NATMOD)/_bitreplay.mpy) bytes"
