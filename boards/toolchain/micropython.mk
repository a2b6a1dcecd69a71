# MicroPython's source and its cross-compiler, for every board.
#
# MICROPYTHON_DIR= names a checkout of MicroPython 1.25 or newer. Without it the source is that of Debian 13, which any
# Debian machine fetches without root.
#
# Gives MPY (the source), MPY_CROSS (on which a board's build depends), and `quiet`. A board's build
# appends the name of its folder in build/ to MPY_BUILDS.

MPY_VERSION := 1.25.0
TOOLCHAIN := $(ROOT)/boards/toolchain
override SOURCES := $(BUILD)/src
JOBS := $(shell nproc)
MPY_BUILDS := mpy-cross

ifdef MICROPYTHON_DIR
override MPY := $(abspath $(MICROPYTHON_DIR))
else
override MPY := $(SOURCES)/micropython-$(MPY_VERSION)
# What MicroPython says of itself. It would take today's date, and the version of the git repository around it: ours.
export SOURCE_DATE_EPOCH ?= 1744675200
export MICROPY_GIT_TAG := v$(MPY_VERSION)
export MICROPY_GIT_HASH := debian
endif

# Without this, MicroPython would build a cross-compiler inside its own folder.
export MICROPY_MPYCROSS := $(BUILD)/mpy-cross/mpy-cross
MPY_CROSS := $(BUILD)/mpy-cross/.made

# What all that is compiled from MicroPython depends on: Debian's source, which stays as it is. What changes in a checkout
# is not known, nor what is left of another source that was used last: `micropython-source` is always newer.
MPY_SOURCE := micropython-source
ifeq ($(if $(MICROPYTHON_DIR),,$(file <$(SOURCES)/.used)),$(MPY))
MPY_SOURCE := $(SOURCES)/.extracted
endif

# $(call quiet,LOG,COMMAND) runs a command of which nothing is seen unless it fails.
quiet = { $(2); } > "$(1)" 2>&1 || { tail -n 30 "$(1)" >&2; echo "That failed. All it said is in $(1)" >&2; exit 1; }

$(SOURCES)/.extracted: $(TOOLCHAIN)/micropython.sha256
	@echo "Fetching MicroPython $(MPY_VERSION) ..."
	@mkdir -p "$(SOURCES)"
	@$(TOOLCHAIN)/private-apt.sh $(BUILD)/apt trixie
	@cd $(SOURCES) && APT_CONFIG=$(BUILD)/apt/apt.conf apt-get -qq source --download-only micropython=$(MPY_VERSION)+ds-1
	@cd $(SOURCES) && sha256sum --quiet --check $(TOOLCHAIN)/micropython.sha256
	@# The .orig is upstream's own tree, less the libraries that Debian packages; Debian's patches are left out.
	@rm -rf "$(MPY)" && python3 -m tarfile -e $(SOURCES)/micropython_$(MPY_VERSION)+ds.orig.tar.xz $(SOURCES)
	@touch $@

# Checks the source and, when it is another one than last time, drops what was built from the old one.
.PHONY: micropython-source
micropython-source: $(if $(MICROPYTHON_DIR),,$(SOURCES)/.extracted)
	@number='/^#define MICROPY_VERSION_(MAJOR|MINOR) / { printf "%03d", $$3 }'; \
	version=$$(awk "$$number" $(MPY)/py/mpconfig.h 2> /dev/null) || true; \
	[ "$${version:-0}" -ge 001025 ] || { echo "$(MPY) is not a checkout of MicroPython 1.25 or newer" >&2; exit 1; }
	@mkdir -p "$(SOURCES)"
	@[ "$$(cat $(SOURCES)/.used 2> /dev/null)" = $(MPY) ] || \
	    { (cd "$(BUILD)" && rm -rf $(MPY_BUILDS)); echo $(MPY) > $(SOURCES)/.used; }

.PHONY: mpy-cross
mpy-cross: $(MPY_CROSS)
	@:
$(MPY_CROSS): $(MPY_SOURCE)
	@mkdir -p "$(@D)"
	@[ -e $(MICROPY_MPYCROSS) ] || echo "Building mpy-cross ..."
	@$(call quiet,$(BUILD)/mpy-cross.log,$(MAKE) -C $(MPY)/mpy-cross -j$(JOBS) BUILD=$(BUILD)/mpy-cross)
	@touch $@
