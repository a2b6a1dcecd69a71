# What is given to users, in a folder that can be put on a web server as it is: firmware, packages for `mip`, models, and
# the page that teaches in a browser, where it can be built.

export DIST ?= dist
RELEASE_BOARDS ?= RPI_PICO RPI_PICO2
SDK_DOC := $(SOURCES)/sdk/usr/share/doc
# Of all that is linked into firmware. Debian lists those of what is inside MicroPython.
LICENCES = pico-sdk=$(SDK_DOC)/pico-sdk-source/copyright tinyusb=$(SDK_DOC)/tinyusb-source/copyright \
    newlib=$(ARM)/usr/share/doc/libnewlib-arm-none-eabi/copyright libgcc=$(ARM)/usr/share/doc/gcc-arm-none-eabi/copyright
ifneq ($(MICROPYTHON_DIR)$(filter command% env%,$(origin ARM_BIN)),)
release: release-of-debian
release-of-debian:
	@echo "make release is for Debian's sources, whose licences it knows: leave out MICROPYTHON_DIR= and ARM_BIN=" >&2; exit 1
endif

# Of a folder that may be replaced: this line, in a file RELEASE.
RELEASE_MARK := A release of BitReplay, replaced by the next one

define RELEASE_GUARD
[ "$$DIST" ] || { echo "DIST= names no folder" >&2; exit 1; }; \
{ [ ! -e "$$DIST" ] && [ ! -L "$$DIST" ]; } || grep -qsx "$(RELEASE_MARK)" "$$DIST/RELEASE" || \
    { echo "DIST=$$DIST is there, and is no release" >&2; exit 1; }
endef
RELEASE := $(BUILD)/release

.PHONY: release release-folder
release-folder:
	@$(RELEASE_GUARD)

release: release-folder mip web-or-not
	@for board in $(RELEASE_BOARDS); do $(MAKE) --no-print-directory firmware BOARD=$$board; done
	@# It takes the place of the old one when it is whole.
	@rm -rf $(RELEASE) && mkdir -p $(RELEASE)/firmware $(RELEASE)/licences
	@for board in $(RELEASE_BOARDS); do cp $(BUILD)/rp2/$$board/firmware.uf2 $(RELEASE)/firmware/$$board.uf2; done
	@cp -r $(BUILD)/mip models LICENSE CHANGELOG.md $(RELEASE) && rm $(RELEASE)/mip/.made
	@[ ! -e $(WEB)/index.html ] || { cp -r $(WEB) $(RELEASE)/web && rm $(RELEASE)/web/.made; }
	@python3 -c 'import sys, tarfile; tarfile.open(sys.argv[1]).extract("debian/copyright", sys.argv[2])' \
	    $(SOURCES)/micropython_$(MPY_VERSION)+ds-1.debian.tar.xz $(BUILD)
	@cat $(MPY)/LICENSE $(BUILD)/debian/copyright > $(RELEASE)/licences/micropython.txt
	@for licence in $(LICENCES); do cp $${licence#*=} $(RELEASE)/licences/$${licence%%=*}.txt; done
	@echo "$(RELEASE_MARK)" > $(RELEASE)/RELEASE
	@cd $(RELEASE) && find . -type f ! -name SHA256SUMS | sort | xargs sha256sum > SHA256SUMS
	@$(RELEASE_GUARD); rm -rf -- "$$DIST" && cp -r $(RELEASE) "$$DIST"
	@echo "$$DIST"
