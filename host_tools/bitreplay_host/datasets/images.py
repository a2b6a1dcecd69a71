"""Images as files for a board's learner: NAME.rgb, side x side x 3 bytes, RGB, without a header."""

from __future__ import annotations

import glob
import os
import re
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

from ..errors import UserError
from . import registry

MOST = 5000  # training images that CIFAR-10 has of a class
UNCLEAR = {"I": "32-bit integers", "F": "floating point"}  # by Pillow's mode
OTHERS = {  # what files begin with, whatever they are called
    "HEIC": rb".{4}ftyp(he|mif1|msf1)",
    "AVIF": rb".{4}ftypavi[fs]",
    "JPEG XL": rb"\xff\x0a|.{4}JXL ",
    "SVG": rb"\s*<(\?xml|svg)",
    "a video": rb".{4}ftyp",
}


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


def expanded(paths: Iterable[Path]) -> list[Path]:
    """Files that are named, and those that patterns such as mug*.jpg match, for shells that leave patterns alone.

    A name that is there is no pattern. UserError for a pattern that matches nothing.
    """
    found: list[Path] = []
    for path in paths:
        if os.path.lexists(path) or not glob.has_magic(str(path)):
            found.append(path)
        elif matches := sorted(glob.glob(str(path))):
            found += map(Path, matches)
        else:
            raise UserError(f"{path}: no file has this name or matches it")
    return found


def of_photos(paths: list[Path], side: int) -> Iterator[tuple[str, np.ndarray]]:
    """(name, side x side x 3, uint8) of image files, on white where they are transparent.

    UserError for a file that is no picture, or one that cannot be shown right; FileNotFoundError.
    """
    for path in paths:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of odd metadata, and of sizes that are fine
                with Image.open(path) as photo:
                    square = _square(photo, path, side)
        except (FileNotFoundError, UserError):
            raise
        except (Image.DecompressionBombError, MemoryError):
            raise UserError(f"{path} has too many pixels: save a smaller copy") from None
        except Exception as error:  # a damaged file raises anything
            found = _other_format(path)
            told = f"is {found}: save it as JPEG or PNG" if found else "is not a picture that can be read"
            raise UserError(f"{path} {told}") from error
        yield path.stem, square


def _square(photo: Image.Image, path: Path, side: int) -> np.ndarray:
    """The square in the middle of a picture, side x side x 3, uint8; UserError if its values can mean anything."""
    upright = ImageOps.exif_transpose(photo)
    # Pillow's mode I is 16 bits in PGM, and in older versions in PNG; its own conversion would cut off at 255.
    if photo.mode.startswith("I;16") or (photo.mode == "I" and photo.format in ("PNG", "PPM")):
        upright = _grey(np.asarray(upright), getattr(photo, "tag_v2", {}))
    elif photo.mode in UNCLEAR:
        raise UserError(f"{path} has pixels of {UNCLEAR[photo.mode]}: save it with 8 or 16 bits, as JPEG or PNG")
    square = ImageOps.fit(upright.convert("RGBA"), (side, side), Image.Resampling.BOX)
    white = Image.new("RGBA", square.size, "white")
    return np.asarray(Image.alpha_composite(white, square).convert("RGB"))


def _grey(values: np.ndarray, tags: Mapping) -> Image.Image:
    """A picture of values of up to 16 bits. tags: a TIFF's, with how many bits, and whether 0 is white."""
    bits = tags.get(ExifTags.Base.BitsPerSample, [16])[0]
    grey = (values >> (bits - 8)).astype(np.uint8)
    return Image.fromarray(grey if tags.get(ExifTags.Base.PhotometricInterpretation) != 0 else 255 - grey)


def _other_format(path: Path) -> str | None:
    """The name of a format that Pillow may not read; None for another file, or one that cannot be read."""
    try:
        with open(path, "rb") as file:
            start = file.read(16)
    except OSError:
        return None
    return next((name for name, pattern in OTHERS.items() if re.match(pattern, start, re.DOTALL)), None)


def of_cifar10(count: int, directory: Path) -> Iterator[tuple[str, np.ndarray]]:
    """(name, 32 x 32 x 3, uint8) of the first training images of each class."""
    if not 1 <= count <= MOST:
        raise UserError(f"--cifar10 must be 1..{MOST}")
    pictures, labels = registry.load("cifar10", "train", directory)
    for label, name in enumerate(registry.class_names("cifar10")):
        for n, index in enumerate(np.flatnonzero(labels == label)[:count]):
            yield f"{name}{n}", pictures[index]
