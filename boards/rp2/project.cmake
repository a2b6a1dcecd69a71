# Run by CMake after MicroPython's project(), before the SDK is set up.

# Nothing here is C++: without the SDK's new_delete.cpp no C++ runtime is needed. As gcc links then, and not g++, the
# maths library must be named.
add_library(pico_cxx_options INTERFACE)
add_library(pico_cxx_options_headers INTERFACE)
target_link_libraries(pico_cxx_options INTERFACE m)

# The UF2 is made by MicroPython's uf2conv.py: no picotool.
set(picotool_FOUND 0)

# The port is compiled for size; the kernels are compiled for speed, and their loops run from SRAM.
file(GLOB BITREPLAY_CORE ${CMAKE_CURRENT_LIST_DIR}/../../usermod_c/core/*.[cS])
set_source_files_properties(${BITREPLAY_CORE} PROPERTIES
    COMPILE_OPTIONS "-O2"
    COMPILE_DEFINITIONS "BR_HOT_SECTION=\".time_critical.bitreplay\""
)
# BITREPLAY_PLAIN_C=1 in the environment leaves out the assembly, to compare.
if(DEFINED ENV{BITREPLAY_PLAIN_C})
    add_compile_definitions(BR_PLAIN_C=1)
endif()
