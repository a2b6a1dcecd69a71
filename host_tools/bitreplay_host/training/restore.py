"""The net in a file: a checkpoint of `bitreplay pretrain`, or a model that `bitreplay export` wrote."""

import itertools
import json
import re
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from ..errors import UserError
from .export import LATENT, convert
from .net import HEAD_SCALE, STEM_SCALE, STREAM, Net


def checkpoint(path):
    """What `bitreplay pretrain` wrote: {"net", "optimizer", "schedule", "generator", "epoch"}; else UserError."""
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        # Version 0.1 called the trainable layer the tail.
        saved["net"] = {re.sub(r"^tail\.", "trainable.", name): weight for name, weight in saved["net"].items()}
        return saved
    except OSError:
        raise
    except Exception as error:  # a file of something else raises anything
        raise UserError(f"{path} is not a checkpoint that `bitreplay pretrain` wrote") from error


def from_checkpoint(path):
    """The Net in a checkpoint; UserError if it holds something else."""
    weights = checkpoint(path)["net"]
    try:
        blocks = itertools.takewhile(weights.__contains__, (f"blocks.{i}.weight" for i in itertools.count()))
        net = Net(widths=[len(weights[name]) for name in ("stem.weight", *blocks)])
        net.load_state_dict(weights)
    except (KeyError, RuntimeError) as error:
        raise UserError(f"{path} holds the weights of another network") from error
    return net


def from_model(path: Path) -> Net:
    """The folded Net, in float64, of a model that `export` wrote; UserError if it is another model.

    Of a model that was cut at a block it is the Net that was cut. Without a head it is a Net of no classes.
    """
    try:
        with safe_open(path, "np") as file:
            layers = json.loads(file.metadata()["graph"])["layers"]
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        found = {layer["tensor"]: layer for layer in layers if layer["op"] in ("conv2d", "bconv2d")}
        widths = [layer["cout"] for name, layer in found.items() if name != "tail"]
        has_head = layers[-1]["op"] == "dense"
        head = tensors["head.weight"] if has_head else np.empty((0, widths[-1]))
        net = Net(len(head), found["tail"]["groups"], widths).eval().double()
        net.head.data = _like(net.head, head / HEAD_SCALE)
        for name, threshold in net.thresholds().items():
            threshold.data = _like(threshold, tensors[f"{name}.threshold"] / STREAM)
        for name, (layer, unit) in net.affine_layers().items():
            weight = tensors[f"{name}.weight"]
            if weight.dtype == np.uint32:
                weight = np.unpackbits(weight.view(np.uint8), axis=-1, bitorder="little") * 2.0 - 1
            weight = weight / (STEM_SCALE if name == "stem" else 1)
            cout, cin, *kernel = layer.weight.shape
            layer.weight.data = _like(layer.weight, weight.reshape(cout, *kernel, cin).transpose(0, 3, 1, 2))
            layer.affine.fold(unit, tensors[f"{name}.slope"], tensors[f"{name}.bias"], found[name]["shift"])
        latent = layers[[layer["op"] for layer in layers].index("latent") - 1]["tensor"]
        levels = None if latent == LATENT else tensors[f"{latent}.levels"]
        expected, again = convert(net, has_head, latent, levels)
        if [{**layer, "shift": 0} for layer in layers] != [{**layer, "shift": 0} for layer in expected]:
            raise ValueError("it has other layers")
        for name in ("expand.levels", *(["head.shift"] if has_head else [])):
            if not np.array_equal(tensors[name], again[name]):
                raise ValueError(f"{name} has other values")
        return net
    except (SafetensorError, LookupError, TypeError, ValueError, UserError) as error:
        raise UserError(f"{path} is not a model that `bitreplay export` wrote ({error})") from error


def _like(parameter, array):
    """A NumPy array as a tensor, float64, which must have a parameter's shape."""
    return torch.from_numpy(np.ascontiguousarray(array, np.float64).reshape(parameter.shape))
