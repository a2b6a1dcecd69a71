# What is given to users, in a folder that can be put on a web server as it is: firmware, packages for `mip`, models.

DIST ?= dist
RELEASE_BOARDS ?= RPI_PICO RPI_PICO2
SDK_DOC := $(SOURCES)/sdk/usr/share/doc
# Of all that is linked into firmware.
LICENCES = micropython=$(MPY)/LICENSE $(if $(MICROPYTHON_DIR), \
    pico-sdk=$(MPY)/lib/pico-sdk/LICENSE.TXT tinyusb=$(MPY)/lib/tinyusb/LICENSE, \
    pico-sdk=$(SDK_DOC)/pico-sdk-source/copyright tinyusb=$(SDK_DOC)/tinyusb-source/copyright \
    newlib=$(ARM)/usr/share/doc/libnewlib-arm-none-eabi/copyright libgcc=$(ARM)/usr/share/doc/gcc-arm-none-eabi/copyright)

.PHONY: release
release: mip
	@for board in $(RELEASE_BOARDS); do $(MAKE) --no-print-directory firmware BOARD=$$board; done
	@rm -rf $(DIST) && mkdir -p $(DIST)/firmware $(DIST)/licences
	@for board in $(RELEASE_BOARDS); do cp $(BUILD)/rp2/$$board/firmware.uf2 $(DIST)/firmware/$$board.uf2; done
	@cp -r $(BUILD)/mip models LICENSE CHANGELOG.md $(DIST)
	@for licence in $(LICENCES); do cp $${licence#*=} $(DIST)/licences/$${licence%%=*}.txt; done
	@cd $(DIST) && find . -type f ! -name SHA256SUMS | sort | xargs sha256sum > SHA256SUMS
	@echo $(DIST)
