add_library(usermod_bitreplay INTERFACE)

file(GLOB BITREPLAY_CORE CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/core/*.[cS])

target_sources(usermod_bitreplay INTERFACE
    ${BITREPLAY_CORE}
    ${CMAKE_CURRENT_LIST_DIR}/bindings/modbitreplay.c
)

target_include_directories(usermod_bitreplay INTERFACE
    ${CMAKE_CURRENT_LIST_DIR}/core
    ${CMAKE_CURRENT_LIST_DIR}/bindings
)

target_link_libraries(usermod INTERFACE usermod_bitreplay)
