"""Pretraining with PyTorch. What is here can be imported without it."""

KINDS = "reactnet", "birealnet", "quicknet", "vgg", "float"  # of nets: how blocks pass on what they read; a teacher
WIDTHS = 64, 64, 128, 128, 256, 256, 256, 256  # of models/backbone.safetensors: the first layer, and each block
