"""The image datasets by name, as `bitreplay data` leaves them in a folder: NAME_{train,test}_{images,labels}.npy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..errors import UserError
from . import cifar, fashion, fsdd, quickdraw

# name: (what makes sure that it is in a folder, the names of its classes in the order of the labels)
DATASETS: dict[str, tuple[Callable[[Path, Path | None], dict[str, Path]], list[str]]] = {
    "cifar10": (cifar.cifar10, cifar.CLASSES["cifar10"]),
    "cifar100": (cifar.cifar100, cifar.CLASSES["cifar100"]),
    "fashion": (fashion.fashion, fashion.CLASSES),
    "quickdraw": (quickdraw.quickdraw, quickdraw.CLASSES),
    "fsdd": (fsdd.fsdd, fsdd.CLASSES),
}


def files(name: str, split: str, directory: Path) -> tuple[Path, Path]:
    """Returns the files with the images and the labels of one of DATASETS, "train" or "test".

    Raises UserError when they were not fetched yet.
    """
    images, labels = (directory / f"{name}_{split}_{kind}.npy" for kind in ("images", "labels"))
    if not images.exists() or not labels.exists():
        raise UserError(f"{images} is not there: run `bitreplay data {name} --dir {directory}` first")
    return images, labels


def load(name: str, split: str, directory: Path) -> tuple[np.ndarray, np.ndarray]:
    """Returns images (n, 32, 32, 3) uint8 and labels (n,) uint8 of what `files` finds."""
    images, labels = files(name, split, directory)
    return np.load(images), np.load(labels)


def class_names(name: str) -> list[str]:
    """Returns the names of the classes of one of DATASETS, in the order of the labels."""
    return DATASETS[name][1]
