"""What a net is pretrained on."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..datasets import hapt, labelled, registry
from ..errors import UserError

SIDE = 16  # sides are halved four times
SMALLEST = 32
HELD_BACK = 20  # one of so many samples is for validation; of HAPT, one of so many people
HAPT = "hapt"
SPECTROGRAMS = ("fsdd",)  # of registry.DATASETS


class Samples(NamedTuple):
    """images: n x height x width x channels, uint8. labels: of each, the number of one of names. held: which are held
    back for validation, booleans. recorded: whether they are of recordings, sounds or readings, and not pictures.
    windows: of HAPT, what its images were made of (datasets/hapt.py), else None."""

    images: np.ndarray
    labels: np.ndarray
    names: list[str]
    held: np.ndarray
    recorded: bool
    windows: np.ndarray | None = None


def load(data: str, directory: Path, image: tuple[int, int, int] | None = None) -> Samples:
    """What to train on.

    data: the name of a dataset in `directory`, of HAPT its first 20 people; or a folder with a folder for each class,
    or an .npz (labelled.py). image: height, width and channels of its samples, which are scaled to them; else 32 x 32
    x 3, and those of an .npz as they are. UserError for what cannot be trained on.
    """
    if data == HAPT or data in registry.DATASETS:
        found = _hapt(directory) if data == HAPT else _dataset(data, directory)
        if image not in (None, found.images.shape[1:]):
            raise UserError(f"--image: the images of {data} are {'x'.join(map(str, found.images.shape[1:]))}")
    else:
        path = Path(data)
        images, labels, names = labelled.load(path, image or _stored(path) or labelled.SHAPE)
        recorded = path.is_dir() and labelled.kind(path) is not labelled.PICTURES
        found = Samples(images, labels, names, _held(len(images)), recorded)
    height, width, channels = found.images.shape[1:]
    if height % SIDE or width % SIDE or min(height, width) < SMALLEST or max(height, width) > 256 or channels > 16:
        told = f"{height}x{width}x{channels}"
        raise UserError(
            f"--image {told}: sides must be multiples of {SIDE}, {SMALLEST}..256, and channels 1..16; "
            "give another --image, or pad what is in an .npz"
        )
    if len(found.names) < 2:
        raise UserError(f"{data} has one class: there is nothing to tell apart")
    return found


def _held(count: int) -> np.ndarray:
    return np.arange(count) % HELD_BACK == HELD_BACK - 1


def _dataset(name: str, directory: Path) -> Samples:
    images, labels = registry.load(name, "train", directory)
    return Samples(images, labels, registry.class_names(name), _held(len(images)), name in SPECTROGRAMS)


def _hapt(directory: Path) -> Samples:
    """Windows overlap, and a person moves alike in all: who is held back is a whole person."""
    found = hapt.load(directory)
    known = found["people"] <= hapt.KNOWN
    windows, labels, people = (found[key][known] for key in ("windows", "labels", "people"))
    return Samples(hapt.to_images(windows), labels, hapt.ACTIVITIES, people % HELD_BACK == 0, True, windows)


def _stored(path: Path) -> tuple[int, int, int] | None:
    """The shape of the images in an .npz; None for what labelled.load() must tell of."""
    try:
        with np.load(path) as file:
            shape = file["images"].shape[1:]
    except Exception:  # a folder, or a damaged file
        return None
    return (*shape, 1)[:3] if len(shape) in (2, 3) else None
