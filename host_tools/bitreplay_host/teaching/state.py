"""A learner's state file: read, told, changed by the learner's own methods, tested."""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path
from typing import Any

import bitreplay
import numpy as np
from bitreplay import safetensors
from bitreplay.state import FORMAT
from tqdm import tqdm

from .. import models, paths
from ..errors import UserError, as_user_error, printable
from ..onboard.teacher import Teacher
from ..tables import table


def model_of(path: Path, model: Path | None) -> Path:
    """The model that a learner in a file is on: the one that is named, or the shipped one. UserError if it is none."""
    if not path.is_file():
        raise UserError(f"{path}: there is no such file; name what `bitreplay teach` or me.save() wrote")
    with as_user_error():
        metadata, _ = safetensors.scan(str(path))
    if metadata.get("format") != FORMAT:
        raise UserError(f"{path} is not the state of a learner; name what `bitreplay teach` or me.save() wrote")
    if model:
        return model
    digest = metadata.get("model", "")
    for shipped in paths.shipped_models():
        if hashlib.sha256(shipped.read_bytes()).hexdigest() == digest:
            return shipped
    raise UserError(f"{path} is on a model that is not shipped (sha256 {digest[:8]}...): name its file with --model")


def load(path: Path, model: Path, classes: int | None = None) -> bitreplay.Learner:
    """The learner in a file. classes: that it has room for, if it is to grow."""
    net = models.load(model)
    with as_user_error():
        return bitreplay.Learner.load(net, path, **({} if classes is None else {"classes": classes}))


def content(path: Path) -> bytes | None:
    """What is in a file; None if there is none."""
    return path.read_bytes() if path.exists() else None


def write(me: bitreplay.Learner, path: Path, before: bytes | None) -> None:
    """Writes a learner to a file. UserError if that does not have the content `before` any more."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "state"
        me.save(file)
        if content(path) != before:
            raise UserError(f"{path} was changed meanwhile and is left as it is; nothing was written: run this again")
        paths.replace(path, file.read_bytes())


def describe(me: bitreplay.Learner, path: Path) -> str:
    """What is in it."""
    config, counts, memory = me.config | {"train": me.config["train"] or "head"}, me.counts(), me.memory()
    fresh, replayed = (sum(count[i] for count in counts.values()) for i in (0, 1))
    settings = ", ".join(f"{name}={config[name]}" for name in sorted(config))
    text = f"{path}: {path.stat().st_size} bytes, a learner on {me.net.name} (sha256 {me.net.digest[:16]})\n"
    text += f"settings: {settings}\n"
    text += f"{me.experiences} experience{'s' * (me.experiences != 1)}; digest {me.digest()[:16]}; "
    text += f"on a board {memory['total'] - memory['activations']} bytes of RAM beside the model\n"
    text += f"{len(me.labels)} classes of {config['classes']}, {fresh} fresh samples of {config['fresh']}, "
    text += f"{replayed} replayed of {config['replay']}\n\n"
    rows = [[_shown(label, me), *numbers] for label, numbers in counts.items()]
    return text + table(["class", "fresh", "replayed", "learned, every time counted"], rows)


def _shown(label: str | int, me: bitreplay.Learner) -> str:
    """A label for people; quoted where an integer looks like it."""
    return repr(label) if isinstance(label, str) and _number(label, me) is not None else printable(str(label))


def _number(text: str, me: bitreplay.Learner) -> int | None:
    return next((label for label in me.labels if isinstance(label, int) and str(label) == text), None)


def find(me: bitreplay.Learner, text: str) -> str | int:
    """The label that a user means. UserError if there is none, or if there are 5 and "5"."""
    number = _number(text, me)
    if number is None and text not in me.labels:
        known = ", ".join(str(label) for label in me.labels[:10]) + (", ..." if len(me.labels) > 10 else "")
        raise UserError(f"there is no class {text!r}; the learner has {known or 'none'}")
    if number is not None and text in me.labels:
        raise UserError(f"there are two classes {text}, an integer and a string: change them in Python")
    return text if number is None else number


def rename(me: bitreplay.Learner, change: str) -> None:
    """Does OLD=NEW. An = may be part of a label."""
    cuts = [i for i, c in enumerate(change) if c == "="]
    if not cuts:
        raise UserError(f"--rename {change}: write it as OLD=NEW")
    known = {str(label) for label in me.labels}
    cut = next((i for i in cuts if change[:i] in known), cuts[0])
    with as_user_error():
        me.rename(find(me, change[:cut]), change[cut + 1 :])


def forget(me: bitreplay.Learner, text: str) -> None:
    """Forgets a class."""
    me.forget(find(me, text))


def merge(me: bitreplay.Learner, path: Path, epochs: int) -> int:
    """Teaches it the samples that the learner in another file keeps, on the same model; returns how many.

    Those that it has already, with this label, are left out. UserError if there are no others, or no room for their
    classes.
    """
    if not path.is_file():
        raise UserError(f"{path}: there is no such file; --merge takes the state of another learner")
    with as_user_error():
        other = bitreplay.Learner.load(me.net, path)
    there = set(samples(me))
    new = [sample for sample in dict.fromkeys(samples(other)) if sample not in there]
    if not new:
        raise UserError(f"{path} keeps no sample that the learner does not have: there is nothing to merge")
    labels = me.labels + [
        label for label in other.labels if label not in me.labels and any(s[1] == label for s in new)
    ]
    if len(labels) > me.config["classes"]:
        raise UserError(f"together they have {len(labels)} classes: make room for them by --classes {len(labels)}")
    # In random order, as a replay memory may have classes one after the other.
    order = np.random.default_rng(1).permutation(len(new))
    with as_user_error():
        teacher = _Quiet(me, epochs)
        for i in tqdm(order, desc="merging", unit="sample", disable=None, leave=False):
            teacher.sample, label = new[i]
            teacher.see(label)
        teacher.learn()
    return len(new)


class _Quiet(Teacher):
    """Says nothing of its progress."""

    def _progress(self, epoch, epochs, right):
        pass


def samples(me: Any) -> list[tuple[bytes, str | int]]:
    """(latent, label) of all that it keeps."""
    kept = [(samples, i) for samples in (me.replay, me.fresh) for i in range(samples.n)]
    return [(bytes(samples.latent(i)), me.labels[samples.classes[i]]) for samples, i in kept]


def test(me: bitreplay.Learner, images: np.ndarray, labels: np.ndarray, names: list[str]) -> np.ndarray:
    """(expected, predicted): two rows of numbers of the learner's labels, a column for each image."""
    unknown = [name for name in names if name not in me.labels and _number(name, me) is None]
    if unknown:
        raise UserError(f"the learner has no class {unknown[0]!r}: --rename one, or leave that folder out")
    if not me.experiences:
        print("nothing was learned yet: predictions are those of the most similar sample", file=sys.stderr)
    numbers = [me.labels.index(find(me, name)) for name in names]
    shown = tqdm(images, desc="predicting", unit="image", disable=None, leave=False)
    with as_user_error():
        predicted = [me.labels.index(me.predict(image)[0]) for image in shown]
    return np.array([[numbers[label] for label in labels], predicted])
