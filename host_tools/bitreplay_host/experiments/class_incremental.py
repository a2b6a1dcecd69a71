"""Class-incremental protocols, run by MicroPython's unix port on real images."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import bitreplay
import numpy as np
from tqdm import tqdm

from . import data, float_learner, unix_port
from .errors import UserError

MOST_FRESH = 32768  # of a learner

METHODS: dict[str, dict] = {
    "naive": {"replay": 0, "cwr": False, "conv": True},
    "cwr": {"replay": 0, "cwr": True, "conv": False},
    "replay_head": {"conv": False},
    "replay_conv": {},
    "joint": {"replay": 0},
}
TITLES = {
    "naive": "naive fine-tuning",
    "cwr": "CWR* alone",
    "replay_head": "replay + head",
    "replay_conv": "replay + head + conv",
    "joint": "joint (upper bound)",
}


@dataclass(frozen=True)
class Protocol:
    """What is learned in which order.

    first, step: classes of the first and of each further experience. samples: fresh images a class (0: all).
    test: test images a class (0: all). epochs: of every experience; joint training takes as many minibatches as
    `replay_conv` does in all.
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
        if min(self.samples, self.test) < 0 or self.epochs < 1:
            raise UserError("--samples and --test must be at least 0 and --epochs at least 1")
        if seed < 1:
            raise UserError("--seeds must be at least 1")
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


def latents(
    model: Path, dataset: str, split: str, rows: Sequence[int], settings: Settings, classify: bool = False
) -> Path:
    """Packed latents of some images, in order, or the pretrained head's classes as bytes; kept in the cache."""
    images, _ = data.paths(dataset, split, settings.data)
    chosen = np.load(images, mmap_mode="r")
    net = bitreplay.load(model)
    if chosen.shape[1:] != net.image_shape:
        raise UserError(f"{model} takes images of shape {net.image_shape}, but {dataset} has {chosen.shape[1:]}")
    if classify and not net.labels:
        raise UserError(f"{model}: the model has no pretrained head, whose classes could be told")
    key = hashlib.sha256(model.read_bytes() + chosen[list(rows)].tobytes()).hexdigest()[:16]
    out = settings.cache / f"{split}-{key}.{'classes' if classify else 'latents'}"
    if out.exists():
        return out
    settings.cache.mkdir(parents=True, exist_ok=True)
    jobs = os.cpu_count() or 1
    parts = [list(map(int, part)) for part in np.array_split(np.asarray(rows), jobs)]
    with (
        tempfile.TemporaryDirectory(dir=settings.cache) as directory,
        tqdm(total=len(rows), desc=f"{split} images through the backbone", unit="image", disable=None) as bar,
    ):

        def work(index: int, _) -> bytes:
            part = Path(directory) / f"part{index}"
            inputs = {"model": str(model), "images": str(images), "rows": parts[index]}
            configuration = inputs | {"out": str(part), "classify": classify}
            done = 0
            for message in unix_port.run("latents.py", configuration, settings.micropython, Path(directory)):
                bar.update(message["done"] - done)
                done = message["done"]
            return part.read_bytes()

        whole = Path(directory) / "whole"
        whole.write_bytes(b"".join(unix_port.in_parallel(work, range(jobs))))
        whole.replace(out)
    return out


@dataclass(frozen=True)
class Settings:
    """Where things are: the unix port, the datasets, a cache for latents."""

    micropython: Path = Path("build/unix/micropython")
    data: Path = Path("build/data")
    cache: Path = Path("build/cache")


