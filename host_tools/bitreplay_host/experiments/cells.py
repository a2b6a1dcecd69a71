"""Finished learners, each kept in a file at once, so that experiments that were stopped go on where they were.

A file's name has the digest of all that its result follows from: settings, samples and their order, the model, the
dataset, the unix port, our own code. So results of other settings can be in the same folder, and are never taken.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import bitreplay

from .. import reference
from ..device.unix_port import ONBOARD

HERE = Path(__file__).parent
OURS = "baselines.py", "float_layers.py", "float_learner.py", "metrics.py"  # what makes a result, of this folder


class Cells:
    """The files of a folder, which is made when the first is kept. found: how many were there already."""

    def __init__(self, folder: Path):
        self.folder, self.found = folder, 0

    def find(self, settings: dict) -> dict | None:
        """The result that was kept with these settings."""
        try:
            kept = json.loads(self._path(settings).read_text())
        except (OSError, ValueError):
            return None  # not there or damaged: it is made again
        if not isinstance(kept, dict) or kept.get("settings") != settings or "result" not in kept:
            return None
        self.found += 1
        return kept["result"]

    def keep(self, settings: dict, result: dict) -> None:
        """Writes a result, whole or not at all. settings: values as JSON gives them back."""
        path = self._path(settings)
        self.folder.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_text(json.dumps({"settings": settings, "result": result}) + "\n")
        new.replace(path)

    def _path(self, settings: dict) -> Path:
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
        return self.folder / f"{settings['method']}-{settings['seed']}-{digest[:16]}.json"


def digest(paths: Iterable[Path]) -> str:
    """Of the contents of files, in this order."""
    whole = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()


def code() -> str:
    """The digest of our code that makes results beside the unix port's."""
    folders = Path(bitreplay.__file__).parent, Path(reference.__file__).parent
    files = [path for folder in folders for path in sorted(folder.glob("*.py"))]
    return digest([*files, ONBOARD / "learn_classes.py", *(HERE / name for name in OURS)])
