BITREPLAY_MOD_DIR := $(USERMOD_DIR)

SRC_USERMOD_C += $(sort $(wildcard $(BITREPLAY_MOD_DIR)/core/*.c))
SRC_USERMOD_LIB_ASM += $(wildcard $(BITREPLAY_MOD_DIR)/core/*.S)
SRC_USERMOD_C += $(sort $(wildcard $(BITREPLAY_MOD_DIR)/bindings/*.c))

CFLAGS_USERMOD += -I$(BITREPLAY_MOD_DIR)/core
