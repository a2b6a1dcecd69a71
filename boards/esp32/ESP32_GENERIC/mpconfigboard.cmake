set(BITREPLAY_PARTITIONS partitions-4MiB.csv)
include(boards/ESP32_GENERIC/mpconfigboard.cmake)
include(${MICROPY_BOARD_DIR}/../common.cmake)
