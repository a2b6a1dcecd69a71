"""Labelled samples that a user brings: a folder with a folder for each class, or an .npz with images and labels.

In the folders are pictures; or recordings (.wav, .flac, ...), or readings of sensors (.csv), of which boards' front
ends make pictures.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from bitreplay.checks import check_label
from PIL import Image
from tqdm import tqdm

from ..errors import UserError, as_user_error, printable
from . import images, sensors
from .sensors import UNITS, Shape

SHAPE = (32, 32, 3)  # of the shipped models' images
TOLD = 5  # files that are named, of those that are left out
PARTS = "train", "test"


@dataclass(frozen=True)
class Kind:
    """A kind of files. read: (path, shape) to the images of one, and a note or nothing; with units for readings."""

    name: str
    samples: str
    suffixes: tuple[str, ...]
    read: Callable[..., tuple[list[np.ndarray], str]]

    def holds(self, path: Path) -> bool:
        return path.suffix.lower() in self.suffixes


def _of_photo(path: Path, shape: Shape) -> tuple[list[np.ndarray], str]:
    return [images.of_photo(path, shape)], ""


PICTURES = Kind("pictures", "pictures", images.PICTURES, _of_photo)
SOUNDS = Kind("recordings", "recordings", (".wav", ".flac", ".ogg", ".mp3"), sensors.of_sound)
READINGS = Kind("readings", "windows", (".csv",), sensors.of_csv)
KINDS = PICTURES, SOUNDS, READINGS
WANTED = {"imu": READINGS, "speech": SOUNDS}  # what shipped models take whose input only has the shape of pictures


@dataclass(frozen=True)
class Labelled:
    """images: n x height x width x channels, uint8. labels: of each, the number of one of names. held: which of them
    are held back for a test, booleans. what: they are pictures, recordings or windows."""

    images: np.ndarray
    labels: np.ndarray
    names: list[str]
    held: np.ndarray
    what: str


class _Found(NamedTuple):
    """As in Labelled. files: of each image, the number of its file."""

    images: np.ndarray
    labels: np.ndarray
    names: list[str]
    files: np.ndarray
    kind: Kind


def kind(folder: Path) -> Kind:
    """What most files are in the folders of a folder; pictures if it has none."""
    found = [file for file in images.files(folder) if file.parent != folder]
    return max(KINDS, key=lambda one: sum(map(one.holds, found)))


def load(
    path: Path, shape: Shape = SHAPE, units: Sequence[float] | None = None
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """(images n x shape, uint8; labels n, numbers of names; names, sorted) of a folder or an .npz.

    A folder has a folder for each class, named by it, with files of one of KINDS in it and in folders in it. An .npz
    has `images`, uint8, n x height x width (x channels), `labels`, integers or strings, and perhaps `names` of the
    integers. Pictures are cropped and scaled to the shape. units: of readings, UNITS if not given. Files that cannot
    be read are named, counted and left out; samples of two classes are told. UserError for what has no class, or one
    without a file that can be read, and for units of anything but readings.
    """
    return _load(path, shape, units)[:3]


def _load(path: Path, shape: Shape, units: Sequence[float] | None) -> _Found:
    if path.is_dir():
        if parts(path):
            raise UserError(f"{path} has the folders train and test: name one of them")
        found = _folder(path, shape, units)
    elif path.exists():
        found = _archive(path, shape)
    else:
        raise UserError(f"{path}: there is no such folder or file; name a folder with a folder of files a class")
    if units and found.kind is not READINGS:
        raise UserError(f"--units is for readings ({', '.join(READINGS.suffixes)}), and {path} has {found.kind.name}")
    for name in found.names:
        with as_user_error():
            check_label(name)
    _tell_shared(found)
    return found


def load_split(
    path: Path, shape: Shape = SHAPE, share: float = 0.2, seed: int = 1, units: Sequence[float] | None = None
) -> Labelled:
    """As load(), with a share of each class held back: by split(), of readings the end of each file; or by hand, where
    the folder has train and test."""
    if not parts(path):
        found = _load(path, shape, units)
        if found.kind is READINGS:
            found, held = _ends(found, share)
        else:
            held = split(found.images, found.labels, share, seed)
        return Labelled(*found[:3], held, found.kind.samples)
    if others := [one.name for one in _folders(path) if one.name not in PARTS]:
        raise UserError(f"{path / others[0]}: beside train and test there can be no other folder; move it elsewhere")
    train, test = (_load(path / part, shape, units) for part in PARTS)
    if train.kind is not test.kind:
        raise UserError(f"{path}: train has {train.kind.name} in it, and test {test.kind.name}; both need the same")
    if unknown := set(test.names) - set(train.names):
        raise UserError(f"{path / 'test' / min(unknown)}: there is no such class in train; move it elsewhere")
    numbers = np.array([train.names.index(name) for name in test.names])
    labels = np.concatenate([train.labels, numbers[test.labels]])
    pictures = np.concatenate([train.images, test.images])
    return Labelled(pictures, labels, train.names, np.arange(len(labels)) >= len(train.labels), train.kind.samples)


def _ends(found: _Found, share: float) -> tuple[_Found, np.ndarray]:
    """Without the windows that would be in both parts, and which are held back: this share of each file, its end."""
    held, kept = np.zeros((2, len(found.files)), bool)
    kept[:] = True
    for file in np.unique(found.files):
        rows = np.flatnonzero(found.files == file)
        first = len(rows) - round(share * len(rows))
        # A window overlaps with the one before it.
        if 1 < first < len(rows):
            held[rows[first:]], kept[rows[first - 1]] = True, False
    return found._replace(images=found.images[kept], labels=found.labels[kept], files=found.files[kept]), held[kept]


def split(pictures: np.ndarray, labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Which of the images are held back: this share of each class, but at least one if there are two; booleans.

    What is drawn follows from an image's bytes and the seed: it stays where it is when others are added.
    """
    held = np.zeros(len(labels), bool)
    drawn = [hashlib.sha256(b"%d," % seed + picture.tobytes()).digest() for picture in pictures]
    for c in np.unique(labels) if share else ():
        rows = sorted(np.flatnonzero(labels == c), key=lambda row: drawn[row])
        held[rows[: min(len(rows) - 1, max(1, round(share * len(rows))))]] = True
    return held


