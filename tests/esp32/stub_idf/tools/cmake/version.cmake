# As ESP-IDF's file of this name, for what the stub stands in for.
set(IDF_VERSION_MAJOR 5)
set(IDF_VERSION_MINOR 4)
set(IDF_VERSION_PATCH 0)
