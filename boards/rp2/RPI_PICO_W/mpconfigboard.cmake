include(${MICROPY_PORT_DIR}/boards/RPI_PICO_W/mpconfigboard.cmake)
