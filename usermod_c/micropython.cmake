add_library(usermod_bitreplay INTERFACE)

file(GLOB BITREPLAY_SOURCES CONFIGURE_DEPENDS
    ${CMAKE_CURRENT_LIST_DIR}/core/*.[cS]
    ${CMAKE_CURRENT_LIST_DIR}/bindings/*.c
)

target_sources(usermod_bitreplay INTERFACE ${BITREPLAY_SOURCES})

target_include_directories(usermod_bitreplay INTERFACE
    ${CMAKE_CURRENT_LIST_DIR}/core
    ${CMAKE_CURRENT_LIST_DIR}/bindings
)

target_link_libraries(usermod INTERFACE usermod_bitreplay)
