# The page that teaches in a browser: the folder build/web, for any web server and for `bitreplay web`.
#
# MicroPython is its webassembly port, build/webassembly. `web-or-not` is for what goes on without Emscripten.

MPY_BUILDS += webassembly web
WASM := $(BUILD)/webassembly
WEB := $(BUILD)/web
# The second one is for sounds.
WEB_MODELS := models/backbone.safetensors models/speech.safetensors
WEB_FILES := $(wildcard $(addprefix web/*.,html css js svg py))

.PHONY: web web-or-not
include $(ROOT)/boards/web/pico.mk

web: $(WEB)/.made web-pico
	@:
web-or-not:
	@mkdir -p "$(BUILD)"
	@if $(MAKE) --no-print-directory emscripten 2> $(BUILD)/emscripten.log; then $(MAKE) --no-print-directory web; else \
	    rm -rf "$(WEB)"; echo "The page for browsers is left out: Emscripten cannot be fetched. Why is in $(BUILD)/emscripten.log" >&2; fi

$(WASM)/.made: $(EMSCRIPTEN)/.extracted $(MPY_CROSS) $(MPY_SOURCE) $(C_MODULE) $(PACKAGE) $(call inputs,boards/web)
	@$(call fresh,$(@D))
	@[ -e $(@D)/micropython.mjs ] || echo "Building MicroPython's webassembly port (a minute) ..."
	@$(call quiet,$(@D).log,PATH=$(EMSCRIPTEN_BIN):$$PATH $(MAKE) -C $(MPY)/ports/webassembly -j$(JOBS) VARIANT_DIR=$(ROOT)/boards/web \
	    USER_C_MODULES=$(ROOT) BUILD=$(@D))
	@touch $@

# The service worker keeps these files, and takes others when files.js is another.
$(WEB)/.made: $(WASM)/.made $(WEB_MODELS) $(if $(wildcard web/.),$(call inputs,web/))
	@rm -rf "$(WEB)" && mkdir -p "$(WEB)"
	@cp $(WEB_FILES) $(WASM)/micropython.mjs $(WASM)/micropython.wasm $(WEB_MODELS) $(WEB) && chmod -x $(WEB)/micropython.wasm
	@cat LICENSE $(MPY)/LICENSE $(EMSCRIPTEN)/usr/share/doc/emscripten/copyright > $(WEB)/licences.txt
	@cd "$(WEB)" && export LC_ALL=C && version=$$(sha256sum * | sha256sum | cut -c -16) && \
	    printf 'self.BITREPLAY = { version: "%s", files: ["./"%s] };\n' $$version \
	    "$$(ls | grep -vx -e licences.txt -e service-worker.js | sed 's/.*/, "&"/' | tr -d '\n')" > files.js
	@touch $@
