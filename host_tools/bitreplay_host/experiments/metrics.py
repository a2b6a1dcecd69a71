"""Metrics of continual learning, as Avalanche (avalanche-lib) defines them, from what was right after each experience.

Accuracy is over all test images of the classes seen so far: Avalanche's on trained experiences. Forgetting is its
stream forgetting: for the classes of an experience, how much lower the accuracy is at the end than it was after they
were first learned; the mean over the experiences before the last. Backward transfer is the same with the other sign.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

METRICS = "average", "forgetting", "backward_transfer"


def groups(experiences: Sequence[Sequence[int]]) -> list[tuple[list[int], int]]:
    """The classes of each experience, and its number from 0; classes that come again together are there once."""
    first: dict[tuple[int, ...], int] = {}
    for number, classes in enumerate(experiences):
        first.setdefault(tuple(sorted(set(classes))), number)
    return [(list(classes), number) for classes, number in first.items()]


def summary(
    right: Sequence[Sequence[int]], tested: Sequence[int], experiences: Sequence[Sequence[int]]
) -> dict[str, list]:
    """What was right after each experience, in percent.

    right: of each class after each experience. tested: test images of each class. experiences: the classes of each.
    Returns {"classes": [how many were seen so far], "curve": [of the test images of these], "groups": [the classes of
    each of groups()], "matrix": [[of the test images of each group so far]]}.
    """

    def percent(row, classes):
        return 100 * sum(row[c] for c in classes) / sum(tested[c] for c in classes)

    seen = [sorted(set(itertools.chain(*experiences[: n + 1]))) for n in range(len(experiences))]
    columns = groups(experiences)
    return {
        "classes": [len(classes) for classes in seen],
        "curve": [percent(row, classes) for row, classes in zip(right, seen, strict=True)],
        "groups": [classes for classes, _ in columns],
        "matrix": [[percent(row, classes) for classes, first in columns if first <= n] for n, row in enumerate(right)],
    }


def of(curve: Sequence[float], matrix: Sequence[Sequence[float]]) -> dict[str, float | None]:
    """METRICS, in percent, of what summary() says; average is that of the curve. None if nothing came later."""
    began = [row[len(before) :] for before, row in zip([[], *matrix], matrix, strict=False)]
    first = [value for values in began[:-1] for value in values]
    lost = float(np.mean(np.subtract(first, matrix[-1][: len(first)]))) if first else None
    return {
        "average": float(np.mean(curve)),
        "forgetting": lost,
        "backward_transfer": None if lost is None else -lost,
    }
