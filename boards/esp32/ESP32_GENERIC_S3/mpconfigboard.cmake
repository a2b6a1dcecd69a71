set(BITREPLAY_PARTITIONS partitions-8MiB.csv)
include(boards/ESP32_GENERIC_S3/mpconfigboard.cmake)
include(${MICROPY_BOARD_DIR}/../common.cmake)
