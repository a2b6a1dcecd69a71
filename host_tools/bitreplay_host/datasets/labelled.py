"""Labelled samples that a user brings: a folder with a folder for each class, or an .npz with images and labels."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from bitreplay.checks import check_label
from PIL import Image
from tqdm import tqdm

from ..errors import UserError, as_user_error, printable
from . import images

Shape = tuple[int, int, int]  # height, width, channels

SHAPE = (32, 32, 3)  # of the shipped models' images
NO_PICTURES = {"imu": "windows of a movement sensor"}  # shipped models whose input only has the shape of pictures
TOLD = 5  # files that are named, of those that are left out
PARTS = "train", "test"
# What else a sample can be, and the part of `bitreplay` that would make a model's input of it. None is there yet: once
# one is, _samples() is where it is called.
FRONT_ENDS = {".wav": "bitreplay.logmel", ".csv": "bitreplay.window"}


@dataclass(frozen=True)
class Labelled:
    """images: n x height x width x channels, uint8. labels: of each, the number of one of names. held: which of them
    are held back for a test, booleans."""

    images: np.ndarray
    labels: np.ndarray
    names: list[str]
    held: np.ndarray


def load(path: Path, shape: Shape = SHAPE) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """(images n x shape, uint8; labels n, numbers of names; names, sorted) of a folder or an .npz.

    A folder has a folder for each class, named by it, with pictures in it and in folders in it. An .npz has `images`,
    uint8, n x height x width (x channels), `labels`, integers or strings, and perhaps `names` of the integers.
    Pictures are cropped and scaled to the shape. Those that cannot be read are named, counted and left out. UserError
    for what has no class, or one without a picture that can be read.
    """
    if shape[2] not in (1, 3):
        raise UserError(f"the model takes samples of shape {shape}, which no picture has: choose another --model")
    if path.is_dir():
        if parts(path):
            raise UserError(f"{path} has the folders train and test: name one of them")
        found = _folder(path, shape)
    elif path.exists():
        found = _archive(path, shape)
    else:
        raise UserError(
            f"{path}: there is no such folder or file; name a folder with a folder of pictures for each class"
        )
    for name in found[2]:
        with as_user_error():
            check_label(name)
    return found


def load_split(path: Path, shape: Shape = SHAPE, share: float = 0.2, seed: int = 1) -> Labelled:
    """As load(), with a share of each class held back by split(); or by hand, where the folder has train and test."""
    if not parts(path):
        pictures, labels, names = load(path, shape)
        return Labelled(pictures, labels, names, split(pictures, labels, share, seed))
    if others := [one.name for one in _folders(path) if one.name not in PARTS]:
        raise UserError(f"{path / others[0]}: beside train and test there can be no other folder; move it elsewhere")
    train, test = (load(path / part, shape) for part in PARTS)
    if unknown := set(test[2]) - set(train[2]):
        raise UserError(f"{path / 'test' / min(unknown)}: there is no such class in train; move it elsewhere")
    numbers = np.array([train[2].index(name) for name in test[2]])
    labels = np.concatenate([train[1], numbers[test[1]]])
    return Labelled(np.concatenate([train[0], test[0]]), labels, train[2], np.arange(len(labels)) >= len(train[1]))


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


def _folder(path: Path, shape: Shape) -> tuple[np.ndarray, np.ndarray, list[str]]:
    classes = {folder: images.files(folder) for folder in _folders(path)}
    if not classes:
        raise UserError(f"{path} has no folders in it: make one for each class, named after it, with its pictures")
    loose = [one for one in path.iterdir() if one.is_file() and not images.is_hidden(Path(one.name))]
    others = loose + [file for files in classes.values() for file in files if not images.is_picture(file)]
    chosen = [
        (number, file) for number, files in enumerate(classes.values()) for file in files if images.is_picture(file)
    ]
    kinds = {file.suffix.lower() for file in others} & set(FRONT_ENDS)
    if kinds and not chosen:
        kind = min(kinds)
        raise UserError(f"{path} has {kind} files, for which {FRONT_ENDS[kind]} is still missing: give pictures")
    _tell([str(file) for file in sorted(others)], "no pictures by their names, and")
    counts = np.bincount([number for number, _ in chosen], minlength=len(classes))
    for folder, count in zip(classes, counts, strict=True):
        if count == 0:
            raise UserError(f"{folder} has no pictures in it ({', '.join(images.PICTURES)}): add some, or remove it")
    return (*_samples(list(classes), chosen, shape), [folder.name for folder in classes])


def _samples(classes: list[Path], chosen: list[tuple[int, Path]], shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of files, of those that can be read. chosen: (class, file)."""
    pictures, labels, bad = [], [], []
    for number, file in tqdm(chosen, desc="reading pictures", unit="picture", disable=None, leave=False):
        try:
            pictures.append(images.of_photo(file, shape))
            labels.append(number)
        except (UserError, OSError) as error:
            bad.append(str(error))
    if missing := set(range(len(classes))) - set(labels):
        raise UserError(f"{classes[min(missing)]}: none of its pictures can be read; {bad[0]}")
    _tell(bad, "unreadable, and")
    return np.stack(pictures), np.array(labels)


def _tell(files: list[str], what: str) -> None:
    """Names what is left out."""
    for file in files[:TOLD]:
        print(f"left out: {printable(file)}", file=sys.stderr)
    if files:
        print(f"{len(files)} file{'s are' if len(files) > 1 else ' is'} {what} left out", file=sys.stderr)


def _archive(path: Path, shape: Shape) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """What an .npz has."""
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
        return pictures, numbers, names
    grey = pictures.reshape(pictures.shape[:3]) if channels[0] == 1 else pictures
    scaled = tqdm(grey, desc="scaling images", unit="image", disable=None, leave=False)
    return np.stack([images.fit(Image.fromarray(one), shape) for one in scaled]), numbers, names
