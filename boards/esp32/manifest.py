include("$(PORT_DIR)/boards/manifest.py")
package("bitreplay", base_path="../../firmware")
