"""What tests of the examples share: where they are, and pictures."""

from pathlib import Path

import numpy as np
from bitreplay_host import paths
from bitreplay_host.datasets import registry

ROOT = Path(__file__).resolve().parents[2]
FIRMWARE = ROOT / "firmware"
EXAMPLES = FIRMWARE / "examples"
DATA = paths.DATA


def pictures(labels, count):
    """{label: so many training images of CIFAR-10}."""
    images, classes = registry.load("cifar10", "train", DATA)
    names = registry.class_names("cifar10")
    return {label: images[np.flatnonzero(classes == names.index(label))[:count]] for label in labels}
