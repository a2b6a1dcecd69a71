# Firmware for boards with an ESP32, ESP32-S3 or ESP32-C3: build/esp32/BOARD/firmware.bin.
#
# Espressif's ESP-IDF, with its compilers, is in no package: IDF_PATH= names it. Nor has Debian's source of MicroPython
# all that its port needs. What is missing is said, with the steps to get it.

ESP32_BOARDS := $(notdir $(patsubst %/,%,$(wildcard boards/esp32/*/)))
ESP32_BUILD = $(BUILD)/esp32/$(BOARD)
ESP32_CHIP = $(if $(findstring _S3,$(BOARD)),esp32s3,$(if $(findstring _C3,$(BOARD)),esp32c3,esp32))
ESP32_LIBRARIES := lib/berkeley-db-1.xx lib/micropython-lib lib/tinyusb
MPY_BUILDS += esp32

define ESP32_STEPS
The steps, of which all but the last are done once:
  git clone -b v5.4 --recursive https://github.com/espressif/esp-idf.git ~/esp/esp-idf
  ~/esp/esp-idf/install.sh $(ESP32_CHIP)
  git clone -b v$(MPY_VERSION) https://github.com/micropython/micropython.git ~/micropython
  git -C ~/micropython submodule update --init $(ESP32_LIBRARIES)
  make firmware BOARD=$(BOARD) IDF_PATH=~/esp/esp-idf MICROPYTHON_DIR=~/micropython
endef

.PHONY: esp32-idf esp32-firmware
esp32-idf: export STEPS = $(ESP32_STEPS)
esp32-idf: micropython-source
	@$(call plain_path,IDF_PATH) > "$(BUILD)/idf.log" || { cat "$(BUILD)/idf.log" >&2; exit 1; }
	@missing() { printf '%s\n' "$$1" "$$STEPS" >&2; exit 1; }; idf=$(IDF_PATH); \
	[ "$$idf" ] || missing "BOARD=$(BOARD) needs ESP-IDF v5.2 to v5.4, and IDF_PATH= does not say where it is"; \
	versions=$$idf/tools/cmake/version.cmake; \
	[ -e "$$versions" ] || missing "IDF_PATH=$$idf is not an ESP-IDF: tools/cmake/version.cmake is not there"; \
	version=$$(sed -nE 's/^set\(IDF_VERSION_(MAJOR|MINOR) ([0-9]+)\)/\2/p' $$versions | paste -sd .); \
	[[ $$version == 5.[234] ]] || missing "IDF_PATH=$$idf is ESP-IDF v$$version; MicroPython needs v5.2 to v5.4"; \
	lacks=; for part in $(ESP32_LIBRARIES); do [ "$$(ls -A $(MPY)/$$part 2> /dev/null)" ] || lacks+=" $$part"; done; \
	[ -z "$$lacks" ] || missing "$(MPY) lacks$$lacks: MICROPYTHON_DIR= is to name a git checkout with submodules"; \
	(set +eu; . $$idf/export.sh; command -v idf.py) > /dev/null 2>&1 || \
	    missing "there is no idf.py after \`. $$idf/export.sh\`: run $$idf/install.sh $(ESP32_CHIP)"

esp32-firmware: esp32-idf $(MPY_CROSS)
	@mkdir -p "$(ESP32_BUILD)"
	@[ -e $(ESP32_BUILD)/firmware.bin ] || echo "Building the firmware of $(BOARD) (some minutes) ..."
	@$(call quiet,$(ESP32_BUILD)/build.log,set +u; export IDF_PATH=$$(realpath $(IDF_PATH)); . $$IDF_PATH/export.sh && \
	    $(MAKE) -C $(MPY)/ports/esp32 BOARD=$(BOARD) BOARD_DIR=$(ROOT)/boards/esp32/$(BOARD) BUILD=$(ESP32_BUILD) \
	    IDF_PATH=$$IDF_PATH)
	@echo "build/esp32/$(BOARD)/firmware.bin"
