# BitReplay. `make` alone says what there is to make.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

BUILD := $(CURDIR)/build
PYTHON ?= python3
VENV := $(BUILD)/venv
BIN := $(VENV)/bin
BOARD ?= RPI_PICO

include boards/toolchain/micropython.mk
include boards/toolchain/arm.mk
include boards/toolchain/cross.mk
include boards/unix/build.mk
include boards/rp2/build.mk
include boards/esp32/build.mk
include boards/emulator/build.mk
include usermod_c/natmod/build.mk
include boards/release.mk
include tests/device/build.mk
include tests/natmod/build.mk

define HELP
make demo       teach the unix port of MicroPython new classes, and plot what it keeps
make test       everything that is tested
make lint       ruff and mypy

make setup      the Python environment, with the command `bitreplay`    build/venv/bin/bitreplay
make unix       MicroPython's unix port with BitReplay in it             build/unix/micropython
make unix-asan  the same with the sanitizers and failing allocations     build/unix-asan/micropython
make lib        the C kernels as a shared library                        build/libbitreplay.so
make firmware   for a board, BOARD=RPI_PICO if not given                 build/rp2/RPI_PICO/firmware.uf2
make natmods  the module as native modules, for stock firmware            build/natmod
make mip      packages with them, for `mip` and `upload --install`       build/mip
make release  firmware, packages and models, for a web server            dist
make emulator   an emulated Pico, for `bitreplay emulate`                build/emulator
make data       CIFAR-10 and HAPT (about 190 MB to fetch)                the user's cache folder
make clean      remove what was compiled; the rest goes with build/

BOARD= is one of $(RP2_BOARDS),
or, with Espressif's ESP-IDF named by IDF_PATH=, of $(ESP32_BOARDS).
MICROPYTHON_DIR=FOLDER builds from your checkout of MicroPython (1.25 or newer) instead of fetching Debian's source.
Needs git, make, gcc, python3 with venv, cmake, node with npm. What is made goes to build/, where each step leaves a log.
endef

.PHONY: help setup lib data firmware demo test lint clean
help:
	@: $(info $(HELP))

setup: $(VENV)/.test
	@:

# One stamp for each extra of pyproject.toml. An environment that is already there is kept.
$(VENV)/.pretrain: $(VENV)/.test
$(VENV)/.%: pyproject.toml constraints.txt
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@echo "Installing Python packages ($*) ..."
	@$(call quiet,$(BUILD)/pip.log,$(BIN)/pip install -c constraints.txt -e '.[$*]')
	@touch $@

CORE := $(wildcard usermod_c/core/*.c)
# A board is a folder of its port's.
firmware:
	@port=$(word 2,$(subst /, ,$(wildcard boards/*/$(BOARD)/mpconfigboard.h))); \
	[ "$$port" ] || { echo "there is no BOARD=$(BOARD); there are: $(RP2_BOARDS) $(ESP32_BOARDS)" >&2; exit 1; }; \
	$(MAKE) --no-print-directory $$port-firmware

lib: $(BUILD)/libbitreplay.so
	@:
$(BUILD)/libbitreplay.so: $(CORE) $(wildcard usermod_c/core/*.h)
	@mkdir -p $(BUILD)
	@$(CC) -O2 -std=c99 -Wall -Wextra -Werror -fPIC -shared -o $@ $(CORE)

data: setup
	@$(BIN)/bitreplay data cifar10
	@$(BIN)/bitreplay data hapt

demo: setup unix
	@$(BIN)/bitreplay demo --out $(BUILD)/demo

test: DIST = $(BUILD)/dist
test: RELEASE_BOARDS = RPI_PICO
test: $(VENV)/.pretrain unix unix-asan lib emulator cross release natmod-hosts stock-pico data
	@$(BIN)/pytest -n 2 tests

lint: setup
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

clean:
	@rm -rf $(MPY_BUILDS) $(BUILD)/*.so $(BUILD)/*.log