def parts(path: Path) -> bool:
    """Whether a folder has train and test in it, with classes."""
    return all((path / part).is_dir() and _folders(path / part) for part in PARTS)


def _folders(path: Path) -> list[Path]:
    return sorted(one for one in path.iterdir() if one.is_dir() and not images.is_hidden(Path(one.name)))


def _folder(path: Path, shape: Shape, units: Sequence[float] | None) -> _Found:
    classes = {folder: images.files(folder) for folder in _folders(path)}
    if not classes:
        raise UserError(f"{path} has no folders in it: make one for each class, named by it, with its files")
    one = kind(path)
    if one is PICTURES:
        _check_pictures(shape)
    loose = [file for file in path.iterdir() if file.is_file() and not images.is_hidden(Path(file.name))]
    others = loose + [file for files in classes.values() for file in files if not one.holds(file)]
    chosen = [(number, file) for number, files in enumerate(classes.values()) for file in files if one.holds(file)]
    _tell([str(file) for file in sorted(others)], f"no {one.name} by their names, and left out")
    counts = np.bincount([number for number, _ in chosen], minlength=len(classes))
    for folder, count in zip(classes, counts, strict=True):
        if count == 0:
            raise UserError(f"{folder} has no {one.name} in it ({', '.join(one.suffixes)}): add some, or remove it")
    read = partial(one.read, shape=shape, **({"units": units or UNITS} if one is READINGS else {}))
    pictures, labels, files = _samples(list(classes), chosen, one.name, read)
    return _Found(pictures, labels, [folder.name for folder in classes], files, one)


def _check_pictures(shape: Shape) -> None:
    if shape[2] not in (1, 3):
        raise UserError(f"the model takes samples of shape {shape}, which no picture has: choose another --model")


