"""A learner taught labelled images: on the unix port, from latents that are computed here."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import bitreplay
import numpy as np
from bitreplay.checks import check_epochs
from tqdm import tqdm

from .. import models
from ..datasets.labelled import Labelled
from ..device import unix_port
from ..errors import UserError, as_user_error
from ..experiments.latents import Places, of_file
from . import state

MOST_CLASSES = 255  # of a learner


@dataclass(frozen=True)
class Lesson:
    """What is taught to whom.

    state: of a learner that goes on, or None. settings: keyword arguments of Learner, or of Learner.load(). epochs:
    of each learn(). rows: of data.images, those that are learned, in this order.
    """

    model: Path
    state: Path | None
    settings: dict
    epochs: int
    data: Labelled
    rows: np.ndarray

    @property
    def tested(self) -> np.ndarray:
        return np.flatnonzero(self.data.held)

    def samples(self, kept: np.ndarray) -> Iterable[tuple[bytes, str]]:
        """(sample, label), in order. kept: what is shown for each image, a row each."""
        return ((kept[row].tobytes(), self.data.names[self.data.labels[row]]) for row in self.rows)


def prepare(model: Path, state: Path | None, settings: dict, epochs: int, data: Labelled, seed: int) -> Lesson:
    """A Lesson that shows all images that are not held back, drawn by the seed.

    A learner has room for all of their labels. UserError for settings, or a state, that cannot be.
    """
    net = models.load(model)
    with as_user_error():
        check_epochs(epochs)
        known = bitreplay.Learner.load(net, state, **settings).labels if state else []
    # As a folder is named: a string, but for a learner that knows it as a number.
    numbers = {str(label): label for label in known if isinstance(label, int)}
    names: list[Any] = [name if name in known else numbers.get(name, name) for name in data.names]
    data = replace(data, names=names)
    labels = known + [name for name in data.names if name not in known]
    if not 2 <= len(labels) <= MOST_CLASSES:
        what = "a second class is missing: add a folder" if len(labels) < 2 else "leave some out"
        raise UserError(f"{len(labels)} class{'es' * (len(labels) != 1)}, but a learner has 2..{MOST_CLASSES}; {what}")
    with as_user_error():
        if state:
            room = bitreplay.Learner.load(net, state, **settings).config["classes"]
            grown = {"classes": len(labels)} if len(labels) > room else {}
        else:
            grown = {"classes": max(10, len(labels)), "seed": seed}
            bitreplay.Learner(net, **(settings | grown))
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(~data.held))
    return Lesson(model, state, settings | grown, epochs, data, rows)


def without_known(lesson: Lesson, kept: np.ndarray) -> Lesson:
    """The lesson without samples that the learner keeps already, under the same label; in a test under any.

    UserError if none is new.
    """
    if not lesson.state:
        return lesson
    known = set(state.samples(state.load(lesson.state, lesson.model)))
    data, latents = lesson.data, {latent for latent, _ in known}
    held = np.array([held and kept[row].tobytes() not in latents for row, held in enumerate(data.held)])
    if taught := int(data.held.sum() - held.sum()):
        print(f"{taught} of the held back {data.what} were taught before, and do not count in the test")
    new = [(kept[row].tobytes(), lesson.data.names[lesson.data.labels[row]]) not in known for row in lesson.rows]
    if not any(new):
        raise UserError(f"{lesson.state} keeps all {len(new)} samples already: there is nothing to add")
    if not all(new):
        print(f"{len(new) - sum(new)} of the samples to learn are in {lesson.state} already, and left out")
    return replace(lesson, rows=lesson.rows[new], data=replace(data, held=held))


def latents(lesson: Lesson, places: Places) -> np.ndarray:
    """Of all images, a row each; computed on the unix port, and kept in the cache."""
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "images.npy"
        np.save(images, np.ascontiguousarray(lesson.data.images))
        count = len(lesson.data.images)
        file = of_file(lesson.model, images, "taught", range(count), places)
        return np.fromfile(file, np.uint8).reshape(count, -1)


def teach(lesson: Lesson, kept: np.ndarray, micropython: Path) -> tuple[dict, bytes]:
    """Teaches it on the unix port; returns {"labels", "predicted", "digest", "seconds"}, and its state.

    kept: latents(). predicted: of the images that are held back, numbers of labels.
    """
    with tempfile.TemporaryDirectory() as name:
        folder, result = Path(name), {}
        configuration = {
            "model": str(lesson.model),
            "state": str(lesson.state) if lesson.state else None,
            "learner": lesson.settings,
            "epochs": lesson.epochs,
            "labels": lesson.data.names,
            "train": _files(folder, "train", lesson, kept, lesson.rows),
            "test": _files(folder, "test", lesson, kept, lesson.tested),
            "save": str(folder / "state"),
        }
        with Progress(lesson) as progress:
            for message in unix_port.run("teach_labelled.py", configuration, micropython, folder):
                if "epoch" in message:
                    progress.epoch(message)
                result = message
        return result, (folder / "state").read_bytes()


def _files(folder: Path, name: str, lesson: Lesson, kept: np.ndarray, rows: np.ndarray) -> dict:
    """What the script takes: the latents and the classes of these rows."""
    files = {"latents": kept[rows], "classes": lesson.data.labels[rows].astype(np.uint8)}
    for part, array in files.items():
        (folder / f"{name}.{part}").write_bytes(array.tobytes())
    return {part: str(folder / f"{name}.{part}") for part in files}


class Progress:
    """A bar of epochs, and a line for each learn()."""

    def __init__(self, lesson: Lesson, where: str = ""):
        self.where = where
        self.bar = tqdm(desc=f"learning{where}", unit="epoch", disable=None, leave=False)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exception) -> None:
        self.bar.close()

    def epoch(self, message: dict) -> None:
        """What a Teacher printed."""
        self.bar.update()
        if message["epoch"] == message["epochs"]:
            right = f"{message['right']:.1f} % of the last epoch's samples right"
            self.bar.write(f"experience {message['experience']}{self.where}: {right}")
