# A stub of ESP-IDF's project.cmake (../../README.md): the commands and variables that ports/esp32 uses.

set(IDF_PATH $ENV{IDF_PATH})
if(NOT IDF_TARGET)
    set(IDF_TARGET esp32)
endif()
string(TOUPPER ${IDF_TARGET} target)

set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
if(IDF_TARGET STREQUAL "esp32c3")
    set(arch RISCV)
    set(CMAKE_C_COMPILER riscv64-unknown-elf-gcc)
    set(arch_flags -march=rv32imc_zicsr -mabi=ilp32)
else()
    set(arch XTENSA)
    set(CMAKE_C_COMPILER xtensa-lx106-elf-gcc) # with XTENSA_GNU_CONFIG in the environment
    set(arch_flags -mabi=windowed -mlongcalls)
endif()
set(CMAKE_ASM_COMPILER ${CMAKE_C_COMPILER})

# As ESP-IDF, the settings are variables here and macros in sdkconfig.h. The last of several counts.
set(CONFIG_IDF_TARGET "\"${IDF_TARGET}\"")
set(CONFIG_IDF_TARGET_${target} 1)
set(CONFIG_IDF_TARGET_ARCH_${arch} 1)
set(settings CONFIG_IDF_TARGET CONFIG_IDF_TARGET_${target} CONFIG_IDF_TARGET_ARCH_${arch})
file(STRINGS ${SDKCONFIG_DEFAULTS} lines REGEX "^CONFIG_[A-Z0-9_]+=")
foreach(line IN LISTS lines)
    string(REGEX MATCH "^([^=]+)=(.*)$" line "${line}")
    set(value "${CMAKE_MATCH_2}")
    if(value STREQUAL "y")
        set(value 1)
    elseif(value STREQUAL "n")
        set(value "")
    endif()
    set(${CMAKE_MATCH_1} "${value}")
    list(APPEND settings ${CMAKE_MATCH_1})
endforeach()
list(REMOVE_DUPLICATES settings)
set(sdkconfig "")
foreach(setting IN LISTS settings)
    if(NOT "${${setting}}" STREQUAL "")
        string(APPEND sdkconfig "#define ${setting} ${${setting}}\n")
    endif()
endforeach()
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/config/sdkconfig.h CONTENT "${sdkconfig}" @ONLY)

foreach(header driver/gpio driver/i2s_std driver/spi_master esp_ota_ops esp_random esp_system esp_wifi_types freertos/FreeRTOS
        freertos/queue freertos/semphr freertos/task soc/gpio_reg soc/spi_periph)
    file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/config/${header}.h CONTENT "#include \"idf.h\"\n" @ONLY)
endforeach()

# Of the component's sources, those that use what idf.h declares. STUB_IDF_CORE=0 leaves out MicroPython's core.
macro(idf_component_register)
    cmake_parse_arguments(component "" "" "SRCS;INCLUDE_DIRS;LDFRAGMENTS;REQUIRES" ${ARGN})
    set(COMPONENT_TARGET __idf_main)
    set(sources ${MICROPY_EXTMOD_DIR}/vfs.c ${MICROPY_EXTMOD_DIR}/modvfs.c ${MICROPY_EXTMOD_DIR}/vfs_rom.c
        ${MICROPY_EXTMOD_DIR}/vfs_rom_file.c ${MICROPY_PORT_DIR}/esp32_partition.c)
    set(MICROPY_SOURCE_QSTR ${MICROPY_SOURCE_PY} ${MICROPY_SOURCE_USERMOD} ${sources}
        ${MICROPY_DIR}/shared/readline/readline.c ${MICROPY_EXTMOD_DIR}/os_dupterm.c ${MICROPY_EXTMOD_DIR}/modbluetooth.c)
    if(NOT DEFINED STUB_IDF_CORE OR STUB_IDF_CORE)
        list(APPEND sources ${MICROPY_SOURCE_PY})
    endif()
    add_library(${COMPONENT_TARGET} STATIC ${sources})
    set(flags ${arch_flags} --specs=picolibc.specs -include ${CMAKE_BINARY_DIR}/config/sdkconfig.h)
    target_include_directories(${COMPONENT_TARGET} PUBLIC ${component_INCLUDE_DIRS} ${IDF_PATH} ${CMAKE_BINARY_DIR}/config)
    # As ESP-IDF's.
    target_compile_options(${COMPONENT_TARGET} PUBLIC ${flags} -O2 -std=gnu17 -ffunction-sections -fdata-sections
        -Wall -Wextra -Werror -Wno-unused-parameter -Wno-sign-compare)
    set(MICROPY_CPP_FLAGS_EXTRA ${flags})
endmacro()

macro(project)
    _project(${ARGV0} C ASM)
    add_subdirectory(main)
endmacro()
