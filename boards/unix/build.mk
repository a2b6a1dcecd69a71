# The unix port of MicroPython with BitReplay frozen in: build/unix/micropython.
#
# `unix-asan` is the same for tests: with AddressSanitizer and UndefinedBehaviorSanitizer in BitReplay's C code, and a
# module `_inject` that makes allocations fail. MicroPython's heap is one block to AddressSanitizer, though: an overrun
# from one buffer of that heap into the next goes unseen.

MPY_BUILDS += unix unix-asan

.PHONY: unix unix-asan
unix unix-asan: %: $(BUILD)/%/.made
	@:
$(BUILD)/unix-asan/.made: private export BITREPLAY_SANITIZE := 1
$(BUILD)/unix/.made $(BUILD)/unix-asan/.made: $(MPY_CROSS) $(MPY_SOURCE) $(C_MODULE) $(PACKAGE) $(call inputs,boards/unix)
	@$(call fresh,$(@D))
	@[ -e $(@D)/micropython ] || echo "Building MicroPython's unix port ($(notdir $(@D)), half a minute) ..."
	@$(call quiet,$(@D).log,$(MAKE) -C $(MPY)/ports/unix -j$(JOBS) VARIANT_DIR=$(ROOT)/boards/unix \
	    USER_C_MODULES=$(ROOT) BUILD=$(@D))
	@touch $@
