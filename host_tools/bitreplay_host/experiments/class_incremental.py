"""Class-incremental learning, run by MicroPython's unix port on real images."""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import bitreplay
import numpy as np
from bitreplay.checks import MAX_EPOCHS
from tqdm import tqdm

from .. import models
from ..datasets import registry
from ..device import unix_port
from ..errors import UserError, as_user_error
from . import baselines, float_learner
from .latents import Places, latents

MOST_FRESH = MOST_REPLAY = 32768  # of a learner

METHODS: dict[str, dict] = {
    "naive": {"replay": 0, "cwr": False},
    "cwr": {"replay": 0, "cwr": True},
    "replay_head": {},
    "replay_deep": {"train": "all"},
    "joint": {"replay": 0},
    "ncm": {"replay": 0},
    "nearest": {},
    "slda": {"replay": 0},
}
DEEP = "replay_deep", "joint"  # train what --train says; the others the head, or nothing
LEARNERS = [method for method in METHODS if method not in baselines.BASELINES]
TITLES = {
    "naive": "naive fine-tuning",
    "cwr": "CWR* alone",
    "replay_head": "replay + head",
    "replay_deep": "replay + deep",
    "joint": "joint (upper bound)",
    "ncm": "nearest class mean",
    "nearest": "nearest replayed latent",
    "slda": "streaming LDA",
}


@dataclass(frozen=True)
class ClassIncremental:
    """What is learned in which order.

    first, step: classes of the first and of each further experience. samples: fresh images a class (0: all).
    test: test images a class (0: all). epochs: of every experience; joint training takes as many minibatches as
    learning with replay does in all.
    """

    dataset: str = "cifar10"
    first: int = 2
    step: int = 1
    samples: int = 500
    test: int = 0
    epochs: int = 4
    learner: dict = field(default_factory=lambda: {"replay": 1000})

    def experiences(self, labels: np.ndarray, seed: int) -> list[list[int]]:
        """Rows of the training set for each experience; classes come in order, samples are drawn by the seed."""
        if min(self.samples, self.test) < 0 or not 1 <= self.epochs <= MAX_EPOCHS:
            raise UserError(f"--fresh and --test must be at least 0 and --epochs 1..{MAX_EPOCHS}")
        if not 1 <= seed < 2**32:
            raise UserError("--seeds must be 1..4294967295")
        rng = np.random.default_rng(seed)
        classes = [rng.permutation(np.flatnonzero(labels == c))[: self.samples or None] for c in np.unique(labels)]
        count = len(classes)
        if not (1 <= self.first <= count and self.step >= 1):
            raise UserError(f"--first must be 1..{count} and --step at least 1")
        seen = self.seen(count)
        return [
            rng.permutation(np.concatenate(classes[start:end])).tolist()
            for start, end in zip([0, *seen], seen, strict=False)
        ]

    def seen(self, count: int) -> list[int]:
        """How many classes were seen after each experience, of `count` in all."""
        return [*range(self.first, count, self.step), count]

    def used(self, data: Path) -> dict[str, int]:
        """{"fresh", "test"}: images a class that there are of those asked for. data: the folder of the datasets."""
        found = {}
        for name, split, asked in (("fresh", "train", self.samples), ("test", "test", self.test)):
            there = int(np.bincount(np.load(registry.files(self.dataset, split, data)[1])).max())
            found[name] = min(asked or there, there)
        return found


@dataclass(frozen=True)
class Run:
    """One learner to train: a method's name, a seed, overriding learner arguments, and where to save its state.

    arithmetic: "integer", on the unix port, or "float32", on the host (float_learner.py); a baseline's is always
    NumPy's (baselines.py).
    """

    method: str
    seed: int = 1
    learner: dict = field(default_factory=dict)
    state: Path | None = None
    arithmetic: str = "integer"

    @property
    def name(self) -> str:
        return f"{TITLES[self.method]}, seed {self.seed}"


