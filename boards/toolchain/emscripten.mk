# Emscripten 3.1.6 and the compiler that it drives: Debian 12's, unpacked and not installed. emscripten.sha256 pins what decides the bits.
#
# Gives EMSCRIPTEN_BIN and the target `emscripten`.

override EMSCRIPTEN := $(BUILD)/emscripten
EMSCRIPTEN_BIN := $(EMSCRIPTEN)/bin
EMSCRIPTEN_LIB := $(EMSCRIPTEN)/usr/lib
EMSCRIPTEN_PACKAGES := emscripten binaryen clang-14 libclang-common-14-dev libclang-cpp14 libllvm14 lld-14 llvm-14 \
    libbsd0 libedit2 libffi8 libicu72 liblzma5 libmd0 libtinfo6 libxml2 libz3-4 node-acorn zlib1g

.PHONY: emscripten
emscripten: $(EMSCRIPTEN)/.extracted
	@:
$(EMSCRIPTEN)/.extracted: $(TOOLCHAIN)/emscripten.sha256
	@echo "Fetching Emscripten (180 MB) ..."
	@rm -rf "$(EMSCRIPTEN)" && mkdir -p $(EMSCRIPTEN)/packages $(EMSCRIPTEN_BIN)
	@$(TOOLCHAIN)/private-apt.sh $(EMSCRIPTEN)/apt bookworm
	@cd $(EMSCRIPTEN)/packages && APT_CONFIG=$(EMSCRIPTEN)/apt/apt.conf apt-get -qq download $(EMSCRIPTEN_PACKAGES)
	@cd $(EMSCRIPTEN)/packages && sha256sum --quiet --check $(TOOLCHAIN)/emscripten.sha256
	@for package in $(EMSCRIPTEN)/packages/*.deb; do dpkg-deb -x $$package $(EMSCRIPTEN); done
	@# Libraries of the kinds that are not used here are the larger half.
	@cd $(EMSCRIPTEN)/usr/share/emscripten && rm -rf tests cache/build cache/sysroot/lib/wasm32-emscripten/{lto,lto-pic,pic}
	@rm -r "$(EMSCRIPTEN)/packages" "$(EMSCRIPTEN)/apt"
	@# Its settings name the folders where it would be installed, and one that node is not always in.
	@sed "s#'/usr/bin/node'#'node'#; s#'/usr#'$(EMSCRIPTEN)/usr#" $(EMSCRIPTEN)/usr/share/emscripten/.emscripten > $(EMSCRIPTEN)/settings
	@printf '%s\n' '#!/bin/sh' 'export EM_CONFIG=$(EMSCRIPTEN)/settings NODE_PATH=$(EMSCRIPTEN)/usr/share/nodejs PATH=$(EMSCRIPTEN)/usr/bin:$$PATH' \
	    'export PYTHONDONTWRITEBYTECODE=1 LD_LIBRARY_PATH=$(EMSCRIPTEN_LIB)/x86_64-linux-gnu:$(EMSCRIPTEN_LIB)/llvm-14/lib:$(EMSCRIPTEN_LIB)/x86_64-linux-gnu/binaryen:$(EMSCRIPTEN)/lib/x86_64-linux-gnu' \
	    'exec python3 $(EMSCRIPTEN)/usr/share/emscripten/$${0##*/}.py "$$@"' > $(EMSCRIPTEN_BIN)/emcc
	@chmod +x $(EMSCRIPTEN_BIN)/emcc && ln -s emcc $(EMSCRIPTEN_BIN)/emar
	@touch $@
