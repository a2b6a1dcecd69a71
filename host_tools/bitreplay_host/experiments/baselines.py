"""Simple baselines: what a learner must beat at equal bytes. Nothing is trained; each sample is seen once.

They answer on the latents of the frozen part, in NumPy. The class mean and the discriminant analysis work on the
features that the head gets from the model as it is shipped.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Callable
from pathlib import Path

import bitreplay
import numpy as np
from bitreplay.above import Above
from bitreplay.replay import Balanced, Samples

from ..errors import UserError
from .float_layers import STREAM, unpack

SHRINKAGE = 1e-4  # of the covariance towards the identity
NUMBER = 4  # bytes of a float32 or an integer that is kept


class Features:
    """Latents to the head's features, each latent once; for all threads."""

    def __init__(self, net: bitreplay.Network):
        self.net = net
        self.above = Above(net)
        self._known: dict[bytes, np.ndarray] = {}
        self._lock = threading.Lock()  # as the network has one scratch

    def __call__(self, latents: np.ndarray) -> np.ndarray:
        """uint8 (n, latent_bytes) to int8 (n, features), in 1/16."""
        with self._lock:
            return np.stack([self._one(row.tobytes()) for row in latents])

    def _one(self, latent):
        if latent not in self._known:
            out = bytearray(self.net.features)
            self.above.features(bytearray(latent), out)
            self._known[latent] = np.frombuffer(out, np.int8)
        return self._known[latent]


class NearestClassMean:
    """The class whose mean of all features seen is nearest (Euclidean distance)."""

    def __init__(self, features: Features, arguments: dict):
        """arguments: a Learner's; `classes` counts."""
        self.features = features
        self.sums = np.zeros((arguments["classes"], features.net.features), np.int64)
        self.counts = np.zeros(arguments["classes"], np.int64)

    @property
    def bytes(self) -> int:
        """For each class: a sum for each feature, and how many samples there were."""
        return NUMBER * (self.sums.size + self.counts.size)

    def observe(self, latents: np.ndarray, labels: np.ndarray) -> None:
        """Latents, uint8 (n, latent_bytes), with their classes (n,), less than `classes`."""
        np.add.at(self.sums, labels, self.features(latents))
        np.add.at(self.counts, labels, 1)

    def predict(self, latents: np.ndarray) -> np.ndarray:
        """The class of each latent; among equals the first. Something must have been observed."""
        seen = np.flatnonzero(self.counts)
        means = self.sums[seen] / self.counts[seen, None]
        scores = self.features(latents) @ means.T - (means**2).sum(axis=1) / 2
        return seen[scores.argmax(axis=1)]


