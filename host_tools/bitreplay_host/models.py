"""Models that a user names."""

from __future__ import annotations

import contextlib
import gc
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import bitreplay
import numpy as np
from bitreplay import safetensors
from bitreplay.graph import Graph, Layer
from bitreplay.network import FORMAT, VERSION

from . import paths
from .errors import UserError, as_user_error

DTYPES = {"int8": "I8", "int16": "I16", "int32": "I32", "uint32": "U32"}


def load(path: Path) -> bitreplay.Network:
    """The Network in a model file. UserError for a file that is none, OSError for one that cannot be read."""
    if not path.exists():
        names = ", ".join(shipped.stem for shipped in paths.shipped_models())
        raise UserError(f"{path}: No such file, and no model of this name is shipped, but {names}")
    with as_user_error(), _old_objects_left_alone():
        return bitreplay.load(path)


@contextlib.contextmanager
def _old_objects_left_alone() -> Iterator[None]:
    """The package collects garbage for each layer, as a board must; here libraries hold a million objects."""
    if gc.get_freeze_count():  # somebody sees to it already
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def backbone(path: Path) -> list[Layer]:
    """The layers of a model that load() took, from the image to the latent."""
    metadata, tensors = safetensors.parse(str(path), *safetensors.open_view(str(path)))
    found = json.loads(metadata["graph"])
    labels = json.loads(metadata.get("labels", "null"))
    return Graph(str(path), tuple(found["image"]), found["layers"], labels, tensors).backbone


def write(
    path: str | Path,
    name: str,
    image: Sequence[int],
    layers: list[dict],
    tensors: dict[str, np.ndarray],
    labels: list[str] | None = None,
) -> None:
    """Write a bitreplay-model file (docs/formats.md); the same parts are the same bytes."""
    metadata = {"format": FORMAT, "version": VERSION, "name": name}
    metadata["graph"] = json.dumps({"image": image, "layers": layers})
    if labels is not None:
        metadata["labels"] = json.dumps(labels)
    safetensors.write(path, metadata, [(k, DTYPES[str(v.dtype)], v.shape, v.tobytes()) for k, v in tensors.items()])
