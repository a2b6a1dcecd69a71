# The unix port of MicroPython with BitReplay frozen in: build/unix/micropython.
#
# `unix-asan` is the same for tests: with AddressSanitizer and UndefinedBehaviorSanitizer in BitReplay's C code, and a
# module `_inject` that makes allocations fail. MicroPython's heap is one block to AddressSanitizer, though: an overrun
# from one buffer of that heap into the next goes unseen.

MPY_BUILDS += $(BUILD)/unix $(BUILD)/unix-asan

.PHONY: unix unix-asan
unix-asan: export BITREPLAY_SANITIZE := 1
unix unix-asan: mpy-cross
	@[ -e $(BUILD)/$@/micropython ] || echo "Building MicroPython's unix port ($@, half a minute) ..."
	@$(call quiet,$(BUILD)/$@.log,$(MAKE) -C $(MPY)/ports/unix -j$(JOBS) VARIANT_DIR=$(CURDIR)/boards/unix \
	    USER_C_MODULES=$(CURDIR) BUILD=$(BUILD)/$@)
