# The page that teaches in a browser: the folder build/web, for any web server and for `bitreplay web`.
#
# MicroPython is its webassembly port, build/webassembly. `web-or-not` is for what goes on without Emscripten.

MPY_BUILDS += webassembly web
WASM := $(BUILD)/webassembly
WEB := $(BUILD)/web
WEB_MODEL := models/backbone.safetensors

.PHONY: web web-or-not
include $(ROOT)/boards/web/pico.mk

web: $(WEB)/.made web-pico
	@:
web-or-not:
	@$(MAKE) --no-print-directory web || echo "The page for browsers is left out: Emscripten cannot be set up here, or does not build it." >&2

$(WASM)/.made: $(EMSCRIPTEN)/.extracted $(MPY_CROSS) $(MPY_SOURCE) $(C_MODULE) $(PACKAGE) $(call inputs,boards/web)
	@$(call fresh,$(@D))
	@[ -e $(@D)/micropython.mjs ] || echo "Building MicroPython's webassembly port (a minute) ..."
	@$(call quiet,$(@D).log,PATH=$(EMSCRIPTEN_BIN):$$PATH $(MAKE) -C $(MPY)/ports/webassembly -j$(JOBS) VARIANT_DIR=$(ROOT)/boards/web \
	    USER_C_MODULES=$(ROOT) BUILD=$(@D))
	@touch $@

# The service worker keeps these files, and takes others when files.js is another.
$(WEB)/.made: $(WASM)/.made $(WEB_MODEL) $(call inputs,web/)
	@rm -rf "$(WEB)" && mkdir -p "$(WEB)"
	@cp $(wildcard web/*.*) $(WASM)/micropython.mjs $(WASM)/micropython.wasm $(WEB_MODEL) LICENSE "$(WEB)"
	@cd "$(WEB)" && version=$$(sha256sum * | sha256sum | cut -c -16) && \
	    printf 'self.BITREPLAY = { version: "%s", files: ["./"%s] };\n' $$version \
	    "$$(ls | grep -vx -e LICENSE -e service-worker.js | sed 's/.*/, "&"/' | tr -d '\n')" > files.js
	@touch $@
