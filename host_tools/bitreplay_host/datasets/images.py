"""Turn photographs into what a board's learner takes: OUT/NAME.rgb, side x side x 3 bytes, RGB, without a header.

The largest square in the middle of each photograph is scaled down. --cifar10 gives pictures to try it with: so many
training images of each class, named after it. On the board such a file is read whole: open(path, "rb").read().
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from . import data
from .errors import UserError

EPILOG = """examples:
  bitreplay images mug*.jpg cup*.jpg               mug0.jpg becomes build/images/mug0.rgb
  bitreplay images --cifar10 5                     cat0.rgb ... truck4.rgb

Then let the board see the folder, and teach it at its prompt:
  mpremote mount build/images
  >>> me.see(open("/remote/cat0.rgb", "rb").read(), "cat")
"""
SIDE = 32  # of the shipped model's images
MOST = 5000  # training images that CIFAR-10 has of a class


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument("photos", metavar="PHOTO", type=Path, nargs="*", help="JPEG, PNG or another common format")
    parser.add_argument(
        "--cifar10", metavar="N", type=int, help="so many of each class of CIFAR-10 (bitreplay data cifar10)"
    )
    parser.add_argument("--side", type=int, default=SIDE, help="pixels, as the model has them (default: %(default)s)")
    parser.add_argument("--dir", type=Path, default=data.DIRECTORY, help="where CIFAR-10 is (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("build/images"), help="folder (default: %(default)s)")


def run(args: argparse.Namespace) -> None:
    if bool(args.photos) == (args.cifar10 is not None):
        raise UserError("name photographs, or else give --cifar10 N")
    if not 1 <= args.side <= 256:
        raise UserError("--side must be 1..256")
    pictures = of_photos(args.photos, args.side) if args.photos else of_cifar10(args.cifar10, args.dir)
    args.out.mkdir(parents=True, exist_ok=True)
    names = set()
    for name, picture in pictures:
        if name in names:
            raise UserError(f"two photographs are called {name}; rename one")
        names.add(name)
        (args.out / f"{name}.rgb").write_bytes(picture.tobytes())
    print(f"{len(names)} images of {picture.nbytes} bytes in {args.out}: mpremote mount {args.out}")


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
    pictures, labels = data.load("cifar10", "train", directory)
    for label, name in enumerate(data.class_names("cifar10")):
        for n, index in enumerate(np.flatnonzero(labels == label)[:count]):
            yield f"{name}{n}", pictures[index]
