"""The same learner in float32: what the integers of the on-board learner are measured against.

It shares the policies and the samples with `bitreplay.Learner`; the head, the softmax, the gradients, the latent
weights and the momentum are float32, and features are neither rounded nor saturated. Nothing is rounded
stochastically, so the generator draws the samples of its minibatches in another order.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import bitreplay
import numpy as np
from bitreplay.replay import BATCH

STREAM = 16  # stream units per 1.0
LATENT = 128  # latent weight units per 1.0
MOMENTUM = 7 / 8


def unpack(latents: np.ndarray, positions: int) -> np.ndarray:
    """Packed latents, uint8 (n, bytes), to +-1, float32 (n, positions, channels)."""
    bits = np.unpackbits(latents, axis=-1, bitorder="little").reshape(len(latents), positions, -1)
    return bits.astype(np.float32) * 2 - 1


class FloatLearner(bitreplay.Learner):
    """A Learner whose arithmetic is float32; predictions are made by the batch with `accuracy`."""

    def __init__(self, net, **arguments):
        super().__init__(net, **arguments)
        if not net.tail:
            raise ValueError("float32 needs a model with a trainable layer above the latent")
        classes, tail = self.config["classes"], net.tail
        self.positions = net.latent_shape[0] * net.latent_shape[1]
        self.groups = tail.geometry[7]
        weight = np.frombuffer(tail.weight, np.int8).reshape(net.features, -1)
        self.latent_weight = weight.astype(np.float32) / LATENT
        scale = np.float32(2.0**-tail.shift / STREAM)
        self.slope = np.frombuffer(tail.slope, np.int16).reshape(-1, 2).astype(np.float32) * scale
        self.bias = np.frombuffer(tail.bias, np.int32).astype(np.float32) * scale
        self.shortcut = np.float32(net.expand_value / STREAM)
        self.consolidated = np.zeros((classes, net.features), np.float32)

    def _forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n, positions, channels) to features (n, channels) and the slope at each accumulator."""
        sign = np.where(self.latent_weight >= 0, np.float32(1), np.float32(-1))
        inputs = np.split(x, self.groups, axis=2)
        acc = np.concatenate([i @ w.T for i, w in zip(inputs, np.split(sign, self.groups), strict=True)], axis=2)
        slope = np.where(acc < 0, self.slope[:, 1], self.slope[:, 0])
        return (x * self.shortcut + acc * slope + self.bias).mean(axis=1), slope

    def _begin(self):
        present = super()._begin()
        here = (np.asarray(present) > 0) | (not self.config["cwr"])
        self.training = np.where(here[:, None], self.consolidated, 0).astype(np.float32)
        self.momentum = np.zeros_like(self.training)
        return present

    def _minibatch(self, batch):
        fresh = self.fresh.n
        samples = [(self.fresh, i) if i < fresh else (self.replay, i - fresh) for i in batch]
        rows = np.stack([np.frombuffer(s.latent(i), np.uint8) for s, i in samples])
        labels = np.array([s.classes[i] for s, i in samples])
        x = unpack(rows, self.positions)
        f, slope = self._forward(x)
        active = np.frombuffer(self.active, np.uint8) > 0
        scores = np.where(active, f @ self.training.T, -np.inf)
        p = np.exp(scores - scores.max(axis=1, keepdims=True))
        e = p / p.sum(axis=1, keepdims=True)
        hits = int((e.argmax(axis=1) == labels).sum())
        e[np.arange(BATCH), labels] -= 1
        upstream = (e @ self.training)[:, None] / self.positions * slope
        self.momentum = MOMENTUM * self.momentum + np.float32(self.config["rate"] / BATCH) * (e.T @ f)
        self.training -= self.momentum
        if self.config["conv"]:
            g = np.split(upstream.reshape(BATCH * self.positions, -1), self.groups, axis=1)
            inputs = np.split(x.reshape(BATCH * self.positions, -1), self.groups, axis=1)
            dw = np.concatenate([a.T @ b for a, b in zip(g, inputs, strict=True)])
            self.latent_weight -= np.float32(self.config["conv_rate"] / BATCH) * dw
            np.clip(self.latent_weight, -127 / LATENT, 127 / LATENT, out=self.latent_weight)
        return hits

    def _consolidate(self, present, absorb):
        here = [c for c in range(len(self.labels)) if present[c] or not self.config["cwr"]]
        past = [self.past[c] for c in here]
        super()._consolidate(present, absorb)
        mean = self.training[here].mean() if self.config["cwr"] else 0
        for c, before in zip(here, past, strict=True):
            w = np.sqrt(before / present[c]) if self.config["cwr"] else 0
            self.consolidated[c] = (self.consolidated[c] * w + self.training[c] - mean) / (w + 1)

    def accuracy(self, latents: np.ndarray, classes: np.ndarray, names: list[str]) -> float:
        """Percent right of packed latents, uint8 (n, bytes), whose classes are all learned."""
        features, _ = self._forward(unpack(latents, self.positions))
        scores = np.where(np.asarray(self.past) > 0, features @ self.consolidated.T, -np.inf)
        labels = np.array([self.labels.index(names[c]) for c in classes])
        return float(100 * (scores.argmax(axis=1) == labels).mean())


def run(configuration: dict, advance: Callable[[], object], stop: threading.Event) -> dict:
    """What onboard/learn_classes.py does with the same configuration; returns {"curve": [...]}.

    advance is called after each epoch; when stop is set, the run ends then, by a KeyboardInterrupt.
    """

    def progress(*_):
        advance()
        if stop.is_set():
            raise KeyboardInterrupt

    net = bitreplay.load(configuration["model"])
    learner = FloatLearner(net, **configuration["learner"])

    def load(split):
        latents = np.fromfile(configuration[split]["latents"], np.uint8).reshape(-1, net.latent_bytes)
        return latents, np.frombuffer(Path(configuration[split]["classes"]).read_bytes(), np.uint8)

    latents, classes = load("train")
    test_latents, test_classes = load("test")
    names, curve = configuration["labels"], []
    for rows in configuration["experiences"]:
        for row in rows:
            learner.see_latent(latents[row], names[classes[row]])
        learner.learn(configuration["epochs"], progress=progress)
        tested = np.isin(test_classes, [names.index(label) for label in learner.labels])
        curve.append(learner.accuracy(test_latents[tested], test_classes[tested], names))
    return {"curve": curve}
