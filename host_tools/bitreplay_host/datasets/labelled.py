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

from ..errors import UserError, printable
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
    found = [file for file in images.files(folder)[0] if file.parent != folder]
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
        try:
            check_label(name)
        except ValueError as error:
            raise UserError(f"{path}: {error}") from None
    _tell_shared(found)
    return found


def load_split(
    path: Path, shape: Shape = SHAPE, share: float = 0.2, seed: int = 1, units: Sequence[float] | None = None
) -> Labelled:
    """As load(), with a share of each class held back: by split(), of readings the end of each file; or by hand, where
    the folder has train and test. What is in both of these is told, and left out of the test."""
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
    _tell(_beside(path), "beside train and test, and left out")
    taught = set(map(_digest, train.images))
    new = np.array([_digest(image) not in taught for image in test.images])
    if not new.all():
        count = int(np.count_nonzero(~new))
        told = f"{count} of the {test.kind.samples} in test {'are' if count > 1 else 'is'} in train, too"
        print(f"{told}: not tested", file=sys.stderr)
    numbers = np.array([train.names.index(name) for name in test.names])
    labels = np.concatenate([train.labels, numbers[test.labels[new]]])
    pictures = np.concatenate([train.images, test.images[new]])
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

    What is drawn follows from an image's bytes and the seed: it stays where it is when others are added. Copies of
    one image are counted and told. Those of which not all are drawn are taught: a test of these would tell nothing.
    """
    held = np.zeros(len(labels), bool)
    if not share:
        return held
    copies: dict[bytes, list[int]] = {}
    for row, image in enumerate(pictures):
        copies.setdefault(_digest(image, seed), []).append(row)
    left = [min(count - 1, max(1, round(share * count))) for count in np.bincount(labels).tolist()]
    for _, rows in sorted(copies.items()):
        c, *others = set(labels[rows].tolist())
        if len(rows) <= left[c] and not others:
            held[rows] = True
            left[c] -= len(rows)
    if more := len(labels) - len(copies):
        told = f"{more} of the samples {'are copies' if more > 1 else 'is a copy'} of others"
        print(f"{told}: no sample is both taught and tested", file=sys.stderr)
    return held


def _digest(image: np.ndarray, seed: int = 0) -> bytes:
    return hashlib.sha256(b"%d," % seed + image.tobytes()).digest()


def parts(path: Path) -> bool:
    """Whether a folder has train and test in it, with classes."""
    return all((path / part).is_dir() and _folders(path / part) for part in PARTS)


def _folders(path: Path) -> list[Path]:
    return sorted(one for one in path.iterdir() if one.is_dir() and not images.is_hidden(one))


def _beside(path: Path) -> list[str]:
    """What lies beside the folders of a folder."""
    return sorted(str(one) for one in path.iterdir() if not one.is_dir() and not images.is_hidden(one))


def _folder(path: Path, shape: Shape, units: Sequence[float] | None) -> _Found:
    classes = {folder: images.files(folder) for folder in _folders(path)}
    if not classes:
        raise UserError(f"{path} has no folders in it: make one for each class, named by it, with its files")
    one = kind(path)
    if one is PICTURES:
        _check_pictures(shape)
    if one is READINGS:
        sensors.check_units(units or UNITS)
    chosen = [
        (number, file) for number, (files, _) in enumerate(classes.values()) for file in files if one.holds(file)
    ]
    others = [str(file) for files, _ in classes.values() for file in files if not one.holds(file)]
    _tell(_beside(path), "beside the folders of classes, and left out")
    _tell(others, f"no {one.name} by their names, and left out")
    _tell([images.why_no_file(file) for _, bad in classes.values() for file in bad], "not to be read, and left out")
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
        classes.setdefault(_digest(image), set()).add(int(label))
    shared = [sorted(several) for several in classes.values() if len(several) > 1]
    if shared:
        names = " and ".join(printable(found.names[label]) for label in shared[0])
        told = f"{len(shared)} of the {found.kind.samples} {'are' if len(shared) > 1 else 'is'} in more than one class"
        print(f"{told} (such as {names}): no learner can tell these apart", file=sys.stderr)


def _archive(path: Path, shape: Shape) -> _Found:
    """What an .npz has."""
    _check_pictures(shape)
    arrays, field = {}, ""
    try:
        with np.load(path) as file:  # an .npy is no context, which is an AttributeError or TypeError
            for field in {"images", "labels", "names"} & set(file.files):
                arrays[field] = file[field]
    except Exception:  # a damaged file raises anything
        if field:
            raise UserError(f"{path}: {field} cannot be read; save numbers or strings, no objects") from None
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
    if "names" in arrays:
        every = _texts(path, "names", arrays["names"])
        if labels.dtype.kind not in "iu" or found[0] < 0 or found[-1] >= len(every):
            raise UserError(f"{path}: with names, labels must be integers, 0..{len(every) - 1}")
        names = [every[label] for label in found]
        if len(set(names)) < len(names):
            raise UserError(f"{path}: names has a name twice; give each class its own")
    else:
        names = _texts(path, "labels", found.astype(str) if found.dtype.kind in "iu" else found)
    if pictures.shape[1:] == shape:
        return _Found(pictures, numbers, names, np.arange(len(pictures)), PICTURES)
    grey = pictures.reshape(pictures.shape[:3]) if channels[0] == 1 else pictures
    scaled = tqdm(grey, desc="scaling images", unit="image", disable=None, leave=False)
    fitted = np.stack([images.fit(Image.fromarray(one), shape) for one in scaled])
    return _Found(fitted, numbers, names, np.arange(len(fitted)), PICTURES)


def _texts(path: Path, field: str, values: np.ndarray) -> list[str]:
    """Strings of an .npz."""
    if values.ndim != 1 or values.dtype.kind not in "US":
        raise UserError(f"{path}: {field} must be strings, in one dimension; they are {values.dtype} {values.shape}")
    try:
        return [value.decode() if isinstance(value, bytes) else str(value) for value in values]
    except UnicodeDecodeError:
        raise UserError(f"{path}: {field} has bytes that are no UTF-8: save strings") from None
