# What tests/web needs: a Chromium of the host's Debian release, unpacked and not installed, and axe-core.
#
# Without them its tests skip, and say so. Of Chromium Debian's mirrors have the newest version only, so its signature is
# checked, and no hash; axe-core's hash is in package-lock.json.

CHROMIUM := $(BUILD)/chromium
AXE := $(BUILD)/axe

.PHONY: chromium chromium-or-not
chromium: $(CHROMIUM)/.extracted $(AXE)/.packages
	@:
chromium-or-not:
	@mkdir -p "$(BUILD)"
	@$(MAKE) --no-print-directory chromium 2> $(BUILD)/chromium.log || \
	    echo "Tests of the page in a browser are left out: Chromium cannot be fetched. Why is in $(BUILD)/chromium.log" >&2

# Its libraries come with it; the C library is the host's, as it is of the same release.
$(CHROMIUM)/.extracted: tests/web/chromium.sh
	@echo "Fetching Chromium (220 MB) ..."
	@rm -rf "$(CHROMIUM)" && mkdir -p $(CHROMIUM)
	@. /etc/os-release; $(TOOLCHAIN)/private-apt.sh $(CHROMIUM)/apt $$VERSION_CODENAME
	@APT_CONFIG=$(CHROMIUM)/apt/apt.conf apt-get -qq --yes --no-install-recommends --download-only install chromium fonts-liberation
	@for package in $(CHROMIUM)/apt/archives/*.deb; do dpkg-deb --fsys-tarfile $$package | tar -x --no-same-owner --no-same-permissions \
	    -C $(CHROMIUM) --exclude=./var --exclude='./usr/share/[!fmX]*' --exclude='./usr/share/fonts/truetype/dejavu'; done
	@rm -r "$(CHROMIUM)/apt"
	@cp tests/web/chromium.sh $(CHROMIUM)/chromium
	@printf '%s\n' '<?xml version="1.0"?>' '<fontconfig><dir>$(CHROMIUM)/usr/share/fonts</dir><cachedir>$(CHROMIUM)/fonts</cachedir>' \
	    '<match><edit name="family" mode="append_last"><string>Liberation Sans</string></edit></match></fontconfig>' > $(CHROMIUM)/fonts.conf
	@touch $@

$(AXE)/.packages: tests/web/package.json tests/web/package-lock.json
	@mkdir -p $(AXE) && cp $^ $(AXE)
	@$(call quiet,$(BUILD)/axe.log,cd $(AXE) && npm ci --no-audit --no-fund)
	@touch $@
