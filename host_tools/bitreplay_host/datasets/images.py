"""Images as files for a board's learner: NAME.rgb, side x side x 3 bytes, RGB, without a header."""

from __future__ import annotations

import glob
import itertools
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps
from tqdm import tqdm

from ..errors import UserError, printable
from . import registry

MOST = 5000  # training images that CIFAR-10 has of a class
PICTURES = ".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".heic", ".heif", ".avif"
SYSTEMS = {  # names of what systems make, in lower case
    "__macosx", "__pycache__", "@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found",
    "thumbs.db", "ehthumbs.db", "desktop.ini"
}  # fmt: skip
UNCLEAR = {"I": "32-bit integers", "F": "floating point"}  # by Pillow's mode
OTHERS = {  # what files begin with, whatever they are called
    "HEIC": rb".{4}ftyp(he|mif1|msf1)",
    "AVIF": rb".{4}ftypavi[fs]",
    "JPEG XL": rb"\xff\x0a|.{4}JXL ",
    "SVG": rb"\s*<(\?xml|svg)",
    "a video": rb".{4}ftyp",
}


def write(pictures: Iterable[tuple[Path, np.ndarray]], folder: Path, inputs: Iterable[Path] = ()) -> list[Path]:
    """Writes (where it goes in the folder, picture uint8) pairs as files NAME.rgb; returns their paths.

    Two that would have one path are numbered. Nothing is written before all pictures are there. UserError for a file
    that is there already: a link, one of `inputs`, or one that differs.
    """
    contents: dict[Path, bytes] = {}
    for target, picture in pictures:
        names = itertools.chain([target.name], (f"{target.name}-{n}" for n in itertools.count(2)))
        paths = (folder / target.with_name(f"{name}.rgb") for name in names)
        contents[next(path for path in paths if path not in contents)] = picture.tobytes()
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
            if path.exists():
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = Path(new) / path.name
            try:
                temporary.write_bytes(content)
                temporary.rename(path)
            except OSError as error:  # of a full disk it names no file
                raise UserError(f"{path} cannot be written: {error.strerror}") from error
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


def named(paths: Iterable[Path]) -> list[tuple[Path, Path]]:
    """(image file, where it goes, without a suffix) of files, and of all pictures in folders, whose tree is kept.

    A folder that is not alone keeps its own name, too. What is no file is told.
    UserError for a folder without pictures.
    """
    found: list[tuple[Path, Path]] = []
    paths = list(paths)
    for path in paths:
        if not path.is_dir():
            found.append((path, Path(path.stem)))
            continue
        every, others = files(path)
        inside = [file for file in every if is_picture(file)]
        for one in others:
            print(f"left out: {printable(why_no_file(one))}", file=sys.stderr)
        if not inside:
            raise UserError(f"{path} has no pictures in it ({', '.join(PICTURES)}): name another folder")
        start = Path(path.resolve().name if len(paths) > 1 else "")
        found += [(file, start / file.relative_to(path).with_suffix("")) for file in inside]
    return found


def is_picture(path: Path) -> bool:
    """Whether a file of a folder is one, by its name."""
    return path.suffix.lower() in PICTURES


def files(folder: Path) -> tuple[list[Path], list[Path]]:
    """(all files in a folder and those in it, in order; what else is there: why_no_file()), but for hidden ones.

    Links to folders are followed. Each folder is read once, and none that this one is in, so that loops end.
    """
    found: list[Path] = []
    others: list[Path] = []
    seen: set[Path] = set()
    for start in folder.resolve(), folder.absolute().parent.resolve():
        seen |= {start, *start.parents}
    waiting = [folder]
    while waiting:
        for path in sorted(waiting.pop(0).iterdir(), key=lambda path: (path.is_symlink(), path)):
            if is_hidden(path):
                continue
            if path.is_dir() and path.resolve() not in seen:
                seen.add(path.resolve())
                waiting.append(path)
            else:
                (found if path.is_file() else others).append(path)
    return sorted(found), sorted(others)


def why_no_file(path: Path) -> str:
    """What is wrong with one that files() found among the others."""
    if path.is_dir():
        return f"{path} is a folder that is read already"
    return f"{path} is {'a broken link' if path.is_symlink() and not path.exists() else 'no regular file'}"


def is_hidden(path: Path) -> bool:
    """Whether its name says that systems, not people, have made it: .DS_Store, __MACOSX and their like."""
    return path.name.startswith(".") or path.name.lower() in SYSTEMS


def of_photos(photos: Iterable[tuple[Path, Path]], side: int) -> Iterator[tuple[Path, np.ndarray]]:
    """(where it goes, side x side x 3, uint8) of (image file, where it goes): what named() returns. As of_photo()."""
    photos = list(photos)
    for path, target in tqdm(photos, desc="reading photographs", unit="photo", disable=None, leave=False):
        yield target, of_photo(path, (side, side, 3))


def of_photo(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    """An image file as uint8 of this shape, of 1 or 3 channels, on white where it is transparent.

    UserError for a file that is no picture, or one that cannot be shown right; FileNotFoundError.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata, and of sizes that are fine
            with Image.open(path) as photo:
                return fit(_upright(photo, path), shape)
    except (FileNotFoundError, UserError):
        raise
    except (Image.DecompressionBombError, MemoryError):
        raise UserError(f"{path} has too many pixels: save a smaller copy") from None
    except Exception as error:  # a damaged file raises anything
        found = _other_format(path)
        told = f"is {found}: save it as JPEG or PNG" if found else "is not a picture that can be read"
        raise UserError(f"{path} {told}") from error


def _upright(photo: Image.Image, path: Path) -> Image.Image:
    """A picture as it is to be shown, with 8 bits; UserError if its values can mean anything."""
    upright = ImageOps.exif_transpose(photo)
    # Pillow's mode I is 16 bits in PGM, and in older versions in PNG; its own conversion would cut off at 255.
    if photo.mode.startswith("I;16") or (photo.mode == "I" and photo.format in ("PNG", "PPM")):
        return _grey(np.asarray(upright), getattr(photo, "tag_v2", {}))
    if photo.mode in UNCLEAR:
        raise UserError(f"{path} has pixels of {UNCLEAR[photo.mode]}: save it with 8 or 16 bits, as JPEG or PNG")
    return upright


def fit(picture: Image.Image, shape: tuple[int, int, int]) -> np.ndarray:
    """What is in the middle of a picture of 8 bits, scaled down to this shape, uint8."""
    height, width, channels = shape
    inside = ImageOps.fit(picture.convert("RGBA"), (width, height), Image.Resampling.BOX)
    white = Image.new("RGBA", inside.size, "white")
    pixels = Image.alpha_composite(white, inside).convert("RGB" if channels == 3 else "L")
    return np.asarray(pixels).reshape(shape)


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


def of_cifar10(count: int, directory: Path) -> Iterator[tuple[Path, np.ndarray]]:
    """(name, 32 x 32 x 3, uint8) of the first training images of each class."""
    if not 1 <= count <= MOST:
        raise UserError(f"--cifar10 must be 1..{MOST}")
    pictures, labels = registry.load("cifar10", "train", directory)
    for label, name in enumerate(registry.class_names("cifar10")):
        for n, index in enumerate(np.flatnonzero(labels == label)[:count]):
            yield Path(f"{name}{n}"), pictures[index]