def _samples(classes: list[Path], chosen: list[tuple[int, Path]], name: str, read: Callable):
    """Images, labels and numbers of files, of those that can be read. chosen: (class, file)."""
    pictures: list[np.ndarray] = []
    labels, files, bad, notes = [], [], [], []
    shown = tqdm(chosen, desc=f"reading {name}", unit="file", disable=None, leave=False)
    for file, (number, path) in enumerate(shown):
        try:
            found, note = read(path)
        except (UserError, OSError) as error:
            bad.append(str(error))
            continue
        pictures += found
        labels += [number] * len(found)
        files += [file] * len(found)
        notes += [note] if note else []
    if missing := set(range(len(classes))) - set(labels):
        raise UserError(f"{classes[min(missing)]}: none of its {name} can be read; {bad[0]}")
    _tell(bad, "unreadable, and left out")
    _tell(notes, "longer than what counts of them", "")
    return np.stack(pictures), np.array(labels), np.array(files)


def _tell(files: list[str], what: str, each: str = "left out: ") -> None:
    """Names some files, and counts all, of which something is to be known."""
    for file in files[:TOLD]:
        print(f"{each}{printable(file)}", file=sys.stderr)
    if files:
        print(f"{len(files)} file{'s are' if len(files) > 1 else ' is'} {what}", file=sys.stderr)


def _tell_shared(found: _Found) -> None:
    """Tells of samples that are in more than one class, as nobody can learn these."""
    classes: dict[bytes, set[int]] = {}
    for image, label in zip(found.images, found.labels, strict=True):
        classes.setdefault(hashlib.sha256(image.tobytes()).digest(), set()).add(int(label))
    shared = [sorted(several) for several in classes.values() if len(several) > 1]
    if shared:
        names = " and ".join(printable(found.names[label]) for label in shared[0])
        told = f"{len(shared)} of the {found.kind.samples} {'are' if len(shared) > 1 else 'is'} in more than one class"
        print(f"{told} (such as {names}): no learner can tell these apart", file=sys.stderr)


def _archive(path: Path, shape: Shape) -> _Found:
    """What an .npz has."""
    _check_pictures(shape)
    try:
        with np.load(path) as file:  # an .npy is no context, which is an AttributeError or TypeError
            arrays = {name: file[name] for name in ("images", "labels", "names") if name in file.files}
    except Exception:  # a damaged file raises anything
        raise UserError(f"{path} is neither a folder nor an .npz with images and labels") from None
    if not {"images", "labels"} <= set(arrays):
        raise UserError(f"{path} has no images or no labels: save it by np.savez(file, images=..., labels=...)")
    pictures, labels = arrays["images"], arrays["labels"].reshape(-1)
    channels = pictures.shape[3:] or (1,)
    if pictures.dtype != np.uint8 or pictures.ndim not in (3, 4) or channels[0] not in (1, 3) or not pictures.size:
        told = f"{pictures.dtype} {pictures.shape}"
        raise UserError(f"{path}: images must be uint8, n x height x width, or that x 3; they are {told}")
    if len(labels) != len(pictures) or labels.dtype.kind not in "iuUS":
        raise UserError(f"{path}: labels must be {len(pictures)} integers or strings, a label for each image")
    found, numbers = np.unique(labels, return_inverse=True)
    names = [str(label) for label in found.astype(str)]
    if "names" in arrays:
        if labels.dtype.kind not in "iu" or found[0] < 0 or found[-1] >= len(arrays["names"]):
            raise UserError(f"{path}: with names, labels must be integers, 0..{len(arrays['names']) - 1}")
        names = [str(arrays["names"][label]) for label in found]
        if len(set(names)) < len(names):
            raise UserError(f"{path}: names has a name twice; give each class its own")
    if pictures.shape[1:] == shape:
        return _Found(pictures, numbers, names, np.arange(len(pictures)), PICTURES)
    grey = pictures.reshape(pictures.shape[:3]) if channels[0] == 1 else pictures
    scaled = tqdm(grey, desc="scaling images", unit="image", disable=None, leave=False)
    fitted = np.stack([images.fit(Image.fromarray(one), shape) for one in scaled])
    return _Found(fitted, numbers, names, np.arange(len(fitted)), PICTURES)
