"""The same learner in float32: what the integers of the on-board learner are measured against.

It shares the policies and the samples with `bitreplay.Learner`; the head, the softmax, the gradients, the latent
weights and the momentum are float32, and the stream is saturated but not rounded. Nothing is rounded
stochastically, so the generator draws the samples of its minibatches in another order.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import bitreplay
import numpy as np
from bitreplay.replay import Samples, contrast
from bitreplay.trainer import FALL

from .. import models
from .float_layers import STREAM, FloatLayers, sign, unpack

MOMENTUM = 7 / 8


class FloatLearner(bitreplay.Learner):
    """A Learner whose arithmetic is float32; predictions are made by the batch with `accuracy`."""

    def __init__(self, net, **arguments):
        super().__init__(net, **arguments)
        self.layers = FloatLayers(net, self.trainer.parts if self.trainer else ())
        self.consolidated = np.zeros((self.config["classes"], net.features), np.float32)
        self.now, self.fall = np.float32(1), 0  # the share of the rates in this step, and as in FloatLayers.step

    def _minibatch(self, batch, samples):
        labels = np.array([samples[-1][i] for i in batch])
        f = self._features(batch)
        active = np.frombuffer(self.head.active, np.uint8) > 0
        scores = np.where(active, f @ self.training.T, -np.inf)
        p = np.exp(scores - scores.max(axis=1, keepdims=True))
        e = (p / p.sum(axis=1, keepdims=True)).astype(np.float32)
        hits = int((e.argmax(axis=1) == labels).sum())
        e[np.arange(len(e)), labels] -= 1
        if self.trainer:
            self.layers.backward(e @ self.training)
        self.gradient = e.T @ f / len(e)
        return hits

    def _begin(self, classes):
        self.layers.begin()
        here = np.isin(np.arange(len(self.consolidated)), list(classes)) | (not self.config["cwr"])
        self.training = np.where(here[:, None], self.consolidated, 0).astype(np.float32)
        self.momentum = np.zeros_like(self.training)
        return super()._begin(classes)

    def _start(self, new, classes):
        size = np.abs(self.consolidated[np.asarray(self.head.past) > 0]).sum(axis=1).mean()
        for c in new:
            numbers, weights = zip(*contrast(classes, c), strict=True)
            row = np.asarray(weights, np.float32) @ self._features(numbers)
            self.training[c] = row * (size / max(np.abs(row).sum(), 1))

    def _features(self, numbers):
        """The features of the samples with these numbers, float32 (n, features)."""
        return self._forward(np.stack([np.frombuffer(self._latent(i), np.uint8) for i in numbers]))

    def _forward(self, latents):
        return self.layers.forward(unpack(latents, self.net.latent_shape))

    def _set_rates(self, step, steps):
        if self.trainer:
            self.now, self.fall = np.float32(1 - 0.9 * step / steps if steps else 1), int(step % FALL == 0)

    def _step(self, present):
        self.layers.step(self.config["conv_rate"] * self.now, self.fall)
        self.momentum = MOMENTUM * self.momentum + np.float32(self.config["rate"]) * self.now * self.gradient
        self.training -= self.momentum
        self._learned = present

    def _consolidate(self, present, absorb):
        here = [c for c in range(len(self.labels)) if present[c] or not self.config["cwr"]]
        past = [self.head.past[c] for c in here]
        super()._consolidate(present, absorb)
        mean = self.training[here].mean() if self.config["cwr"] else 0
        for c, before in zip(here, past, strict=True):
            w = np.sqrt(before / present[c]) if self.config["cwr"] else 0
            self.consolidated[c] = (self.consolidated[c] * w + self.training[c] - mean) / (w + 1)

    def right(self, latents: np.ndarray, classes: np.ndarray, names: list[str]) -> list[int]:
        """How many of each class are right, of packed latents, uint8 (n, bytes), whose classes are all learned."""
        parts = np.array_split(latents, -(-len(latents) // 100))
        features = np.concatenate([self._forward(part) for part in parts])
        scores = np.where(np.asarray(self.head.past) > 0, features @ self.consolidated.T, -np.inf)
        labels = np.array([self.labels.index(names[c]) for c in classes])
        return np.bincount(classes[scores.argmax(axis=1) == labels], minlength=len(names)).tolist()


class StreamLearner(FloatLearner):
    """It keeps no bits, but the int8 values that they are signs of, so a latent has eight times the bytes.

    The layers above get their signs, and the values themselves for the shortcut.
    """

    def __init__(self, net, **arguments):
        kernel, given = net._last  # of a Network that makes its latent by signs: the values, thresholds and directions
        if kernel.__name__ != "binarize" or net.above[0].op != "expand":
            raise ValueError(f"{net.name} has no shortcut across its latent: values would tell no more than bits")
        super().__init__(net, **arguments)
        self.threshold = np.frombuffer(given[1], np.int8)
        self.direction = -unpack(np.frombuffer(given[2], np.uint8)[None], (net.latent_shape[2],))[0]
        self.replay, self.fresh = (Samples(m.capacity, 8 * net.latent_bytes) for m in (self.replay, self.fresh))
        self._x_rows = [bytearray(8 * net.latent_bytes)]

    def _take(self, latent):
        self._x_rows[0][:] = latent.tobytes()

    def _forward(self, latents):
        values = latents.view(np.int8).reshape(-1, *self.net.latent_shape).astype(np.float32)
        return self.layers.forward(sign(values - self.threshold) * self.direction, values / STREAM)


def run(
    configuration: dict,
    advance: Callable[[], object],
    stop: threading.Event,
    kind: type[FloatLearner] = FloatLearner,
) -> dict:
    """What onboard/learn_classes.py does with the same configuration; returns {"right": [[of each class,
    after each experience]]}.

    advance is called after each epoch; when stop is set, the run ends then, by a KeyboardInterrupt.
    """

    def progress(*_):
        advance()
        if stop.is_set():
            raise KeyboardInterrupt

    net = models.load(Path(configuration["model"]))
    learner = kind(net, **configuration["learner"])

    def load(split):
        latents = np.fromfile(configuration[split]["latents"], np.uint8).reshape(-1, learner.replay.latent_bytes)
        return latents, np.frombuffer(Path(configuration[split]["classes"]).read_bytes(), np.uint8)

    latents, classes = load("train")
    test_latents, test_classes = load("test")
    names, right = configuration["labels"], []
    for rows in configuration["experiences"]:
        for row in rows:
            learner.see_latent(latents[row], names[classes[row]])
        learner.learn(configuration["epochs"], progress=progress)
        tested = np.isin(test_classes, [names.index(label) for label in learner.labels])
        right.append(learner.right(test_latents[tested], test_classes[tested], names))
    return {"right": right}
