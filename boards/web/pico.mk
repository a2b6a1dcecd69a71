# The emulated Pico of the page, which web/pico.js starts: build/web/pico. `make web` includes it.

WEB_PICO := $(BUILD)/web/pico
WEB_PICO_MODULES := $(addprefix boards/emulator/,cache.mjs chip.mjs flash.mjs machine.mjs peripherals.mjs snapshot.mjs usb.mjs)
RP2040JS = $(EMULATOR)/node_modules/rp2040js

.PHONY: web-pico
web-pico: emulator
	@$(MAKE) --no-print-directory rp2-firmware BOARD=RPI_PICO > /dev/null
	@rm -rf $(WEB_PICO) && mkdir -p $(WEB_PICO)/rp2040js
	@cp web/package.json web/pico/* $(BUILD)/rp2/RPI_PICO/firmware.bin $(EMULATOR)/bootrom.bin $(WEB_PICO)
	@# A Worker finds modules by their paths only.
	@for file in $(WEB_PICO_MODULES); do \
	    sed "s|'rp2040js'|'./rp2040js/index.js'|; s|'node:fs'|'./no-files.mjs'|" $$file > $(WEB_PICO)/$${file##*/}; done
	@cd $(RP2040JS)/dist/esm && find . -name '*.js' ! -name gdb-tcp-server.js -exec cp --parents {} $(WEB_PICO)/rp2040js \;
	@cp $(RP2040JS)/LICENSE $(WEB_PICO)/rp2040js
