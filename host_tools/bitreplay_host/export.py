"""Turn a pretrained PyTorch backbone into the integer model that boards run."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from .errors import UserError

FORMAT, VERSION = "bitreplay-model", "1"


def pack(signs: np.ndarray) -> np.ndarray:
    """Pack the last axis (a multiple of 32; True is +1) into little-endian uint32 words (docs/numbers.md)."""
    return np.packbits(signs, axis=-1, bitorder="little").view("<u4")


def fixed_point(slopes: np.ndarray, bias: np.ndarray, largest: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """The most precise fixed-point affine for accumulators of a given size.

    slopes: float64 (cout, 2), stream units per accumulator unit; bias: float64 (cout,), stream units;
    largest: the greatest possible abs(accumulator), (cout,). Returns slope i16, bias i32 and the shift, such that
    largest * abs(slope) + abs(bias) + 2^(shift-1) < 2^31.
    """
    for shift in range(24, 0, -1):
        slope = np.floor(slopes * 2.0**shift + 0.5)
        offset = np.floor(bias * 2.0**shift + 0.5)
        total = largest * np.abs(slope).max(axis=1) + np.abs(offset) + 2.0 ** (shift - 1)
        if np.abs(slope).max() <= 32767 and total.max() < 2**31:
            return slope.astype(np.int16), offset.astype(np.int32), shift
    raise UserError("export: a batch norm is too steep for 16-bit slopes; train longer or with weight decay")


class _Exporter:
    def __init__(self):
        self.layers: list[dict] = []
        self.tensors: dict[str, np.ndarray] = {}

    def affine(self, name, affine, unit, largest):
        from .torch_net import STREAM

        positive, negative, bias = (v.detach().numpy() for v in affine.coefficients())
        slopes = np.stack([positive, negative], axis=1) * STREAM / unit
        slope, offset, shift = fixed_point(slopes, bias * STREAM, largest)
        self.tensors[f"{name}.slope"], self.tensors[f"{name}.bias"] = slope, offset
        return shift

    def stem(self, name, stem):
        from .torch_net import STEM_SCALE, int8_weight

        weight = int8_weight(stem.weight.detach(), STEM_SCALE).permute(0, 2, 3, 1).numpy() * STEM_SCALE
        self.tensors[f"{name}.weight"] = np.ascontiguousarray(weight.round().astype(np.int8))
        largest = 128.0 * np.abs(weight).sum(axis=(1, 2, 3))
        shift = self.affine(name, stem.affine, STEM_SCALE * 64.0, largest)
        self.layers.append({"op": "conv2d", "tensor": name, "cout": weight.shape[0], "kernel": 3, "stride": 2,
                            "padding": 1, "shift": shift})

    def binarize(self, name, threshold):
        from .torch_net import STREAM

        units = np.ceil(threshold.detach().numpy().astype(np.float64) * STREAM)
        self.tensors[f"{name}.threshold"] = units.clip(-128, 127).astype(np.int8)
        self.layers.append({"op": "binarize", "tensor": name})

    def bconv(self, name, layer, stride, groups, latent_weights):
        weight = layer.weight.detach().permute(0, 2, 3, 1).numpy()
        cout, kernel, _, inputs = weight.shape
        if latent_weights:
            units = np.floor(weight * 127 + 0.5).clip(-127, 127)
            # A weight's sign is that of its latent: negative ones must stay negative.
            units = np.where((weight < 0) & (units >= 0), -1, units)
            self.tensors[f"{name}.weight"] = units.reshape(cout, inputs).astype(np.int8)
        else:
            self.tensors[f"{name}.weight"] = pack(weight >= 0)
        largest = np.full(cout, float(kernel * kernel * inputs))
        shift = self.affine(name, layer.affine, 1.0, largest)
        self.layers.append({"op": "bconv2d", "tensor": name, "cout": cout, "kernel": kernel, "stride": stride,
                            "padding": kernel // 2, "groups": groups, "shift": shift, "residual": True})

    def pool(self, size, repeat):
        self.layers.append({"op": "avg_pool", "size": size, "repeat": repeat})


def export(net, path: Path, name: str, labels: list[str] | None) -> None:
    """Write a `torch_net.Net` as a bitreplay-model file (docs/formats.md); labels None leaves out its head."""
    from safetensors.numpy import save_file

    from .torch_net import HEAD_SCALE, STREAM, int8_weight

    out = _Exporter()
    out.stem("stem", net.stem)
    for i, block in enumerate(net.blocks):
        out.binarize(f"block{i}", block.threshold)
        if block.stride == 2:
            out.pool(2, 2)
        out.bconv(f"block{i}", block, block.stride, 1, latent_weights=False)
    out.pool(2, 1)
    out.binarize("latent", net.threshold)
    out.layers.append({"op": "latent"})
    out.layers.append({"op": "expand", "value": STREAM})
    out.bconv("tail", net.tail, 1, net.tail.groups, latent_weights=True)
    out.pool(2, 1)
    metadata = {"format": FORMAT, "version": VERSION, "name": name}
    if labels is not None:
        head = int8_weight(net.head.detach(), HEAD_SCALE).numpy() * HEAD_SCALE
        out.tensors["head.weight"] = head.round().astype(np.int8)
        # Scores are Q10; the products are in units of 1 / (STREAM * HEAD_SCALE) = 2^-11.
        out.tensors["head.shift"] = np.full(len(head), -1, np.int8)
        out.layers.append({"op": "dense", "tensor": "head"})
        metadata["labels"] = json.dumps(labels)
    metadata["graph"] = json.dumps({"image": [32, 32, 3], "layers": out.layers})
    temporary = path.with_name(path.name + ".new")
    save_file(out.tensors, temporary, metadata)
    temporary.replace(path)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", type=Path, help="what `bitreplay pretrain` wrote")
    parser.add_argument("model", type=Path, help="the .safetensors file to write")
    parser.add_argument("--name", default="backbone", help="the model's name (default: %(default)s)")
    parser.add_argument("--no-head", action="store_true", help="leave out the pretrained classes")


def run(args: argparse.Namespace) -> None:
    try:
        import torch
    except ImportError:
        raise UserError("export needs PyTorch: pip install 'bitreplay[pretrain]'") from None
    from .torch_net import Net

    saved = torch.load(args.checkpoint, map_location="cpu", weights_only=True)
    net = Net()
    net.load_state_dict(saved["net"])
    export(net, args.model, args.name, None if args.no_head else saved.get("labels"))
    print(f"{args.model}: {args.model.stat().st_size} bytes")
