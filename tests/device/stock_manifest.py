# MicroPython's own manifest, but for what comes from micropython-lib.
freeze("$(PORT_DIR)/modules")
include("$(MPY_DIR)/extmod/asyncio")