def add_paths(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that Settings takes."""
    parser.add_argument("--micropython", type=Path, default=Settings.micropython, help="default: %(default)s")
    parser.add_argument("--data", type=Path, default=Settings.data, help="of the datasets (default: %(default)s)")
    parser.add_argument("--cache", type=Path, default=Settings.cache, help="for latents (default: %(default)s)")


@dataclass(frozen=True)
class Run:
    """One learner to train: a method's name, a seed, overriding learner arguments, and where to save its state.

    arithmetic: "integer", on the unix port, or "float32", on the host (float_learner.py).
    """

    method: str
    seed: int = 1
    learner: dict = field(default_factory=dict)
    state: Path | None = None
    arithmetic: str = "integer"

    @property
    def name(self) -> str:
        return f"{TITLES[self.method]}, seed {self.seed}"


def run(model: Path, protocol: Protocol, runs: Sequence[Run], settings: Settings, quiet: bool = False) -> list[dict]:
    """Train and test learners, as many at a time as there are cores; quiet: without a word on each experience.

    Returns for each run {"classes": [how many were seen after each experience], "curve": [percent right of their test
    images]} and what else onboard/protocol.py reports: "digest", "memory": {...}, "heap": {...}.
    """
    _, train_labels = data.load(protocol.dataset, "train", settings.data)
    _, test_labels = data.load(protocol.dataset, "test", settings.data)
    classes = np.unique(train_labels)
    plans = {seed: protocol.experiences(train_labels, seed) for seed in {r.seed for r in runs}}
    net = bitreplay.load(model)
    for one in (r for r in runs if r.seed == runs[0].seed):  # refuses what cannot be before the long part
        bitreplay.Learner(net, **_configuration(one, plans[one.seed], protocol, len(classes))["learner"])
    used = np.unique(np.concatenate([rows for plan in plans.values() for rows in plan]))
    tested = np.arange(len(test_labels))
    if protocol.test:
        tested = np.sort(np.concatenate([np.flatnonzero(test_labels == c)[: protocol.test] for c in classes]))
    train_latents = latents(model, protocol.dataset, "train", used.tolist(), settings)
    test_latents = latents(model, protocol.dataset, "test", tested.tolist(), settings)
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=settings.cache)))
        (directory / "train").write_bytes(train_labels[used].astype(np.uint8).tobytes())
        (directory / "test").write_bytes(test_labels[tested].astype(np.uint8).tobytes())
        epochs_in_all = sum(_epochs(r, plans[r.seed], protocol) for r in runs)
        bar = stack.enter_context(tqdm(total=epochs_in_all, desc="learning", unit="epoch", disable=None))

        inputs = {
            "model": str(model),
            "train": {"latents": str(train_latents), "classes": str(directory / "train")},
            "test": {"latents": str(test_latents), "classes": str(directory / "test")},
            "labels": data.class_names(protocol.dataset),
        }

        def work(one: Run, stop: threading.Event) -> dict:
            plan = [np.searchsorted(used, rows).tolist() for rows in plans[one.seed]]
            configuration = inputs | _configuration(one, plan, protocol, len(classes))
            seen = {"classes": protocol.seen(len(classes))[-len(configuration["experiences"]) :]}
            if one.arithmetic == "float32":
                return seen | float_learner.run(configuration, bar.update, stop)
            result: dict = {}
            for message in unix_port.run("protocol.py", configuration, settings.micropython, directory):
                if "epoch" in message:
                    bar.update()
                elif "accuracy" in message and one.method != "joint" and not quiet:
                    bar.write(f"{one.name}: {message['classes']} classes, {message['accuracy']:.1f} %")
                result = message
            return seen | result

        return unix_port.in_parallel(work, runs)


def _configuration(one: Run, plan: list[list[int]], protocol: Protocol, classes: int) -> dict:
    """What onboard/protocol.py is told about one run, beside its inputs."""
    if one.method == "joint":
        epochs, plan = _joint_epochs(plan, protocol), [sum(plan, [])]
    else:
        epochs = protocol.epochs
    arguments: dict = protocol.learner | METHODS[one.method] | one.learner
    fresh = max(map(len, plan))
    if fresh > MOST_FRESH:
        raise UserError(
            f"{TITLES[one.method]}: {fresh} samples of an experience are more than {MOST_FRESH}; "
            "use fewer --samples or other --methods"
        )
    arguments |= {"seed": one.seed, "fresh": fresh, "classes": classes}
    state = str(one.state) if one.state else None
    return {"experiences": plan, "epochs": epochs, "learner": arguments, "state": state}


def _joint_epochs(plan: list[list[int]], protocol: Protocol) -> int:
    """Epochs over all samples that make as many minibatches as learning with replay does."""
    replay = protocol.learner.get("replay", 0)
    seen, samples = 0, 0
    for rows in plan:
        samples += len(rows) + min(replay, seen)
        seen += len(rows)
    return max(1, round(protocol.epochs * samples / seen))


def _epochs(one: Run, plan: list[list[int]], protocol: Protocol) -> int:
    return _joint_epochs(plan, protocol) if one.method == "joint" else protocol.epochs * len(plan)
