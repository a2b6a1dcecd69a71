"""The net in a file: a checkpoint of `bitreplay pretrain`, or a model that `bitreplay export` wrote."""

import itertools
import json
import re
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from .. import models
from ..datasets import registry
from ..errors import UserError, as_user_error
from ..paths import BACKBONE
from .export import convert, not_finite
from .net import HEAD_SCALE, LATENT, STEM_SCALE, STREAM, Net
from .plain import make

START = 0.1  # the size of a latent weight of which only the sign is known; larger ones learn less


def checkpoint(path):
    """What `bitreplay pretrain` wrote: {"net", "optimizer", "schedule", "generator", "epoch"}.

    UserError for a file of something else, and for weights that are not finite.
    """
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        # Version 0.1 called the trainable layer the tail.
        saved["net"] = {re.sub(r"^tail\.", "trainable.", name): weight for name, weight in saved["net"].items()}
        broken = not_finite(saved["net"])
    except Exception as error:  # a file of something else raises anything, and one that is cut off an OSError too
        if isinstance(error, OSError) and error.filename:
            raise
        raise UserError(f"{path} is not a checkpoint that `bitreplay pretrain` wrote, or is damaged") from error
    if broken:
        raise UserError(f"{path}: {broken} has values that are not finite; pretrain again with a lower --rate")
    return saved


def has_norm(weights):
    """Whether the net of a checkpoint's weights has batch norm."""
    return not any(name.endswith("affine.slopes") for name in weights)


def latent_of(weights):
    """The name of the latent of a checkpoint's net."""
    found = [re.fullmatch(r"blocks\.(\d+)\.levels", name) for name in weights]
    return next((f"block{match[1]}" for match in found if match), LATENT)


def from_checkpoint(path):
    """The Net in a checkpoint; UserError if it holds something else."""
    saved = checkpoint(path)
    weights = saved["net"]
    try:
        blocks = itertools.takewhile(weights.__contains__, (f"blocks.{i}.weight" for i in itertools.count()))
        widths = [len(weights[name]) for name in ("stem.weight", *blocks)]
        # Version 0.1 kept no settings.
        settings = {"net": "reactnet", "latent": latent_of(weights), "image": [32, 32, 3]} | saved.get("settings", {})
        shape = {"classes": len(weights["head"]), "widths": widths, "image": settings["image"]}
        net = make(settings["net"], has_norm(weights), latent=settings["latent"], **shape)
        net.load_state_dict(weights)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as error:
        raise UserError(f"{path} holds the weights of another network") from error
    return net


def from_model(path: Path) -> Net:
    """The folded Net, in float64, of a model that `export` wrote; UserError if it is another model.

    Of a head that an older `export` wrote, the net leaves out what all rows have in common: its scores differ from the
    file's.
    """
    try:
        with safe_open(path, "np") as file:
            graph = json.loads(file.metadata()["graph"])
            layers, image = graph["layers"], graph["image"]
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if file.metadata()["version"] == "1":
                layers = _upgraded(layers, tensors)
            else:
                models.load(path)  # what it refuses has no meaning
        found = {layer["tensor"]: layer for layer in layers if layer["op"] in ("conv2d", "bconv2d")}
        widths = [layer["cout"] for name, layer in found.items() if name != "tail"]
        latent = layers[[layer["op"] for layer in layers].index("latent") - 1]["tensor"]
        head = tensors.get("head.weight", np.zeros((0, widths[-1])))
        style = "quicknet" if any(layer["op"] == "max_pool" for layer in layers) else "reactnet"
        net = Net(len(head), found["tail"]["groups"], widths, latent, style=style, image=image).eval().double()
        net.head.data = _like(net.head, head / HEAD_SCALE)
        for name, threshold in net.thresholds().items():
            threshold.data = _like(threshold, tensors[f"{name}.threshold"] / STREAM)
        for name, layer in net.affine_layers().items():
            weight = tensors[f"{name}.weight"]
            if weight.dtype == np.uint32:
                weight = np.unpackbits(weight.view(np.uint8), axis=-1, bitorder="little") * 2.0 - 1
            weight = weight / {"stem": STEM_SCALE}.get(name, 1)
            cout, cin, *kernel = layer.weight.shape
            layer.weight.data = _like(layer.weight, weight.reshape(cout, *kernel, cin).transpose(0, 3, 1, 2))
            layer.fold(tensors[f"{name}.slope"], tensors[f"{name}.bias"], found[name]["shift"])
        if latent != LATENT:
            levels = net.blocks[net.cut_at].levels
            levels.data = _like(levels, tensors[f"{latent}.levels"] / STREAM)
        net.integer = True
        expected, again = convert(net, head=len(head) > 0)
        if [{**layer, "shift": 0} for layer in layers] != [{**layer, "shift": 0} for layer in expected]:
            raise ValueError("it has other layers")
        for name in {"head.shift", "expand.levels"} & again.keys():
            if (tensors[name] != again[name]).any():
                raise ValueError(f"{name} has other values")
        return net
    except (SafetensorError, LookupError, TypeError, ValueError, ArithmeticError, RuntimeError, UserError) as error:
        raise UserError(f"{path} is not a model that `bitreplay export` wrote ({error})") from error


def _upgraded(layers: list[dict], tensors: dict[str, np.ndarray]) -> list[dict]:
    """The layers of a model in version 1 of the format as version 2 has them, and so the tensors, in place."""
    at = [layer["op"] for layer in layers].index("expand")
    value, weight = layers[at]["value"], tensors["tail.weight"]
    tensors["expand.levels"] = np.array([[-value, value]] * len(weight), np.int8)
    tensors["tail.weight"] = np.where(weight < 0, -1, 1)
    above = [{"op": "expand", "tensor": "expand"}, layers[at + 1], {"op": "global_avg_pool"}]
    return [*layers[:at], *above, *layers[at + 3 :]]


def is_model(path: Path) -> bool:
    """Whether a file is a model rather than a checkpoint."""
    with open(path, "rb") as file:
        return file.read(9)[8:] == b"{"


def read(path: Path) -> tuple[Net, str, list[str] | None]:
    """The Net of a checkpoint or a model, its name, and its classes; None if it has no head."""
    if not is_model(path):
        labels = checkpoint(path).get("labels", registry.class_names("cifar100"))
        return from_checkpoint(path), BACKBONE, labels
    net = from_model(path)
    with safe_open(path, "np") as file, as_user_error():
        metadata = file.metadata()
        labels = json.loads(metadata["labels"]) if "labels" in metadata else None
    return net, metadata.get("name", path.stem), labels


def weights_to_train(path: Path, folded: bool = False) -> dict[str, torch.Tensor]:
    """The weights of a checkpoint, perhaps folded, or of a model, in float32: no head if it has none."""
    if not is_model(path):
        return from_checkpoint(path).fold().float().state_dict() if folded else checkpoint(path)["net"]
    net = from_model(path).float()
    for layer in [*net.blocks, net.trainable]:
        layer.weight.data *= START
    return {name: weight for name, weight in net.state_dict().items() if len(weight.shape) == 0 or len(weight)}


def _like(parameter, array):
    """A NumPy array as a tensor, float64, which must have a parameter's shape."""
    return torch.from_numpy(np.ascontiguousarray(array, np.float64).reshape(parameter.shape))
