# Firmware as MicroPython's own for the Pico, without BitReplay: build/rp2/stock/firmware.uf2. It is for tests.

STOCK := $(BUILD)/rp2/stock

.PHONY: stock-pico
stock-pico: $(STOCK)/.made
	@:
$(STOCK)/.made: $(MPY_CROSS) $(RP2_SOURCE) boards/rp2/project.cmake $(wildcard tests/device/stock_manifest.py tests/device/build.mk) | rp2-sdk arm
	@$(call fresh,$(@D))
	@mkdir -p "$(STOCK)"
	@[ -e $(STOCK)/firmware.uf2 ] || echo "Building firmware without BitReplay (a minute) ..."
	@[ -e $(STOCK)/Makefile ] || $(call quiet,$(STOCK)/cmake.log,PATH=$(ARM_BIN):$$PATH \
	    cmake -S $(MPY)/ports/rp2 -B $(STOCK) -DPICO_BUILD_DOCS=0 -DMICROPY_BOARD=RPI_PICO \
	    -DMICROPY_FROZEN_MANIFEST=$(ROOT)/tests/device/stock_manifest.py -DMICROPY_LIB_DIR=$(MPY) \
	    -DCMAKE_PROJECT_firmware_INCLUDE=$(ROOT)/boards/rp2/project.cmake)
	@$(call quiet,$(STOCK)/build.log,$(MAKE) -C $(STOCK) -j$(JOBS))
	@$(call quiet,$(STOCK)/uf2.log,$(PYTHON) $(MPY)/tools/uf2conv.py --convert --base 0x10000000 --family 0xe48bff56 \
	    --output $(STOCK)/firmware.uf2 $(STOCK)/firmware.bin)
	@touch $@
