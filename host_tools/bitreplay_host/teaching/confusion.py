"""What a learner took for what: as a table, and as a plot."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..tables import table

LONGEST = 24  # characters of a name in the plot
MOST = 20  # classes, above which there is no table, and no numbers in the plot


def matrix(expected: np.ndarray, predicted: np.ndarray, count: int) -> np.ndarray:
    """How many of each class (rows) were taken for each (columns). expected, predicted: numbers below count."""
    found = np.zeros((count, count), int)
    np.add.at(found, (expected, predicted), 1)
    return found


def accuracy(found: np.ndarray) -> str:
    """What is right, for people."""
    right, total = int(np.trace(found)), int(found.sum())
    return f"{100 * right / total:.1f} % ({right} of {total})"


def describe(found: np.ndarray, names: Sequence[str]) -> str:
    """The matrix as a table: a row for each class that was tested; with many classes only the most frequent errors."""
    columns = _shown(found, names)
    if len(columns) > MOST:
        return _errors(found, names)
    rows: list[list[object]] = []
    for number, c in enumerate(columns):
        total = int(found[c].sum())
        right = 100 * int(found[c, c]) / total if total else "not tested"
        rows.append([f"{number + 1} {names[c]}", *(int(n) or "" for n in found[c, columns]), right])
    return table(["it is, and was taken for", *map(str, range(1, len(columns) + 1)), "right, %"], rows)


def _shown(found: np.ndarray, names: Sequence[str]) -> list[int]:
    """Classes that were tested, or that others were taken for, by name."""
    there = [c for c in range(len(names)) if found[c].any() or found[:, c].any()]
    return sorted(there, key=lambda c: names[c])


def _errors(found: np.ndarray, names: Sequence[str]) -> str:
    wrong = found - np.diag(np.diag(found))
    pairs = [divmod(int(place), len(names)) for place in np.argsort(-wrong, axis=None, kind="stable")[:MOST]]
    rows = [[names[a], names[b], int(wrong[a, b])] for a, b in pairs if wrong[a, b]]
    return table(["it is", "was taken for", "times"], rows)


def _short(name: str) -> str:
    """A name that leaves room for the rest."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 3]}..."


def plot(path: Path, found: np.ndarray, names: Sequence[str]) -> None:
    """The matrix as a PNG: the darker, the larger a share of its row; with numbers where there is room."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    shown = _shown(found, names)
    counts, labels = found[np.ix_(shown, shown)], [_short(names[c]) for c in shown]
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    side = min(14.0, 3.2 + 0.42 * len(shown))
    figure, axes = plt.subplots(figsize=(side, side), layout="constrained")
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    size = 9 if len(shown) <= MOST else max(3.5, 9 * MOST / len(shown))
    for ticks, turn in ((axes.set_xticks, 90), (axes.set_yticks, 0)):
        # Nothing in a name is an instruction to matplotlib.
        ticks(range(len(shown)), labels, rotation=turn, fontsize=size, parse_math=False)
    if len(shown) <= MOST:
        for (y, x), n in np.ndenumerate(counts):
            if n:
                color = "white" if shares[y, x] > 0.5 else "black"
                axes.text(x, y, str(n), ha="center", va="center", fontsize=8, color=color)
    axes.set(xlabel="was taken for", ylabel="it is")
    axes.set_title(f"{accuracy(found)} right", fontsize=10)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of characters that the font lacks
        figure.savefig(path, dpi=120, format="png")
    plt.close(figure)
