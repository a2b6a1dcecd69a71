"""A net of PyTorch's as an integer model (docs/formats.md): batch norm folded, binary weights packed."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import torch
from bitreplay import safetensors
from bitreplay.network import FORMAT, VERSION

from ..errors import UserError
from .net import HEAD_SCALE, STEM_SCALE, STREAM, int8_weight, threshold_units, to_input

LATENT = "latent"  # the threshold after which a Net is cut where it was trained to be
DTYPES = {"int8": "I8", "int16": "I16", "int32": "I32", "uint32": "U32"}


def pack(signs: np.ndarray) -> np.ndarray:
    """Pack the last axis (a multiple of 32; True is +1) into little-endian uint32 words (docs/numbers.md)."""
    return np.packbits(signs, axis=-1, bitorder="little").view("<u4")


class _Exporter:
    def __init__(self) -> None:
        self.layers: list[dict] = []
        self.tensors: dict[str, np.ndarray] = {}

    def affine(self, name, layer):
        self.tensors[f"{name}.slope"], self.tensors[f"{name}.bias"], shift = layer.fixed_point()
        return shift

    def stem(self, name, stem):
        weight = int8_weight(stem.weight.detach(), STEM_SCALE).permute(0, 2, 3, 1).numpy() * STEM_SCALE
        self.tensors[f"{name}.weight"] = np.ascontiguousarray(weight.round().astype(np.int8))
        shift = self.affine(name, stem)
        self.layers.append(
            {
                "op": "conv2d",
                "tensor": name,
                "cout": weight.shape[0],
                "kernel": 3,
                "stride": 2,
                "padding": 1,
                "shift": shift,
            }
        )

    def binarize(self, name, threshold):
        self.tensors[f"{name}.threshold"] = threshold_units(threshold).numpy().astype(np.int8)
        self.layers.append({"op": "binarize", "tensor": name})

    def bconv(self, name, layer, stride, groups):
        weight = layer.weight.detach().permute(0, 2, 3, 1).numpy()
        self.tensors[f"{name}.weight"] = pack(weight >= 0)
        shift = self.affine(name, layer)
        self.layers.append(
            {
                "op": "bconv2d",
                "tensor": name,
                "cout": weight.shape[0],
                "kernel": weight.shape[1],
                "stride": stride,
                "padding": weight.shape[1] // 2,
                "groups": groups,
                "shift": shift,
                "residual": True,
            }
        )

    def expand(self, name, levels):
        self.tensors[f"{name}.levels"] = levels
        self.layers.append({"op": "expand", "tensor": name})

    def pool(self, size, repeat):
        self.layers.append({"op": "avg_pool", "size": size, "repeat": repeat})


def convert(net, head: bool, latent: str = LATENT, levels: np.ndarray | None = None) -> tuple[list[dict], dict]:
    """The layers and tensors of a model (docs/formats.md) that computes what a `Net` does.

    latent: after which of net.thresholds() the model is cut. Elsewhere than at LATENT the shortcut of the blocks above
    starts from levels, as calibrate() returns them, and the model does not compute what the Net does.
    """
    check_latent(net, latent)
    out = _Exporter()

    out.stem("stem", net.stem)
    for i, block in enumerate(net.blocks):
        name = f"block{i}"
        out.binarize(name, block.threshold)
        if name == latent:
            out.layers.append({"op": "latent"})
            out.expand(name, levels)
        if block.stride == 2:
            out.pool(2, 2)
        out.bconv(name, block, block.stride, 1)
    out.pool(2, 1)
    out.binarize(LATENT, net.threshold)
    if latent == LATENT:
        out.layers.append({"op": "latent"})
    out.expand("expand", np.tile(np.array([-STREAM, STREAM], np.int8), (len(net.threshold), 1)))
    out.bconv("tail", net.trainable, 1, net.trainable.groups)
    out.layers.append({"op": "global_avg_pool"})
    if head:
        weight = int8_weight(net.head.detach(), HEAD_SCALE).numpy() * HEAD_SCALE
        out.tensors["head.weight"] = weight.round().astype(np.int8)
        # Scores are Q10; the products are in units of 1 / (STREAM * HEAD_SCALE) = 2^-11.
        out.tensors["head.shift"] = np.full(len(weight), -1, np.int8)
        out.layers.append({"op": "dense", "tensor": "head"})
    return out.layers, out.tensors


def check_latent(net, latent: str) -> None:
    """UserError unless a `Net` can be cut there."""
    names = list(net.thresholds())
    if latent not in names:
        raise UserError(f"--latent {latent}: the net can be cut at {', '.join(names)}")


def calibrate(net, latent: str, images: np.ndarray) -> np.ndarray:
    """The levels, i8 (channels, 2), of a `Net` cut at a block: what its bits 0 and 1 stand for in the stream.

    The rounded means of a channel's values below its threshold and of the others, over (n, 32, 32, 3) uint8 images;
    the value next to the threshold where there is none. In float64, by the folded net, on the integers' own values.
    """
    check_latent(net, latent)
    folded, place = copy.deepcopy(net).fold(), list(net.thresholds()).index(latent)
    threshold = threshold_units(folded.thresholds()[latent])
    count, total = torch.zeros(2, 2, len(threshold), dtype=torch.float64)
    with torch.no_grad():
        for part in torch.from_numpy(images).permute(0, 3, 1, 2).split(100):
            x = folded.stem(to_input(part).double())
            for block in folded.blocks[:place]:
                x = block(x)
            x = (x * STREAM).transpose(0, 1).flatten(1)
            above = x >= threshold[:, None]
            for bit, those in enumerate((~above, above)):
                count[bit] += those.sum(1)
                total[bit] += (x * those).sum(1)
    means = torch.floor(total / count + 0.5)
    beside = torch.stack([(threshold - 1).clamp(min=-128), threshold])
    return torch.where(count > 0, means, beside).T.numpy().astype(np.int8)


def export(
    net, path: Path, name: str, labels: list[str] | None, latent: str = LATENT, levels: np.ndarray | None = None
) -> None:
    """Write a `Net` as a bitreplay-model file (docs/formats.md); labels None leaves out its head.

    latent, levels: as convert() takes them. The same net is the same bytes.
    """
    layers, tensors = convert(net, labels is not None, latent, levels)
    metadata = {"format": FORMAT, "version": VERSION, "name": name}
    metadata["graph"] = json.dumps({"image": [32, 32, 3], "layers": layers})
    if labels is not None:
        metadata["labels"] = json.dumps(labels)
    safetensors.write(path, metadata, [(k, DTYPES[str(v.dtype)], v.shape, v.tobytes()) for k, v in tensors.items()])
