"""Protocols as data: which classes come in which experience. Named ones, and a user's own JSON file.

A protocol is an object with "dataset", and "first" and "step" (classes of the first and of each further experience) or
"experiences" (the classes of each, by name or number). It may have "order" ("seed": the seed draws which class is
which; "given"), "base" (a dataset: learners start with the classes of the model's pretrained head, which are those of
this dataset), and the defaults of --fresh, --test and --epochs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ..datasets import registry
from ..datasets.core50 import BATCHES
from ..errors import UserError

ORDERS = "given", "seed"


def _split(dataset: str, first: int, step: int) -> dict:
    return {"dataset": dataset, "first": first, "step": step, "order": "seed"}


def _listed(dataset: str, batches: str) -> dict:
    """CORe50's own lists; all images of a batch, as published."""
    return {"dataset": dataset, "batches": batches, "fresh": 0}


NAMED: dict[str, dict] = {
    "cifar10-2+8x1": _split("cifar10", 2, 1),
    "cifar10-5x2": _split("cifar10", 2, 2),
    "cifar100-10x10": _split("cifar100", 10, 10),
    "cifar100-50+10x5": _split("cifar100", 50, 5),
    "fashion-2+8x1": _split("fashion", 2, 1),
    "fashion-5x2": _split("fashion", 2, 2),
    "quickdraw-4x10": _split("quickdraw", 10, 10),
    "head+cifar10": _split("cifar10", 2, 1) | {"base": "cifar100"},
    "digits-2+8x1": _split("fsdd", 2, 1),
    "digits-5x2": _split("fsdd", 2, 2),
    **{f"core50-{kind.replace('_', '-')}": _listed("core50", kind) for kind in BATCHES},
    **{f"core50-{kind.replace('_', '-')}-10": _listed("core50_categories", kind) for kind in BATCHES},
}
NUMBERS = "first", "step", "fresh", "test", "epochs"


def load(name: str) -> dict:
    """The protocol of this name, or in a file of this name, checked; classes as numbers. UserError."""
    if name in NAMED:
        return NAMED[name]
    path = Path(name)
    if path.suffix != ".json":
        raise UserError(f"--protocol: there is no {name}; choose a file that ends in .json, or {', '.join(NAMED)}")
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as JSON ({error})") from None
    return _checked(path, found)


def _checked(path: Path, found: object) -> dict:
    def fail(text: str) -> None:
        raise UserError(f"{path}: {text}")

    if not isinstance(found, dict):
        raise UserError(f'{path}: must be an object, such as {{"dataset": "cifar10", "experiences": [[0, 1], [2]]}}')
    known = {"dataset", "base", "experiences", "order", *NUMBERS}
    if unknown := set(found) - known:
        fail(f"{sorted(unknown)[0]}: is no field of a protocol; those are {', '.join(sorted(known))}")
    if found.get("dataset") not in registry.DATASETS:
        fail(f"dataset: must be one of {', '.join(registry.DATASETS)}")
    if found.get("base", "cifar100") not in registry.DATASETS:
        fail(f"base: must be one of {', '.join(registry.DATASETS)}, that with the classes of the model's head")
    if found.get("order", "given") not in ORDERS:
        fail(f"order: must be one of {', '.join(ORDERS)}")
    for field in NUMBERS:
        if field in found and type(found[field]) is not int:
            fail(f"{field}: must be a whole number")
    if "experiences" not in found:
        return found
    if {"first", "step"} & set(found):
        fail("experiences: cannot be with first or step; remove one of them")
    return found | {"experiences": _classes(path, found["experiences"], registry.class_names(found["dataset"]))}


def _classes(path: Path, experiences: object, names: Sequence[str]) -> list[list[int]]:
    """The classes of each experience as numbers."""
    wanted = "experiences: must be a list of lists of classes, with at least one in each"
    if not isinstance(experiences, list) or not experiences:
        raise UserError(f"{path}: {wanted}")
    numbers = []
    for number, classes in enumerate(experiences, 1):
        if not isinstance(classes, list) or not classes:
            raise UserError(f"{path}: {wanted}")
        for c in classes:
            if not (c in names if isinstance(c, str) else type(c) is int and 0 <= c < len(names)):
                raise UserError(
                    f"{path}: experiences: {c!r} in experience {number} is no class; name one, or give a number of "
                    f"0..{len(names) - 1}"
                )
        numbers.append([names.index(c) if isinstance(c, str) else c for c in classes])
        if len(set(numbers[-1])) < len(classes):
            raise UserError(f"{path}: experiences: experience {number} has a class twice; remove one")
    return numbers
