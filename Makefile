# BitReplay. `make` alone says what there is to make.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

# Every path below is one word: that of this folder (see plain-path.sh), and those that a user names.
quoted = '$(subst ','\'',$(1))'
plain_path = boards/toolchain/plain-path.sh $(foreach name,$(1),$(if $($(name)),$(call quoted,$(name)=$($(name)))))
override ROOT := $(shell $(call plain_path,MICROPYTHON_DIR ARM_BIN PYTHON) 2>&1)
ifneq ($(.SHELLSTATUS),0)
$(error $(ROOT))
endif
override BUILD := $(ROOT)/build
export BITREPLAY_BUILD := $(BUILD)
PYTHON ?= python3
VENV := $(BUILD)/venv
BIN := $(VENV)/bin
BOARD ?= RPI_PICO

# $(call inputs,FOLDERS) is what a build depends on: their files, and the folders too, as a file may go.
inputs = $(shell find $(1) -name '*[!A-Za-z0-9_.-]*' -prune -o -name __pycache__ -prune -o -print)
C_MODULE := $(call inputs,usermod_c/core usermod_c/bindings usermod_c/micropython.cmake usermod_c/micropython.mk)
PACKAGE := $(call inputs,firmware/bitreplay)
# $(call fresh,FOLDER) empties a build whose makefiles have changed: they say how it is compiled, and no compiler is told.
fresh = $(if $(filter %.mk %/Makefile,$?),[ ! -e $@ ] || rm -rf "$(1)")

include boards/toolchain/micropython.mk
include boards/toolchain/arm.mk
include boards/toolchain/cross.mk
include boards/toolchain/emscripten.mk
include boards/unix/build.mk
include boards/rp2/build.mk
include boards/esp32/build.mk
include boards/web/build.mk
include boards/emulator/build.mk
include usermod_c/natmod/build.mk
include boards/release.mk
include tests/device/build.mk
include tests/web/build.mk
include tests/natmod/build.mk

define HELP
make demo       teach MicroPython on this machine new classes, and plot its accuracy
make check      before a commit: lint, kernels, learner and host tools; three minutes when all is built, two cores
make test       what CI runs: that, emulated boards and processors, PyTorch, firmware
make test-all   that and what takes long
make lint       ruff, mypy, clang-format

make setup      the Python environment, with the command `bitreplay`    build/venv/bin/bitreplay
make unix       MicroPython's unix port with BitReplay in it             build/unix/micropython
make unix-asan  the same with the sanitizers and failing allocations     build/unix-asan/micropython
make lib        the C kernels as a shared library                        build/libbitreplay.so
make firmware   for a board, BOARD=RPI_PICO if not given                 build/rp2/RPI_PICO/firmware.uf2
make natmods    the module as native modules, for stock firmware         build/natmod
make mip        packages with them, for `mip` and `upload --install`     build/mip
make release    firmware, packages, models, page, for a web server       dist
make web        the page that teaches in a browser, for `bitreplay web`  build/web
make wheel      the host's package, to be installed anywhere             build/wheel
make emulator   an emulated Pico, for `bitreplay emulate`                build/emulator
make data       CIFAR-10, drawings, HAPT (about 190 MB to fetch)         your cache folder
make figures    measure again what the docs tell (two hours)             docs/measured
make docs       the pages and the reference as a site, links checked      build/docs/site
make clean      remove what was compiled; the rest goes with build/

BOARD= is one of $(RP2_BOARDS),
or, with Espressif's ESP-IDF named by IDF_PATH=, of $(ESP32_BOARDS).
MICROPYTHON_DIR=FOLDER builds from your checkout of MicroPython (1.25 or newer) instead of fetching Debian's source.
Needs git, make, gcc, python3 with venv, cmake, node with npm. What is made goes to build/, where each step leaves a log.
endef

.PHONY: help setup lib data firmware no-such-board figures wheel docs demo check test test-all test-builds lint clean
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