class NearestLatent:
    """The class of the nearest replayed latent (Hamming distance), of as many as a learner keeps balanced."""

    def __init__(self, features: Features, arguments: dict):
        """arguments: a Learner's; `classes`, `replay` and `seed` count. UserError for no replay."""
        if not arguments["replay"]:
            raise UserError("the nearest replayed latent needs --replay of at least 1")
        self.memory = Samples(arguments["replay"], features.net.latent_bytes)
        self.past = array("I", [0] * arguments["classes"])
        self.rng = array("I", [arguments["seed"]])

    @property
    def bytes(self) -> int:
        """The latents and a byte of class each."""
        return self.memory.capacity * (self.memory.latent_bytes + 1)

    def observe(self, latents: np.ndarray, labels: np.ndarray) -> None:
        """As NearestClassMean's; the samples of one experience."""
        fresh = Samples(len(latents), self.memory.latent_bytes)
        for i, (latent, label) in enumerate(zip(latents, labels.tolist(), strict=True)):
            fresh.write(i, latent.tobytes(), label)
        fresh.n = len(latents)
        Balanced().absorb(self.memory, fresh, self.past, 0, self.rng)
        for label in labels.tolist():
            self.past[label] += 1

    def predict(self, latents: np.ndarray) -> np.ndarray:
        """As NearestClassMean's; among latents equally near, the one that was stored first."""
        n = self.memory.n
        kept = np.frombuffer(self.memory.latents, np.uint8).reshape(-1, self.memory.latent_bytes)[:n]
        known, classes = unpack(kept, (-1,)), np.frombuffer(self.memory.classes, np.uint8)[:n]
        # Of signs: the more are equal, the larger is the product. A thousand at a time, as they are unpacked.
        parts = np.array_split(latents, -(-len(latents) // 1000))
        nearest = [(unpack(part, (-1,)) @ known.T).argmax(axis=1) for part in parts]
        return classes[np.concatenate(nearest)].astype(np.int64)


class StreamingLDA:
    """Deep streaming linear discriminant analysis: class means, and one covariance that all classes share.

    Hayes and Kanan 2020, "Lifelong Machine Learning with Deep Streaming Linear Discriminant Analysis", arXiv
    1909.01520, with the covariance updated all the time. A class's mean starts at its first sample and not at 0, so
    that the sample adds nothing to the covariance.
    """

    def __init__(self, features: Features, arguments: dict):
        """arguments: a Learner's; `classes` counts."""
        self.features = features
        size = features.net.features
        self.means = np.zeros((arguments["classes"], size))
        self.counts = np.zeros(arguments["classes"], np.int64)
        self.covariance, self.total = np.zeros((size, size)), 0

    @property
    def bytes(self) -> int:
        """Half of the covariance, which is symmetric, for each class a mean and a number, and how many there were.

        Predicting takes the inverse, which is not counted.
        """
        size = len(self.covariance)
        return NUMBER * (size * (size + 1) // 2 + self.means.size + self.counts.size + 1)

    def observe(self, latents: np.ndarray, labels: np.ndarray) -> None:
        """As NearestClassMean's."""
        for z, label in zip(self.features(latents) / STREAM, labels.tolist(), strict=True):
            difference = z - self.means[label] if self.counts[label] else np.zeros_like(z)
            if not self.counts[label]:
                self.means[label] = z
            share = self.total / (self.total + 1)
            self.covariance *= share
            self.covariance += np.outer(share / (self.total + 1) * difference, difference)
            self.counts[label] += 1
            self.means[label] += difference / self.counts[label]
            self.total += 1

    def predict(self, latents: np.ndarray) -> np.ndarray:
        """As NearestClassMean's."""
        seen = np.flatnonzero(self.counts)
        shrunk = (1 - SHRINKAGE) * self.covariance + SHRINKAGE * np.eye(len(self.covariance))
        weights = np.linalg.solve(shrunk, self.means[seen].T)
        bias = (self.means[seen].T * weights).sum(axis=0) / 2
        return seen[(self.features(latents) / STREAM @ weights - bias).argmax(axis=1)]


BASELINES: dict[str, type[NearestClassMean] | type[NearestLatent] | type[StreamingLDA]] = {
    "ncm": NearestClassMean,
    "nearest": NearestLatent,
    "slda": StreamingLDA,
}


def run(
    method: str, configuration: dict, features: Features, advance: Callable[[], object], stop: threading.Event
) -> dict:
    """What onboard/learn_classes.py does with the same configuration, by one of BASELINES.

    Returns {"right": [[of each class, after each experience]], "memory": {"total": bytes by formula}}. advance is
    called after each experience; when stop is set, the run ends then, by a KeyboardInterrupt.
    """

    def load(split):
        latents = np.fromfile(configuration[split]["latents"], np.uint8).reshape(-1, features.net.latent_bytes)
        return latents, np.frombuffer(Path(configuration[split]["classes"]).read_bytes(), np.uint8)

    baseline = BASELINES[method](features, configuration["learner"])
    (latents, classes), (test_latents, test_classes) = load("train"), load("test")
    right: list[list[int]] = []
    seen: set[int] = set()
    for rows in configuration["experiences"]:
        baseline.observe(latents[rows], classes[rows])
        seen.update(classes[rows].tolist())
        tested = np.isin(test_classes, list(seen))
        hits = test_classes[tested][baseline.predict(test_latents[tested]) == test_classes[tested]]
        right.append(np.bincount(hits, minlength=len(configuration["labels"])).tolist())
        advance()
        if stop.is_set():
            raise KeyboardInterrupt
    return {"right": right, "memory": {"total": baseline.bytes}}
