"""Latents of a dataset's images, computed once on the unix port and kept in the cache.

A file's name has the digest of what it was made from, and that of its content.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from .. import models
from ..datasets import registry
from ..device import unix_port
from ..errors import UserError


@dataclass(frozen=True)
class Places:
    """Where things are: the unix port, the datasets, a cache for latents."""

    micropython: Path
    data: Path
    cache: Path


def latents(model: Path, dataset: str, split: str, rows: Sequence[int], places: Places, kind: str = "latents") -> Path:
    """Packed latents of some images, in order; kept in the cache.

    kind: "latents"; "streams", the int8 values whose signs these are; or "classes" of the pretrained head, bytes.
    """
    images, _ = registry.files(dataset, split, places.data)
    chosen = np.load(images, mmap_mode="r")
    net = models.load(model)
    if chosen.shape[1:] != net.image_shape:
        raise UserError(f"{model} takes images of shape {net.image_shape}, but {dataset} has {chosen.shape[1:]}")
    if kind == "classes" and not net.labels:
        raise UserError(f"{model}: the model has no pretrained head, whose classes could be told")
    return of_file(model, images, split, rows, places, kind)


def of_file(model: Path, images: Path, what: str, rows: Sequence[int], places: Places, kind: str = "latents") -> Path:
    """As latents(), of images in an .npy that fit the model. what: a word for progress and the name in the cache."""
    chosen, net = np.load(images, mmap_mode="r"), models.load(model)
    # What they are made from, MicroPython too: figures of one build are not those of another.
    parts_of_key = _content(places.micropython), model.read_bytes(), chosen[list(rows)].tobytes()
    key = _digest("".join(map(_digest, parts_of_key)).encode())
    start = f"{what}-{key}-"
    for file in places.cache.glob(f"{start}*.{kind}"):
        if file.name == f"{start}{_digest(file.read_bytes())}.{kind}":  # else it is damaged, and made again
            return file
    places.cache.mkdir(parents=True, exist_ok=True)
    jobs = os.cpu_count() or 1
    parts = [list(map(int, part)) for part in np.array_split(np.asarray(rows), jobs)]
    with (
        tempfile.TemporaryDirectory(dir=places.cache) as directory,
        tqdm(total=len(rows), desc=f"{what} images through the backbone", unit="image", disable=None) as bar,
    ):

        def work(index: int, _) -> bytes:
            part = Path(directory) / f"part{index}"
            inputs = {"model": str(model), "images": str(images), "rows": parts[index]}
            configuration = inputs | {"out": str(part), "kind": kind}
            done = 0
            for message in unix_port.run("run_backbone.py", configuration, places.micropython, Path(directory)):
                bar.update(message["done"] - done)
                done = message["done"]
            return part.read_bytes() if part.exists() else b""

        content = b"".join(unix_port.in_parallel(work, range(jobs)))
        expected = len(rows) * {"classes": 1, "latents": net.latent_bytes, "streams": 8 * net.latent_bytes}[kind]
        if len(content) != expected:
            raise UserError(
                f"{places.micropython} made {len(content)} bytes of latents, not {expected}: run `make unix`"
            )
        whole = Path(directory) / "whole"
        whole.write_bytes(content)
        return whole.replace(places.cache / f"{start}{_digest(content)}.{kind}")


def _content(micropython: Path) -> bytes:
    try:
        return micropython.read_bytes()
    except OSError as error:
        raise UserError(f"{micropython}: {error.strerror}; run `make unix` first") from None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def predictions(model: Path, count: int, places: Places) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a model's pretrained head says of CIFAR-100's test images: their rows, classes found, and labels.

    count: of the images, spread over all; 0 for all. UserError for a model of other classes, or of none.
    """
    told = models.load(model).labels
    if not told:
        raise UserError(f"{model}: the model has no pretrained head, whose classes could be told")
    if told != registry.class_names("cifar100"):
        raise UserError(f"{model}: its labels are not CIFAR-100's classes; choose a model of those")
    _, labels = registry.load("cifar100", "test", places.data)
    if not 0 <= count <= len(labels):
        raise UserError(f"--test must be 0..{len(labels)}, the test images that there are")
    rows = np.linspace(0, len(labels) - 1, count or len(labels)).astype(int)
    file = latents(model, "cifar100", "test", rows.tolist(), places, kind="classes")
    return rows, np.frombuffer(file.read_bytes(), np.uint8), labels[rows]
