"""Images as files for a board's learner: NAME.rgb, side x side x 3 bytes, RGB, without a header."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ..errors import UserError
from . import registry

MOST = 5000  # training images that CIFAR-10 has of a class


def write(pictures: Iterable[tuple[str, np.ndarray]], folder: Path) -> list[Path]:
    """Writes (name, picture uint8) pairs as files of a folder; returns their paths. UserError for two of one name."""
    written: list[Path] = []
    for name, picture in pictures:
        path = folder / f"{name}.rgb"
        if path in written:
            raise UserError(f"two photographs are called {name}; rename one")
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture.tobytes())
        written.append(path)
    return written


def of_photos(paths: list[Path], side: int) -> Iterator[tuple[str, np.ndarray]]:
    """(name, side x side x 3, uint8) of image files."""
    for path in paths:
        try:
            with Image.open(path) as photo:
                upright = ImageOps.exif_transpose(photo).convert("RGB")
        except (OSError, ValueError) as error:
            if isinstance(error, FileNotFoundError):
                raise
            raise UserError(f"{path} is not a picture that can be read") from None
        yield path.stem, np.asarray(ImageOps.fit(upright, (side, side), Image.Resampling.BOX))


def of_cifar10(count: int, directory: Path) -> Iterator[tuple[str, np.ndarray]]:
    """(name, 32 x 32 x 3, uint8) of the first training images of each class."""
    if not 1 <= count <= MOST:
        raise UserError(f"--cifar10 must be 1..{MOST}")
    pictures, labels = registry.load("cifar10", "train", directory)
    for label, name in enumerate(registry.class_names("cifar10")):
        for n, index in enumerate(np.flatnonzero(labels == label)[:count]):
            yield f"{name}{n}", pictures[index]
