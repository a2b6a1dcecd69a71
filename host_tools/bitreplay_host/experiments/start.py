"""A learner that starts with a model's own classes, and with images of these for replay."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import bitreplay
import numpy as np

from .. import models
from ..datasets import registry
from ..errors import UserError, as_user_error
from .latents import Places, latents

ROOM = 10  # for classes that come later, unless told
BESIDE = "old_before", "old", "new"
METHODS = "naive", "cwr", "replay_head", "replay_deep"  # that can start so


class Base:
    """The classes that a protocol's learners start with: names, how many there are, and their test images."""

    def __init__(self, model: Path, dataset: str | None, places: Places, more: Sequence[str] = ()):
        """dataset: of the model's classes; None for none. more: names of the classes that will come."""
        self.model, self.dataset, self.places = model, dataset, places
        self.names: list = []
        if dataset:
            net = models.load(model)
            if not net.labels:
                raise UserError(f"--model: {model} has no pretrained head to start with; choose one that has")
            _check_classes("--protocol", net, dataset)
            self.names = list(net.labels)
        if both := sorted(set(self.names) & set(more)):
            raise UserError(f"--protocol: {both[0]} is a class of the model already; choose other classes")
        self.count = len(self.names)

    def tested(self, most: int) -> tuple[bytes, np.ndarray]:
        """Latents of the test images and their classes by the order of the model; at most so many a class, 0: all."""
        if not self.dataset:
            return b"", np.zeros(0, np.uint8)
        labels = np.load(registry.files(self.dataset, "test", self.places.data)[1])
        names = registry.class_names(self.dataset)
        mine = [np.flatnonzero(labels == names.index(name))[: most or None] for name in self.names]
        rows, classes = np.concatenate(mine).tolist(), np.repeat(np.arange(self.count), list(map(len, mine)))
        content = latents(self.model, self.dataset, "test", rows, self.places).read_bytes()
        return content, classes.astype(np.uint8)

    def write(self, settings: dict, path: Path) -> str:
        """Saves a learner of these settings that starts with the classes; returns its digest."""
        assert self.dataset
        learner = make(self.model, self.dataset, settings, self.places)
        learner.save(path)
        return learner.digest()


def beside(right: Sequence[Sequence[int]], tested: Sequence[int], count: int) -> dict[str, float]:
    """BESIDE: percent right of the first count classes before and after all experiences, and of the others after."""

    def percent(row: Sequence[int], chosen: slice) -> float:
        return 100 * sum(row[chosen]) / sum(tested[chosen])

    old, new = slice(count), slice(count, None)
    found = percent(right[0], old), percent(right[-1], old), percent(right[-1], new)
    return dict(zip(BESIDE, found, strict=True))


def make(model: Path, dataset: str, settings: dict, places: Places) -> bitreplay.Learner:
    """settings: of the Learner; classes may be None."""
    net = models.load(model)
    if net.labels:
        _check_classes("--dataset", net, dataset)
    room = len(net.labels or ()) + ROOM
    with as_user_error():
        learner = bitreplay.Learner(net, start=True, **settings | {"classes": settings["classes"] or room})
    rows, classes = _drawn(net, dataset, settings, places)
    packed = latents(model, dataset, "train", rows, places).read_bytes()
    for i, c in enumerate(classes):
        learner.replay.write(i, packed[i * net.latent_bytes : (i + 1) * net.latent_bytes], c)
    learner.replay.n = len(classes)
    return learner


def _check_classes(option: str, net: bitreplay.Network, dataset: str) -> None:
    if sorted(net.labels or ()) != sorted(registry.class_names(dataset)):
        raise UserError(f"{option}: {dataset} does not have the classes of {net.name}; choose the one that has")


def _drawn(net: bitreplay.Network, dataset: str, settings: dict, places: Places) -> tuple[list[int], list[int]]:
    """Rows of the training set, as many of each class as can be, and their classes by the order of the model."""
    labels = np.load(registry.files(dataset, "train", places.data)[1])
    rng, names = np.random.default_rng(settings["seed"]), registry.class_names(dataset)
    mine = [rng.permutation(np.flatnonzero(labels == names.index(label))).tolist() for label in net.labels or ()]
    turns = max(map(len, mine), default=0)
    found = [(c, of[turn]) for turn in range(turns) for c, of in enumerate(mine) if turn < len(of)]
    del found[settings["replay"] :]
    return [row for _, row in found], [c for c, _ in found]
