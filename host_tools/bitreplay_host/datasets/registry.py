"""The image datasets by name, as `bitreplay data` leaves them in a folder: NAME_{train,test}_{images,labels}.npy."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from .. import paths
from ..errors import UserError
from . import cifar, core50, fashion, fsdd, quickdraw

# name: (what makes sure that it is in a folder, the names of its classes in the order of the labels)
DATASETS: dict[str, tuple[Callable[[Path, Path | None], dict[str, Path]], list[str]]] = {
    "cifar10": (cifar.cifar10, cifar.CLASSES["cifar10"]),
    "cifar100": (cifar.cifar100, cifar.CLASSES["cifar100"]),
    "fashion": (fashion.fashion, fashion.CLASSES),
    "quickdraw": (quickdraw.quickdraw, quickdraw.CLASSES),
    "fsdd": (fsdd.fsdd, fsdd.CLASSES),
    "core50": (core50.core50, core50.CLASSES),
    "core50_categories": (core50.core50, core50.CATEGORIES),
}
GIVEN = "fsdd", "core50", "core50_categories"  # that are not fetched
IMAGES_OF = {"core50_categories": "core50"}  # another's images, with other labels


def files(name: str, split: str, directory: Path) -> tuple[Path, Path]:
    """Returns the files with the images and the labels of one of DATASETS, "train" or "test".

    Raises UserError when they were not fetched yet, or are not what `bitreplay data` wrote: uint8, images (n, h, w, c)
    and as many labels, each the number of a class.
    """
    images = directory / f"{IMAGES_OF.get(name, name)}_{split}_images.npy"
    labels = directory / f"{name}_{split}_labels.npy"
    if not images.exists() or not labels.exists():
        raise UserError(f"{images} is not there: {_fetch(name, directory)}")
    again = f"run `bitreplay data {name} --dir {directory}` again"
    pixels, classes = _mapped(images, 4, again), _mapped(labels, 1, again)
    if len(pixels) != len(classes):
        raise UserError(f"{images} has {len(pixels)} images, but there are {len(classes)} labels: {again}")
    if classes.max() >= len(class_names(name)):
        raise UserError(f"{labels} has labels above {len(class_names(name)) - 1}, the last class: {again}")
    return images, labels


def need(names: Iterable[str], directory: Path) -> None:
    """UserError that tells of all of these datasets that were not fetched yet."""
    missing = []
    for name in dict.fromkeys(names):
        try:
            for split in ("train", "test"):
                files(name, split, directory)
        except UserError as error:
            missing.append((name, error))
    if len(missing) == 1:
        raise missing[0][1]
    if missing:
        ways = "; ".join(_fetch(name, directory) for name, _ in missing)
        raise UserError(f"{', '.join(name for name, _ in missing)} are not there, or not whole: {ways}")


def _fetch(name: str, directory: Path) -> str:
    """What to do to have a dataset."""
    where = "" if directory == paths.DATA else f" --dir {directory}"
    run = f"run `bitreplay data {name}{where}`"
    return f"{run}, which says where to get it" if name in GIVEN else run


def batches(name: str, kind: str, directory: Path) -> np.ndarray:
    """The batch of each training image in each run, of one of core50.BATCHES; as many as files() has. UserError."""
    path = directory / f"{IMAGES_OF.get(name, name)}_{kind}.npy"
    try:
        found = np.load(path)
    except (OSError, ValueError):
        raise UserError(f"{path} is missing or damaged: run `bitreplay data {name} --from FOLDER` again") from None
    if not len(found):
        raise UserError(
            f"there was no {core50.BATCHES[kind]} when CORe50 was read: unpack its lists, remove {path} and run "
            f"`bitreplay data {name} --from FOLDER` again"
        )
    return found


def _mapped(path: Path, dimensions: int, again: str) -> np.ndarray:
    """An array of bytes in a file, in C order as boards read it; UserError if it is another file."""
    try:
        array = np.lib.format.open_memmap(path, mode="r")
    except Exception:  # a damaged header can raise anything
        raise UserError(f"{path} is damaged: {again}") from None
    if array.dtype != np.uint8 or array.ndim != dimensions or not array.size:
        raise UserError(f"{path} is not a full array of uint8 with {dimensions} dimensions: {again}")
    if not array.flags.c_contiguous:
        raise UserError(f"{path} is in Fortran's order: {again}")
    return array


def load(name: str, split: str, directory: Path) -> tuple[np.ndarray, np.ndarray]:
    """Returns images (n, 32, 32, 3) uint8 and labels (n,) uint8 of what `files` finds."""
    images, labels = files(name, split, directory)
    return np.load(images), np.load(labels)


def class_names(name: str) -> list[str]:
    """Returns the names of the classes of one of DATASETS, in the order of the labels."""
    return DATASETS[name][1]
