"""How well a learner tells images of classes that it was not taught: of half a dataset's, which the seed draws."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..datasets import registry
from ..device import unix_port
from ..errors import UserError
from .latents import Places, latents


@dataclass(frozen=True)
class Unknown:
    """samples, test: images a class. replay: latents. share: of known images that may be refused."""

    dataset: str = "cifar10"
    samples: int = 100
    test: int = 100
    replay: int = 500
    epochs: int | None = None
    share: float = 0.05

    def run(self, model: Path, seed: int, places: Places, directory: Path) -> dict[str, float]:
        """{"auroc", "accuracy" on known classes, "known" and "unknown" images that were refused}: all in percent."""
        rng = np.random.default_rng(seed)
        files: dict[str, dict[str, str]] = {}
        known: list[int] = []
        for split, count in (("train", self.samples), ("test", self.test)):
            labels = np.load(registry.files(self.dataset, split, places.data)[1])
            classes = np.unique(labels)
            known = known or np.sort(rng.permutation(classes)[: len(classes) // 2]).tolist()
            rows = np.concatenate([rng.permutation(np.flatnonzero(labels == c))[:count] for c in classes])
            (directory / split).write_bytes(labels[rows].astype(np.uint8).tobytes())
            found = latents(model, self.dataset, split, rows.tolist(), places)
            files[split] = {"latents": str(found), "classes": str(directory / split)}
        fresh = self.samples * len(known)
        learner = {"replay": self.replay, "fresh": fresh, "classes": max(2, len(known)), "seed": seed}
        configuration: dict = {"model": str(model), "known": known, "epochs": self.epochs, "unknown": self.share}
        configuration |= files | {"learner": learner}
        (told,) = unix_port.run("tell_unknown.py", configuration, places.micropython, directory)
        taught = np.isin(told["classes"], known)
        strange, refused, right = (np.array(told[name]) for name in ("strange", "refused", "right"))
        return {
            "auroc": 100 * auroc(strange[~taught], strange[taught]),
            "accuracy": 100 * float(right[taught].mean()),
            "known": 100 * float(refused[taught].mean()),
            "unknown": 100 * float(refused[~taught].mean()),
        }


def auroc(higher: np.ndarray, lower: np.ndarray) -> float:
    """The probability that one of the first is above one of the second; equal ones count half."""
    ordered = np.sort(lower)
    below, to = np.searchsorted(ordered, higher, "left"), np.searchsorted(ordered, higher, "right")
    return float((below + to).mean() / 2 / len(lower))


def measure(model: Path, plan: Unknown, seeds: list[int], places: Places) -> list[dict[str, float]]:
    """What run() returns, for each seed."""
    if min(plan.samples, plan.test, plan.replay) < 1 or not 0 < plan.share <= 1:
        raise UserError("--fresh, --test and --replay must be at least 1, and --share above 0 and at most 1")
    places.cache.mkdir(parents=True, exist_ok=True)
    found = []
    for seed in seeds:
        with tempfile.TemporaryDirectory(dir=places.cache) as directory:
            found.append(plan.run(model, seed, places, Path(directory)))
    return found