def run(
    model: Path, protocol: ClassIncremental, runs: Sequence[Run], places: Places, quiet: bool = False
) -> list[dict]:
    """Train and test learners, as many at a time as there are cores; quiet: without a word on each experience.

    Returns for each run {"classes": [how many were seen after each experience], "curve": [percent right of their test
    images]} and what else onboard/learn_classes.py reports: "digest", "memory": {...}, "heap": {...}. A baseline has
    "memory": {"total": bytes} only.
    """
    _, train_labels = registry.load(protocol.dataset, "train", places.data)
    _, test_labels = registry.load(protocol.dataset, "test", places.data)
    classes = np.unique(train_labels)
    plans = {seed: protocol.experiences(train_labels, seed) for seed in {r.seed for r in runs}}
    net = models.load(model)
    for one in (r for r in runs if r.seed == runs[0].seed):  # refuses what cannot be before the long part
        make = float_learner.FloatLearner if one.arithmetic == "float32" else bitreplay.Learner
        with as_user_error():
            make(net, **_configuration(one, plans[one.seed], protocol, len(classes))["learner"])
    used = np.unique(np.concatenate([rows for plan in plans.values() for rows in plan]))
    tested = np.arange(len(test_labels))
    if protocol.test:
        tested = np.sort(np.concatenate([np.flatnonzero(test_labels == c)[: protocol.test] for c in classes]))
    train_latents = latents(model, protocol.dataset, "train", used.tolist(), places)
    test_latents = latents(model, protocol.dataset, "test", tested.tolist(), places)
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=places.cache)))
        (directory / "train").write_bytes(train_labels[used].astype(np.uint8).tobytes())
        (directory / "test").write_bytes(test_labels[tested].astype(np.uint8).tobytes())
        epochs_in_all = sum(_epochs(r, plans[r.seed], protocol) for r in runs)
        bar = stack.enter_context(tqdm(total=epochs_in_all, desc="learning", unit="epoch", disable=None))

        inputs = {
            "model": str(model),
            "train": {"latents": str(train_latents), "classes": str(directory / "train")},
            "test": {"latents": str(test_latents), "classes": str(directory / "test")},
            "labels": registry.class_names(protocol.dataset),
        }
        features = baselines.Features(net)

        def work(one: Run, stop: threading.Event) -> dict:
            plan = [np.searchsorted(used, rows).tolist() for rows in plans[one.seed]]
            configuration = inputs | _configuration(one, plan, protocol, len(classes))
            seen = {"classes": protocol.seen(len(classes))[-len(configuration["experiences"]) :]}
            if one.method in baselines.BASELINES:
                return seen | baselines.run(one.method, configuration, features, bar.update, stop)
            if one.arithmetic == "float32":
                return seen | float_learner.run(configuration, bar.update, stop)
            result: dict = {}
            for message in unix_port.run("learn_classes.py", configuration, places.micropython, directory):
                if "epoch" in message:
                    bar.update()
                elif "accuracy" in message and one.method != "joint" and not quiet:
                    bar.write(
                        f"{protocol.dataset}: {one.name}: {message['classes']} classes, {message['accuracy']:.1f} %"
                    )
                result = message
            return seen | result

        return unix_port.in_parallel(work, runs)


def _configuration(one: Run, plan: list[list[int]], protocol: ClassIncremental, classes: int) -> dict:
    """What onboard/learn_classes.py is told about one run, beside its inputs."""
    if one.method == "joint":
        epochs, plan = _joint_epochs(plan, protocol), [sum(plan, [])]
    else:
        epochs = protocol.epochs
    arguments: dict = protocol.learner | METHODS[one.method] | one.learner
    fresh = max(map(len, plan))
    if fresh > MOST_FRESH:
        raise UserError(
            f"{TITLES[one.method]}: {fresh} samples of an experience are more than {MOST_FRESH}; "
            "use a smaller --fresh or other --methods"
        )
    arguments |= {"seed": one.seed, "fresh": fresh, "classes": classes}
    state = str(one.state) if one.state else None
    return {"experiences": plan, "epochs": epochs, "learner": arguments, "state": state}


def _joint_epochs(plan: list[list[int]], protocol: ClassIncremental) -> int:
    """Epochs over all samples that make as many minibatches as learning with replay does."""
    replay = protocol.learner.get("replay", 0)
    seen, samples = 0, 0
    for rows in plan:
        samples += len(rows) + min(replay, seen)
        seen += len(rows)
    return max(1, round(protocol.epochs * samples / seen))


def _epochs(one: Run, plan: list[list[int]], protocol: ClassIncremental) -> int:
    if one.method in baselines.BASELINES:
        return len(plan)
    return _joint_epochs(plan, protocol) if one.method == "joint" else protocol.epochs * len(plan)
