"""Class-incremental learning, run by MicroPython's unix port on real images."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import tempfile
import threading
from collections import Counter
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
from . import baselines, float_learner, metrics, start
from .cells import Cells, code, digest
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
    "replay_int8": {},
    "replay_float32": {},
}
BITS = {"replay_int8": 8, "replay_float32": 32}  # of a value of the latents that are kept; of others 1
DEEP = "replay_deep", "joint"  # train what --train says; the others the head, or nothing
LEARNERS = [method for method in METHODS if method not in baselines.BASELINES and method not in BITS]
TITLES = {
    "naive": "naive fine-tuning",
    "cwr": "CWR* alone",
    "replay_head": "replay + head",
    "replay_deep": "replay + deep",
    "joint": "joint (upper bound)",
    "ncm": "nearest class mean",
    "nearest": "nearest replayed latent",
    "slda": "streaming LDA",
    "replay_int8": "replay of int8 latents",
    "replay_float32": "replay of float32 latents",
}


@dataclass(frozen=True)
class ClassIncremental:
    """What is learned in which order.

    first, step: classes of the first and of each further experience. samples: fresh images a class (0: all); a class
    that comes again has others each time, as many. test: test images a class (0: all). epochs: of every experience;
    joint training takes as many minibatches as learning with replay does in all. order: of the classes, "given", or
    drawn by the "seed". Instead of first and step: groups, the classes of each experience; or batches, a name of the
    dataset's lists (registry.batches), of which seed 1 takes the first run. base: a dataset, whose classes learners
    start with, from the model's pretrained head.
    """

    dataset: str = "cifar10"
    first: int = 2
    step: int = 1
    samples: int = 500
    test: int = 0
    epochs: int = 4
    learner: dict = field(default_factory=lambda: {"replay": 1000})
    order: str = "given"
    groups: Sequence[Sequence[int]] | None = None
    batches: str | None = None
    base: str | None = None

    def settings(self) -> dict:
        """The fields that count, for results.json."""
        unused = {"first", "step"} if self.groups or self.batches else set()
        unused |= {"order"} if self.order == "given" else set()
        return {name: value for name, value in vars(self).items() if name not in unused and value is not None}

    def experiences(self, labels: np.ndarray, seed: int, data: Path | None = None) -> list[list[int]]:
        """Rows of the training set for each experience; samples are drawn by the seed, and classes if it says so.

        data: the folder of the datasets, for batches.
        """
        if min(self.samples, self.test) < 0 or not 1 <= self.epochs <= MAX_EPOCHS:
            raise UserError(f"--fresh and --test must be at least 0 and --epochs 1..{MAX_EPOCHS}")
        if not 1 <= seed < 2**32:
            raise UserError("--seeds must be 1..4294967295")
        rng = np.random.default_rng(seed)
        if self.batches:
            assert data
            return self._listed(registry.batches(self.dataset, self.batches, data), labels, seed, rng)
        numbers = np.unique(labels)
        groups = self._groups(numbers, seed)
        times = Counter(itertools.chain(*groups))
        # Of each class the images of each time that it comes.
        images = {}
        for c in numbers.tolist():
            parts = np.array_split(rng.permutation(np.flatnonzero(labels == c)), max(1, times[c]))
            if not len(parts[-1]):
                raise UserError(
                    f"--protocol: class {c} comes {times[c]} times, but has fewer images; let it come less"
                )
            images[c] = [part[: self.samples or None] for part in parts]
        return [rng.permutation(np.concatenate([images[c].pop(0) for c in group])).tolist() for group in groups]

    def _listed(self, runs: np.ndarray, labels: np.ndarray, seed: int, rng: np.random.Generator) -> list[list[int]]:
        run = runs[(seed - 1) % len(runs)]
        found = []
        for number in range(run.max() + 1):
            rows = rng.permutation(np.flatnonzero(run == number))
            if self.samples:
                rows = np.concatenate([rows[labels[rows] == c][: self.samples] for c in np.unique(labels[rows])])
            found.append(rng.permutation(rows).tolist())
        return found

    def _groups(self, numbers: np.ndarray, seed: int) -> list[list[int]]:
        """The classes of each experience."""
        classes, count = numbers.tolist(), len(numbers)
        if self.groups:
            groups = [list(group) for group in self.groups]
            if missing := set(itertools.chain(*groups)) - set(classes):
                raise UserError(f"--protocol: class {min(missing)} of {self.dataset} has no images; leave it out")
        else:
            if not (1 <= self.first <= count and self.step >= 1):
                raise UserError(f"--first must be 1..{count} and --step at least 1")
            seen = self.seen(count)
            groups = [classes[start:end] for start, end in zip([0, *seen], seen, strict=False)]
        if self.order == "given":
            return groups
        drawn = np.random.default_rng([seed, 1]).permutation(numbers).tolist()  # another stream than the samples'
        becomes = dict(zip(classes, drawn, strict=True))
        return [[becomes[c] for c in group] for group in groups]

    def seen(self, count: int) -> list[int]:
        """How many classes were seen after each experience, of `count` in all, without groups."""
        return [*range(self.first, count, self.step), count]

    def used(self, data: Path) -> dict[str, int]:
        """{"fresh", "test"}: images a class that there are of those asked for. data: the folder of the datasets."""
        train, test = (np.load(registry.files(self.dataset, split, data)[1]) for split in ("train", "test"))
        fresh = max(int(np.bincount(train[rows]).max()) for rows in self.experiences(train, 1, data))
        there = int(np.bincount(test).max())
        return {"fresh": fresh, "test": min(self.test or there, there)}


@dataclass(frozen=True)
class Run:
    """One learner to train: a method's name, a seed, overriding learner arguments, and where to save its state.

    arithmetic: "integer", on the unix port, or "float32", on the host (float_learner.py); a baseline's is always
    NumPy's (baselines.py). differs: what tells it from other learners of its method, in progress.
    """

    method: str
    seed: int = 1
    learner: dict = field(default_factory=dict)
    state: Path | None = None
    arithmetic: str = "integer"
    differs: str = ""

    @property
    def name(self) -> str:
        return ", ".join(filter(None, [TITLES[self.method], self.differs, f"seed {self.seed}"]))

    @property
    def key(self) -> str:
        """What is another for another learner."""
        return json.dumps([self.method, self.seed, self.learner, self.arithmetic])


def run(
    model: Path,
    protocol: ClassIncremental,
    runs: Sequence[Run],
    places: Places,
    quiet: bool = False,
    cells: Cells | None = None,
) -> list[dict]:
    """Train and test learners, as many at a time as there are cores; quiet: without a word on each experience.

    Returns for each run {"classes": [how many were seen after each experience], "curve", "groups" and "matrix"
    (metrics.py)} and what else onboard/learn_classes.py reports: "digest", "memory": {...}, "heap": {...}. A baseline
    has "memory": {"total": bytes} only. With a base its classes are the first experience, in which nothing is learned,
    and there is what start.beside() tells. cells: where results are kept as they come; what is there isn't made again.
    """
    study = _Study(model, protocol, runs, places)
    study.latents(runs)
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=places.cache)))
        study.write_classes(directory)
        study.write_starts(directory, runs)
        total = sum(_epochs(r, study.plans[r.seed], protocol) for r in runs)
        bar = stack.enter_context(tqdm(total=total, desc="learning", unit="epoch", disable=None))
        alike = study.alike() if cells else {}

        def work(one: Run, stop: threading.Event) -> dict:
            kept = cells if one.state is None else None  # a state is no result, and must be written
            settings = alike | study.settings(one) if kept else {}
            result = kept.find(settings) if kept else None
            if result is not None:
                bar.update(_epochs(one, study.plans[one.seed], protocol))
                return result
            result = study.learn(one, directory, bar, quiet, stop)
            if kept:
                kept.keep(settings, result)
            return result

        return unix_port.in_parallel(work, runs)


class _Study:
    """What the learners of run() share. Making one refuses what cannot be, before the long part."""

    def __init__(self, model: Path, protocol: ClassIncremental, runs: Sequence[Run], places: Places):
        self.model, self.protocol, self.places, self.net = model, protocol, places, models.load(model)
        names = registry.class_names(protocol.dataset)
        self.base = start.Base(model, protocol.base, places, names)
        if protocol.base and (no := [r for r in runs if r.method not in start.METHODS or r.arithmetic != "integer"]):
            raise UserError(
                f"--methods: {no[0].method}, {no[0].arithmetic}, cannot start with a model's classes; choose of "
                f"{', '.join(start.METHODS)}, in integers"
            )
        self.names = [*self.base.names, *names]
        self.labels, test_labels = (
            np.load(registry.files(protocol.dataset, split, places.data)[1]) for split in ("train", "test")
        )
        classes = np.unique(self.labels)
        if missing := set(classes.tolist()) - set(test_labels.tolist()):
            raise UserError(f"{protocol.dataset}: class {min(missing)} has no test images; add some to its test set")
        self.count = self.base.count + int(classes.max()) + 1
        self.plans = {s: protocol.experiences(self.labels, s, places.data) for s in {r.seed for r in runs}}
        for one in (r for r in runs if r.seed == runs[0].seed):
            with as_user_error():
                _kind(one)(self.net, **_configuration(one, self.plans[one.seed], protocol, self.count)["learner"])
        self.used = np.unique(np.concatenate([rows for plan in self.plans.values() for rows in plan]))
        self.tested = np.arange(len(test_labels))
        if protocol.test:
            chosen = [np.flatnonzero(test_labels == c)[: protocol.test] for c in classes]
            self.tested = np.sort(np.concatenate(chosen))
        self.test_labels = test_labels[self.tested]
        self.features = baselines.Features(self.net)

    def latents(self, runs: Sequence[Run]) -> None:
        """Computes those of all images that are used."""
        rows = {"train": self.used.tolist(), "test": self.tested.tolist()}
        self.files = {
            (split, kind): str(latents(self.model, self.protocol.dataset, split, chosen, self.places, kind=kind))
            for kind in sorted({_latents_of(one) for one in runs})
            for split, chosen in rows.items()
        }
        self.base_latents, base = self.base.tested(self.protocol.test)
        self.test_classes = np.concatenate([base, self.test_labels + self.base.count])
        self.counts = np.bincount(self.test_classes, minlength=len(self.names)).tolist()

    def write_classes(self, directory: Path) -> None:
        """A byte for each latent; and the test latents of a base before the others."""
        self.classes = {"train": directory / "train", "test": directory / "test"}
        for split, classes in (("train", self.labels[self.used] + self.base.count), ("test", self.test_classes)):
            self.classes[split].write_bytes(classes.astype(np.uint8).tobytes())
        if self.protocol.base:
            tested = directory / "tested"
            tested.write_bytes(self.base_latents + Path(self.files["test", "latents"]).read_bytes())
            self.files["test", "latents"] = str(tested)

    def write_starts(self, directory: Path, runs: Sequence[Run]) -> None:
        """What each learner starts with, if there is a base: its file and digest."""
        self.starts: dict[str, tuple[str, str]] = {}
        for number, one in enumerate(runs if self.protocol.base else ()):
            told = _configuration(one, self.plans[one.seed], self.protocol, self.count)["learner"]
            path = directory / f"start{number}"
            with as_user_error():
                self.starts[one.key] = str(path), self.base.write(told, path)

    def _inputs(self, one: Run) -> dict:
        found: dict = {"model": str(self.model), "labels": self.names}
        for split, file in self.classes.items():
            found[split] = {"latents": self.files[split, _latents_of(one)], "classes": str(file)}
        return found

    def learn(self, one: Run, directory: Path, bar: tqdm, quiet: bool, stop: threading.Event) -> dict:
        """What run() returns of one learner."""
        plan = [np.searchsorted(self.used, rows).tolist() for rows in self.plans[one.seed]]
        configuration = self._inputs(one) | _configuration(one, plan, self.protocol, self.count)
        if self.protocol.base:
            configuration["start"] = self.starts[one.key][0]
        if one.method in baselines.BASELINES:
            result = baselines.run(one.method, configuration, self.features, bar.update, stop)
        elif issubclass(kind := _kind(one), float_learner.FloatLearner):
            result = float_learner.run(configuration, bar.update, stop, kind)
        else:
            told = None if quiet or one.method == "joint" else f"{self.protocol.dataset}: {one.name}"
            result = _on_the_unix_port(told, configuration, self.places, directory, bar)
        count, right = self.base.count, result.pop("right")
        experiences = [(np.unique(self.labels[self.used[r]]) + count).tolist() for r in configuration["experiences"]]
        if not count:
            return metrics.summary(right, self.counts, experiences) | result
        result |= start.beside(right, self.counts, count)
        return metrics.summary(right, self.counts, [list(range(count)), *experiences]) | result

    def alike(self) -> dict:
        """What results follow from, of all learners."""
        dataset, data = self.protocol.dataset, self.places.data
        files = [path for split in ("train", "test") for path in registry.files(dataset, split, data)]
        files += registry.files(self.protocol.base, "test", data) if self.protocol.base else []
        return {
            "dataset": dataset,
            "dataset_sha256": digest(files),
            "test": self.protocol.test,
            "model": self.net.name,
            "model_sha256": self.net.digest,
            "micropython_sha256": digest([self.places.micropython]),
            "code_sha256": code(),
        }

    def settings(self, one: Run) -> dict:
        """What else one's follows from: the samples in their order, and how they are learned."""
        told = _configuration(one, self.plans[one.seed], self.protocol, self.count)
        rows = hashlib.sha256(json.dumps(told["experiences"]).encode()).hexdigest()
        settings = {"method": one.method, "arithmetic": one.arithmetic, "seed": one.seed}
        settings |= {"start": self.starts[one.key][1]} if self.protocol.base else {}
        return settings | {"epochs": told["epochs"], "learner": told["learner"], "experiences_sha256": rows}


def latent_size(method: str, latent_bytes: int) -> int:
    """Bytes that a method's latent takes in the replay memory, with its label."""
    return latent_bytes * BITS.get(method, 1) + 1


def _latents_of(one: Run) -> str:
    """What kind of latents() one keeps."""
    return "streams" if one.method in BITS else "latents"


def _kind(one: Run) -> type[bitreplay.Learner]:
    if one.method in BITS:
        return float_learner.StreamLearner
    return float_learner.FloatLearner if one.arithmetic == "float32" else bitreplay.Learner


def _on_the_unix_port(told: str | None, configuration: dict, places: Places, directory: Path, bar: tqdm) -> dict:
    """What onboard/learn_classes.py reports at the end, and "right", of each class after each experience.

    told: what begins a line after each experience; None for no lines.
    """
    right, result = [], {}
    for message in unix_port.run("learn_classes.py", configuration, places.micropython, directory):
        if "epoch" in message:
            bar.update()
        elif "right" in message:
            right.append(message["right"])
            if told:
                bar.write(f"{told}: {message['classes']} classes, {message['accuracy']:.1f} %")
        else:
            result = message
    return {"right": right} | result


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
    return {"experiences": plan, "epochs": epochs, "learner": arguments, "start": None, "state": state}


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
