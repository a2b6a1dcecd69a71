"""A learner that starts with a model's own classes, and with images of these for replay."""

from __future__ import annotations

from pathlib import Path

import bitreplay
import numpy as np

from .. import models
from ..datasets import registry
from ..errors import UserError, as_user_error
from .latents import Places, latents

ROOM = 10  # for classes that come later, unless told


def make(model: Path, dataset: str, settings: dict, places: Places) -> bitreplay.Learner:
    """settings: of the Learner; classes may be None."""
    net = models.load(model)
    if net.labels and sorted(net.labels) != sorted(registry.class_names(dataset)):
        raise UserError(f"--dataset: {dataset} does not have the classes of {net.name}; choose the one that has")
    room = len(net.labels or ()) + ROOM
    with as_user_error():
        learner = bitreplay.Learner(net, start=True, **settings | {"classes": settings["classes"] or room})
    rows, classes = _drawn(net, dataset, settings, places)
    packed = latents(model, dataset, "train", rows, places).read_bytes()
    for i, c in enumerate(classes):
        learner.replay.write(i, packed[i * net.latent_bytes : (i + 1) * net.latent_bytes], c)
    learner.replay.n = len(classes)
    return learner


def _drawn(net: bitreplay.Network, dataset: str, settings: dict, places: Places) -> tuple[list[int], list[int]]:
    """Rows of the training set, as many of each class as can be, and their classes by the order of the model."""
    labels = np.load(registry.files(dataset, "train", places.data)[1])
    rng, names = np.random.default_rng(settings["seed"]), registry.class_names(dataset)
    mine = [rng.permutation(np.flatnonzero(labels == names.index(label))).tolist() for label in net.labels or ()]
    turns = max(map(len, mine), default=0)
    found = [(c, of[turn]) for turn in range(turns) for c, of in enumerate(mine) if turn < len(of)]
    del found[settings["replay"] :]
    return [row for _, row in found], [c for c, _ in found]
