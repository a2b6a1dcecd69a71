# Firmware for boards with an RP2040 or RP2350: build/rp2/BOARD/firmware.uf2.
#
# Of the Debian source of MicroPython, the SDK and its USB stack are packages of their own; mbedtls is left out (no ssl,
# cryptolib and sha1), as are the radio's driver and network stack, which no Debian package has in the form wanted here.

RP2_BOARDS := $(notdir $(patsubst %/,%,$(wildcard boards/rp2/*/)))
RP2_BUILD = $(BUILD)/rp2/$(BOARD)
MPY_BUILDS += rp2
SDK_PACKAGES := pico-sdk-source=2.1.1-1 tinyusb-source=0.18.0+dfsg-1

# Firmware is the same, bit for bit, wherever it is built. MicroPython's make-pins.py walks over sets.
export SOURCE_DATE_EPOCH ?= 1744675200
$(BUILD)/rp2/%: export PYTHONHASHSEED := 0

.PHONY: rp2-sdk rp2-firmware
RP2_SOURCE := $(MPY_SOURCE) $(if $(MICROPYTHON_DIR),,$(SOURCES)/.sdk)
ifdef MICROPYTHON_DIR
rp2-sdk: micropython-source
	@for part in pico-sdk tinyusb mbedtls $(if $(filter %_W,$(BOARD)),cyw43-driver lwip btstack); do [ "$$(ls -A $(MPY)/lib/$$part 2> /dev/null)" ] || \
	    { echo "$(MPY)/lib/$$part is empty: run \`make -C $(MPY)/ports/rp2 BOARD=$(BOARD) submodules\`" >&2; exit 1; }; done
else
rp2-sdk: $(SOURCES)/.sdk
	@[[ $(BOARD) != *_W ]] || { echo "$(BOARD) needs the radio's driver (cyw43-driver), lwip and btstack, which Debian" \
	    "does not package as sources: set MICROPYTHON_DIR= to a git checkout of MicroPython with submodules" >&2; exit 1; }
$(SOURCES)/.sdk: $(TOOLCHAIN)/sdk.sha256 $(SOURCES)/.extracted
	@echo "Fetching the Pico SDK ..."
	@cd $(SOURCES) && APT_CONFIG=$(BUILD)/apt/apt.conf apt-get -qq download $(SDK_PACKAGES)
	@cd $(SOURCES) && sha256sum --quiet --check $(TOOLCHAIN)/sdk.sha256
	@for package in $(SOURCES)/*.deb; do dpkg-deb -x $$package $(SOURCES)/sdk; done
	@for part in pico-sdk tinyusb; do rm -rf "$(MPY)/lib/$$part"; ln -s $(SOURCES)/sdk/usr/src/$$part $(MPY)/lib/$$part; done
	@sed -i 's/MICROPY_SSL_MBEDTLS ON/MICROPY_SSL_MBEDTLS OFF/; /mbedtls_port.c/d; /micropy_lib_mbedtls/d' \
	    $(MPY)/ports/rp2/CMakeLists.txt
	@sed -i -E 's/^(#define MICROPY_(SSL_MBEDTLS|PY_HASHLIB_SHA1|PY_CRYPTOLIB)) +\(1\)/\1 (0)/' $(MPY)/ports/rp2/mpconfigport.h
	@touch $@
endif

rp2-firmware: $(RP2_BUILD)/.made
	@echo "build/rp2/$(BOARD)/firmware.uf2"

$(filter %/$(BOARD)/.made,$(RP2_BOARDS:%=$(BUILD)/rp2/%/.made)): $(MPY_CROSS) $(RP2_SOURCE) $(C_MODULE) $(PACKAGE) \
    $(wildcard boards/rp2/*.*) $(call inputs,boards/rp2/$(BOARD)) | rp2-sdk arm
	@$(call fresh,$(@D))
	@mkdir -p "$(@D)"
	@[ -e $(RP2_BUILD)/firmware.uf2 ] || echo "Building the firmware of $(BOARD) (a minute) ..."
	@[ -e $(RP2_BUILD)/Makefile ] || $(call quiet,$(RP2_BUILD)/cmake.log,PATH=$(ARM_BIN):$$PATH \
	    cmake -S $(MPY)/ports/rp2 -B $(RP2_BUILD) -DPICO_BUILD_DOCS=0 -DMICROPY_BOARD=$(BOARD) \
	    -DMICROPY_BOARD_DIR=$(ROOT)/boards/rp2/$(BOARD) -DMICROPY_FROZEN_MANIFEST=$(ROOT)/boards/rp2/manifest.py \
	    -DMICROPY_LIB_DIR=$(MPY) -DUSER_C_MODULES=$(ROOT)/usermod_c/micropython.cmake \
	    -DCMAKE_PROJECT_firmware_INCLUDE=$(ROOT)/boards/rp2/project.cmake)
	@$(call quiet,$(RP2_BUILD)/build.log,$(MAKE) -C $(RP2_BUILD) -j$(JOBS))
	@room=$$(sed -n 's/^#define BITREPLAY_FIRMWARE_BYTES//p' boards/rp2/$(BOARD)/mpconfigboard.h); \
	[ $$(stat -c %s $(RP2_BUILD)/firmware.bin) -le $$(($$room)) ] || { echo "the firmware of $(BOARD) has grown over" \
	    "BITREPLAY_FIRMWARE_BYTES of boards/rp2/$(BOARD)/mpconfigboard.h, into the models" >&2; exit 1; }
	@$(call quiet,$(RP2_BUILD)/uf2.log,$(PYTHON) $(MPY)/tools/uf2conv.py --convert --base 0x10000000 \
	    --family $(if $(filter RPI_PICO2%,$(BOARD)),0xe48bff59,0xe48bff56) --output $(RP2_BUILD)/firmware.uf2 $(RP2_BUILD)/firmware.bin)
	@touch $@
