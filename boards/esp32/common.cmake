# What every board has beyond MicroPython's: the module, the frozen package, and a partition with a ROMFS for models.
#
# A board includes MicroPython's own board before this, and sets BITREPLAY_PARTITIONS, a file of this folder.

set(USER_C_MODULES ${CMAKE_CURRENT_LIST_DIR}/../../usermod_c/micropython.cmake)
set(MICROPY_FROZEN_MANIFEST ${CMAKE_CURRENT_LIST_DIR}/manifest.py)

# The partition `romfs` is mapped into memory and mounted at /rom.
list(APPEND MICROPY_DEF_BOARD MICROPY_VFS_ROM=1)

# A table that is not in MicroPython's port needs its whole path.
set(BITREPLAY_SDKCONFIG ${CMAKE_BINARY_DIR}/sdkconfig.partitions)
file(WRITE ${BITREPLAY_SDKCONFIG}
    "CONFIG_PARTITION_TABLE_CUSTOM=y\n"
    "CONFIG_PARTITION_TABLE_CUSTOM_FILENAME=\"${CMAKE_CURRENT_LIST_DIR}/${BITREPLAY_PARTITIONS}\"\n"
)
list(APPEND SDKCONFIG_DEFAULTS ${BITREPLAY_SDKCONFIG})
