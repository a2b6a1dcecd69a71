"""Images as files for a board's learner: NAME.rgb, side x side x 3 bytes, RGB, without a header."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ..errors import UserError
from . import registry

MOST = 5000  # training images that CIFAR-10 has of a class


def write(pictures: Iterable[tuple[str, np.ndarray]], folder: Path, inputs: Iterable[Path] = ()) -> list[Path]:
    """Writes (name, picture uint8) pairs as files of a folder; returns their paths.

    Nothing is written before all pictures are there. UserError for two of one name, and for a file that is there
    already: a link, one of `inputs`, or one that differs.
    """
    contents: dict[Path, bytes] = {}
    for name, picture in pictures:
        path = folder / f"{name}.rgb"
        if path in contents:
            raise UserError(f"two photographs are called {name}; rename one")
        contents[path] = picture.tobytes()
    sources = [path.resolve() for path in inputs]
    for path, content in contents.items():
        if path.is_symlink() or path.resolve() in sources:
            what = "a link" if path.is_symlink() else "one of the photographs"
            raise UserError(f"{path} would be written, and is {what}: choose another --out")
        if path.exists() and (not path.is_file() or path.read_bytes() != content):
            raise UserError(f"{path} is there already and differs: choose another --out, or remove it")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=folder) as new:
        for path, content in contents.items():
            if not path.exists():
                temporary = Path(new) / path.name
                temporary.write_bytes(content)
                temporary.rename(path)
    return list(contents)


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
