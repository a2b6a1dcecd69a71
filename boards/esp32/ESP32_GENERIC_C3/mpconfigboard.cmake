set(BITREPLAY_PARTITIONS partitions-4MiB.csv)
include(boards/ESP32_GENERIC_C3/mpconfigboard.cmake)
include(${MICROPY_BOARD_DIR}/../common.cmake)
