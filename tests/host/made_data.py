"""Small made datasets, and the models of tests/firmware, for the tests of the host's tools."""

import os
from pathlib import Path

import numpy as np

import models

ROOT = Path(__file__).resolve().parents[2]
os.environ.setdefault("OMP_NUM_THREADS", "1")  # of PyTorch, which is imported later

__all__ = ["CLASSES", "ROOT", "SIDE", "made_images", "make_dataset", "models"]

CLASSES = {"cifar10": 10, "cifar100": 100}
SIDE = 8  # of the small model's images


def made_images(classes, count, seed, side):
    """count images of each class, and their labels: a pattern for each class, with noise."""
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 2, (classes, side // 4, side // 4, 3)).repeat(4, axis=1).repeat(4, axis=2)
    labels = np.tile(np.arange(classes), count)
    noise = np.random.default_rng(seed).integers(-40, 41, (len(labels), side, side, 3))
    return (64 + 128 * patterns[labels] + noise).astype(np.uint8), labels.astype(np.uint8)


def make_dataset(folder, name, train, test, side=SIDE):
    """Writes what `bitreplay data` would: a dataset with this many images of each class."""
    for seed, (split, count) in enumerate({"train": train, "test": test}.items()):
        images, labels = made_images(CLASSES[name], count, seed + 1, side)
        np.save(folder / f"{name}_{split}_images.npy", images)
        np.save(folder / f"{name}_{split}_labels.npy", labels)