# MicroPython's stubs are to stand for the standard library, and not beside CPython's.
TYPINGS := $(BUILD)/typings/.made
$(TYPINGS): constraints.txt | setup
	@rm -rf "$(@D)"
	@$(call quiet,$(BUILD)/typings.log,$(BIN)/pip install --target $(@D) -c constraints.txt micropython-rp2-stubs)
	@touch $@

CORE := $(wildcard usermod_c/core/*.c)
C_FILES := $(shell find usermod_c boards tests -name '*.[ch]' -not -path '*/build*')
firmware: $(if $(filter $(RP2_BOARDS),$(BOARD)),rp2-firmware,$(if $(filter $(ESP32_BOARDS),$(BOARD)),esp32-firmware,no-such-board))
no-such-board:
	@echo there is no BOARD=$(call quoted,$(BOARD))\; there are: $(RP2_BOARDS) $(ESP32_BOARDS) >&2; exit 1

lib: $(BUILD)/libbitreplay.so
	@:
$(BUILD)/libbitreplay.so: $(CORE) $(wildcard usermod_c/core/*.h)
	@mkdir -p "$(BUILD)"
	@$(CC) -O3 -DBR_ASK_PROCESSOR=1 -std=c99 -Wall -Wextra -Werror -fPIC -shared -o $@ $(CORE)

data: setup
	@$(BIN)/bitreplay data cifar10
	@$(BIN)/bitreplay data quickdraw
	@$(BIN)/bitreplay data hapt

figures: setup unix firmware emulator natmods mip stock-pico data
	@docs/measured/measure.sh

# Elsewhere, as setuptools leaves its own build in the folder that it is given.
wheel: setup
	@rm -rf $(BUILD)/wheel && mkdir -p $(BUILD)/wheel/source
	@cp -r pyproject.toml README.md LICENSE host_tools firmware models $(BUILD)/wheel/source
	@$(call quiet,$(BUILD)/wheel.log,$(BIN)/pip wheel --no-deps -w $(BUILD)/wheel $(BUILD)/wheel/source)
	@rm -r $(BUILD)/wheel/source
	@echo build/wheel/*.whl

# The pages with what they link to, as they lie here.
PAGES := $(wildcard *.md docs/*.md docs/*.png docs/measured/*.md models/*.md models/*.log boards/*/README.md firmware/examples/*.py) LICENSE
docs: $(VENV)/.docs
	@rm -rf $(BUILD)/docs && mkdir -p $(BUILD)/docs/pages
	@cp --parents $(PAGES) $(BUILD)/docs/pages
	@# The stub is read as the module that it tells of.
	@mkdir -p $(BUILD)/docs/stubs && cp firmware/bitreplay/__init__.pyi $(BUILD)/docs/stubs/bitreplay.py
	@# Not --quiet, which hides broken links from --strict.
	@$(call quiet,$(BUILD)/docs.log,$(BIN)/mkdocs build --strict)
	@echo build/docs/site/index.html

demo: setup unix
	@$(BIN)/bitreplay demo --out build/demo

# The tests that take longest come first (tests/conftest.py), and a core with nothing left to do takes from the other's.
# They start hundreds of Python processes, which compile what they import once, also where the environment forbids it.
PYTEST := env -u PYTHONDONTWRITEBYTECODE $(BIN)/pytest -n $(JOBS) --dist worksteal

check: lint unix unix-asan lib data
	@$(PYTEST) -m "not (emulator or qemu or toolchain or torch or exhaustive or slow)"

test-builds: DIST = $(BUILD)/dist
test-builds: RELEASE_BOARDS = RPI_PICO
test-builds: lint docs web-or-not chromium-or-not $(VENV)/.pretrain unix unix-asan lib emulator cross release natmod-hosts stock-pico data

test: test-builds
	@$(PYTEST)

test-all: test-builds
	@BITREPLAY_FUZZ_SECONDS=60 $(PYTEST) -m ""

lint: setup $(TYPINGS)
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/clang-format --dry-run --Werror $(C_FILES)
	@$(BIN)/mypy
	@$(BIN)/mypy --config-file firmware/mypy.ini

clean:
	@[ ! -d "$(BUILD)" ] || { cd "$(BUILD)"; rm -rf $(MPY_BUILDS) *.so *.log; }
