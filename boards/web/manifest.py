package("bitreplay", base_path="../../firmware")
