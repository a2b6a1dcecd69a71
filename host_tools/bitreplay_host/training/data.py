"""What a net is pretrained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..datasets import labelled, registry
from ..errors import UserError

SIDE = 16  # sides are halved four times
SMALLEST = 32


def load(data: str, directory: Path, image: tuple[int, int, int] | None = None):
    """(images n x height x width x channels, uint8; labels n; names of the classes).

    data: the name of a dataset in `directory`, or a folder with a folder for each class, or an .npz (labelled.py).
    image: height, width and channels of its samples, which are scaled to them; else 32 x 32 x 3, and those of an .npz
    as they are. UserError for what cannot be trained on.
    """
    if data in registry.DATASETS:
        images, labels = registry.load(data, "train", directory)
        names = registry.class_names(data)
        if image not in (None, images.shape[1:]):
            raise UserError(f"--image: the images of {data} are {'x'.join(map(str, images.shape[1:]))}")
    else:
        path = Path(data)
        images, labels, names = labelled.load(path, image or _stored(path) or labelled.SHAPE)
    height, width, channels = images.shape[1:]
    if height % SIDE or width % SIDE or min(height, width) < SMALLEST or max(height, width) > 256 or channels > 16:
        told = f"{height}x{width}x{channels}"
        raise UserError(
            f"--image {told}: sides must be multiples of {SIDE}, {SMALLEST}..256, and channels 1..16; "
            "give another --image, or pad what is in an .npz"
        )
    if len(names) < 2:
        raise UserError(f"{data} has one class: there is nothing to tell apart")
    return images, labels, names


def _stored(path: Path) -> tuple[int, int, int] | None:
    """The shape of the images in an .npz; None for what labelled.load() must tell of."""
    try:
        with np.load(path) as file:
            shape = file["images"].shape[1:]
    except Exception:  # a folder, or a damaged file
        return None
    return (*shape, 1)[:3] if len(shape) in (2, 3) else None
