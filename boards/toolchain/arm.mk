# The ARM compiler of the host's Debian release, unpacked and not installed. ARM_BIN= names a folder with another one.
#
# Gives ARM_BIN and the target `arm`, on which what is compiled with it depends.

.PHONY: arm
ifndef ARM_BIN
override ARM := $(BUILD)/arm
ARM_BIN := $(ARM)/usr/bin
ARM_PACKAGES := gcc-arm-none-eabi binutils-arm-none-eabi libnewlib-arm-none-eabi libnewlib-dev

arm: $(ARM)/.extracted
$(ARM)/.extracted:
	@echo "Fetching the ARM compiler (60 MB) ..."
	@mkdir -p $(ARM)/packages
	@. /etc/os-release; $(TOOLCHAIN)/private-apt.sh $(BUILD)/apt-arm $$VERSION_CODENAME
	@cd $(ARM)/packages && APT_CONFIG=$(BUILD)/apt-arm/apt.conf apt-get -qq download $(ARM_PACKAGES)
	@for package in $(ARM)/packages/*.deb; do dpkg-deb -x $$package $(ARM); done
	@rm -r "$(ARM)/packages"
	@# Debian's newlib lies beside the compiler's folder, where only an installed compiler looks.
	@ln -sfn newlib $(ARM)/usr/lib/arm-none-eabi/lib
	@ln -sfn ../../include/newlib $(ARM)/usr/lib/arm-none-eabi/include
	@touch $@
else
arm:
	@[ -x $(ARM_BIN)/arm-none-eabi-gcc ] || { echo "ARM_BIN=$(ARM_BIN) has no arm-none-eabi-gcc" >&2; exit 1; }
endif
