freeze("$(PORT_DIR)/modules")
include("$(MPY_DIR)/extmod/asyncio")
package("bitreplay", base_path="../../firmware")
