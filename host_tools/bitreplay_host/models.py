"""Models that a user names."""

from __future__ import annotations

import json
from pathlib import Path

import bitreplay
from safetensors import safe_open

from . import paths
from .errors import UserError, as_user_error


def load(path: Path) -> bitreplay.Network:
    """The Network in a model file. UserError for a file that is none, OSError for one that cannot be read."""
    if not path.exists():
        names = ", ".join(shipped.stem for shipped in paths.shipped_models())
        raise UserError(f"{path}: No such file, and no model of this name is shipped, but {names}")
    with as_user_error():
        return bitreplay.load(path)


def graph(path: Path) -> dict:
    """The graph of a model that load() took: {"image": [height, width, channels], "layers": [...]}."""
    with safe_open(path, "np") as file:
        return json.loads(file.metadata()["graph"])
