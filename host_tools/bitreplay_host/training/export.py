"""A net of PyTorch's as an integer model (docs/formats.md): batch norm folded, binary weights packed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from .. import models
from ..errors import UserError
from .net import HEAD_SCALE, LATENT, STEM_SCALE, STREAM, int8_weight, saturate, threshold_units
from .plain import PlainNet


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

    def latent(self):
        self.layers.append({"op": "latent"})

    def expand(self, name, levels):
        """levels: of bits 0 and 1, (channels, 2), in units of 1.0."""
        self.tensors[f"{name}.levels"] = (saturate(levels.detach()) * STREAM).numpy().astype(np.int8)
        self.layers.append({"op": "expand", "tensor": name})

    def bconv(self, name, layer, stride, groups):
        weight = layer.weight.detach().permute(0, 2, 3, 1).numpy()
        cout, kernel = weight.shape[:2]
        self.tensors[f"{name}.weight"] = pack(weight >= 0)
        shift = self.affine(name, layer)
        self.layers.append(
            {
                "op": "bconv2d",
                "tensor": name,
                "cout": cout,
                "kernel": kernel,
                "stride": stride,
                "padding": kernel // 2,
                "groups": groups,
                "shift": shift,
                "residual": True,
            }
        )

    def bconv_sign(self, name, layer):
        weight = layer.weight.detach().permute(0, 2, 3, 1).numpy()
        self.tensors[f"{name}.weight"] = pack(weight >= 0)
        self.tensors[f"{name}.threshold"], flip = layer.fixed_point()
        self.tensors[f"{name}.flip"] = pack(flip)
        form = {"cout": len(weight), "kernel": 3, "stride": 1, "padding": 1, "groups": 1}
        self.layers.append({"op": "bconv2d_sign", "tensor": name, **form})

    def pool_bits(self):
        self.layers.append({"op": "max_pool_bits", "size": 2})

    def pool(self, op, repeat):
        self.layers.append({"op": op, "size": 2, "repeat": repeat})


def _residual(out, net):
    for i, block in enumerate(net.blocks):
        out.binarize(f"block{i}", block.threshold)
        if i == net.cut_at:
            out.latent()
            out.expand(f"block{i}", block.levels)
        if block.stride == 2:
            out.pool(block.pool, 2)
        out.bconv(f"block{i}", block, block.stride, 1)
    out.pool("avg_pool", 1)
    out.binarize(LATENT, net.threshold)
    if net.cut_at == len(net.blocks):
        out.latent()


def _plain(out, net):
    out.binarize("block0", net.threshold)
    for i, block in enumerate(net.blocks):
        if block.stride == 2:
            out.pool_bits()
        if i == net.cut_at:
            out.latent()
        out.bconv_sign(f"block{i}.sign", block)
    out.pool_bits()
    if net.cut_at == len(net.blocks):
        out.latent()


def convert(net, head: bool) -> tuple[list[dict], dict[str, np.ndarray]]:
    """The layers and tensors of a model (docs/formats.md) that computes what a `Net` does."""
    out = _Exporter()
    out.stem("stem", net.stem)
    (_plain if isinstance(net, PlainNet) else _residual)(out, net)
    out.expand("expand", torch.tensor([[-1.0, 1.0]]).repeat(len(net.trainable.weight), 1))
    out.bconv("tail", net.trainable, 1, net.trainable.groups)
    out.layers.append({"op": "global_avg_pool"})
    if head:
        weight = net.head_weight().detach().numpy() * HEAD_SCALE
        out.tensors["head.weight"] = weight.round().astype(np.int8)
        # Scores are Q10; the products are in units of 1 / (STREAM * HEAD_SCALE) = 2^-11.
        out.tensors["head.shift"] = np.full(len(weight), -1, np.int8)
        out.layers.append({"op": "dense", "tensor": "head"})
    return out.layers, out.tensors


def not_finite(weights: dict[str, torch.Tensor]) -> str | None:
    """The name of the first of a net's weights that has a NaN or an infinity; None if there is none."""
    return next((name for name, weight in weights.items() if not weight.isfinite().all()), None)


def export(net, path: Path, name: str, labels: list[str] | None) -> None:
    """Write a `Net` as a bitreplay-model file (docs/formats.md); labels None leaves out its head.

    The same net is the same bytes. UserError for a net that is not finite.
    """
    broken = not_finite(net.state_dict())
    if broken:
        raise UserError(f"{broken} has values that are not finite: train the net again with a lower rate")
    layers, tensors = convert(net, labels is not None)
    models.write(path, name, list(net.image), layers, tensors, labels)
