"""Nets as training could leave them, and what tests of their export share."""

import json

import numpy as np
import torch
from bitreplay_host.datasets import registry
from bitreplay_host.training import WIDTHS, plain
from safetensors import safe_open
from safetensors.numpy import load_file

LABELS = registry.class_names("cifar100")
SMALL = 32, 32, 64, 64, 128  # of models/small.safetensors


def random_net(seed, latent="latent", kind="reactnet"):
    """A Net as training could leave it: batch norm that fits, slopes, thresholds and levels of either sign."""
    torch.manual_seed(seed)
    groups, widths = [1, 2, 4][seed % 3], [WIDTHS, SMALL, WIDTHS][seed % 3]
    net = plain.make(kind, groups=groups, widths=widths, latent=latent)
    images = images_of(seed, 16)
    with torch.no_grad():
        for threshold in net.thresholds().values():
            threshold.normal_(0, 0.3)
        for layer in net.affine_layers().values():
            layer.affine.slope.uniform_(-0.3, 0.8)
            layer.affine.norm.weight.normal_(0.6, 0.4)
            layer.affine.norm.bias.normal_(0, 0.3)
            layer.affine.norm.momentum = None  # the statistics of what it sees
        for name, levels in net.named_parameters():
            if name.endswith(".levels"):
                levels.normal_(0, 1.5)
                levels[:2] = torch.tensor([[-9.0, 9.0], [7.94, -8.04]])  # saturate
        net.train()
        net(as_input(images))
    return net.eval()


def images_of(seed, count):
    """Random images with structure: 4x4 blocks and noise."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 200, (count, 8, 8, 3)).repeat(4, axis=1).repeat(4, axis=2)
    return (blocks + rng.integers(0, 56, (count, 32, 32, 3))).astype(np.uint8)


def as_input(images):
    from bitreplay_host.training.net import to_input

    return to_input(torch.from_numpy(images).permute(0, 3, 1, 2))


def contents(path):
    """A model file: metadata, with the graph as an object, and the tensors, each with dtype, shape and bytes."""
    with safe_open(path, "np") as file:
        metadata = file.metadata()
    tensors = {name: (str(v.dtype), v.shape, v.tobytes()) for name, v in load_file(path).items()}
    return metadata | {"graph": json.loads(metadata["graph"])}, tensors


def write_checkpoint(path, net):
    torch.save({"net": net.state_dict(), "epoch": 1}, path)
    return path
