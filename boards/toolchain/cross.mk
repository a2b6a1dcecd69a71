# Compilers for RISC-V and for the Xtensa cores of the ESP32, S2 and S3, and QEMU: Debian 13's, unpacked and not installed.
#
# No Debian package has a compiler for the ESP32's cores. That for the ESP8266 compiles for any Xtensa core that a
# configuration describes: xtensa/config.c says what the cores have, the table of their instructions is QEMU's.
#
# Gives CROSS_BIN, XTENSA_CONFIG (for XTENSA_GNU_CONFIG) and the target `cross`.

override CROSS := $(BUILD)/cross
CROSS_BIN := $(CROSS)/usr/bin
XTENSA_CONFIG := $(CROSS)/esp32.so
CROSS_PACKAGES := gcc-xtensa-lx106 picolibc-xtensa-lx106-elf gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf \
    qemu-system-arm qemu-system-riscv qemu-user

# $(call xtensa_config,OUT,CONFIG) compiles a configuration with the table of instructions.
xtensa_config = $(CC) -shared -fPIC -O1 -w -I$(SOURCES)/qemu/target/xtensa -I$(SOURCES)/qemu/include -include stdint.h \
    -include stddef.h '-DATTRIBUTE_UNUSED=__attribute__((unused))' -o $(1) $(SOURCES)/qemu/modules.c $(2)

.PHONY: cross
cross: $(CROSS)/.extracted $(XTENSA_CONFIG)
	@:
$(CROSS)/.extracted: $(TOOLCHAIN)/unpack-debian.sh
	@echo "Fetching compilers for RISC-V and Xtensa, and QEMU (350 MB) ..."
	@rm -rf "$(CROSS)" && mkdir -p "$(CROSS)"
	@$(call quiet,$(BUILD)/cross.log,$(TOOLCHAIN)/unpack-debian.sh $(CROSS) trixie $(CROSS_PACKAGES))
	@# Where installed, picolibc's settings name its folders and lie in the compiler's.
	@for specs in $(CROSS)/usr/lib/*/picolibc.specs $(CROSS)/usr/lib/picolibc/*/picolibc.specs; do \
	    for target in $(CROSS)/usr/lib/gcc/*/*; do \
	        case $$specs in *$$(basename $$(dirname $$target))*) sed "s#/usr/lib#$(CROSS)&#g" $$specs > $$target/picolibc.specs;; esac; done; done
	@touch $@

$(XTENSA_CONFIG): $(TOOLCHAIN)/xtensa/config.c $(TOOLCHAIN)/xtensa/table.sha256 $(CROSS)/.extracted
	@echo "Fetching the table of Xtensa instructions, in QEMU's source (40 MB) ..."
	@rm -rf "$(SOURCES)/qemu" && mkdir -p "$(SOURCES)/qemu"
	@$(TOOLCHAIN)/private-apt.sh $(BUILD)/apt trixie
	@cd $(SOURCES)/qemu && APT_CONFIG=$(BUILD)/apt/apt.conf apt-get -qq source --download-only qemu
	@cd $(SOURCES)/qemu && python3 -c 'import lzma, shutil, sys; shutil.copyfileobj(lzma.open(sys.argv[1]), sys.stdout.buffer)' \
	    qemu_*.orig.tar.xz | tar -x --strip-components=1 --wildcards '*/target/xtensa/*' '*/include/*'
	@cd $(SOURCES)/qemu && sha256sum --quiet --check $(TOOLCHAIN)/xtensa/table.sha256
	@sed 's/^static xtensa_isa_internal xtensa_modules/xtensa_isa_internal xtensa_modules/' \
	    $(SOURCES)/qemu/target/xtensa/core-de233_fpu/xtensa-modules.c.inc > $(SOURCES)/qemu/modules.c
	@$(call xtensa_config,$@,$<)
