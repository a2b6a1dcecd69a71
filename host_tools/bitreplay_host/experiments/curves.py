"""The accuracy of methods over the classes seen, as a table and as a plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..tables import table
from .class_incremental import TITLES

COLORS = {
    "naive": "#999999",
    "cwr": "#D55E00",
    "replay_head": "#56B4E9",
    "replay_deep": "#0072B2",
    "joint": "#333333",
    "ncm": "#009E73",
    "nearest": "#E69F00",
    "slda": "#CC79A7",
}
STYLES = "-", ":", "-.", (0, (8, 2)), (0, (1, 4))


def accuracy_table(curves: Mapping[str, Sequence[float]], classes: Sequence[int]) -> str:
    """Accuracy (percent) of each method over the number of classes seen; joint has the last column only."""
    rows = []
    for method, curve in curves.items():
        blanks = [""] * (len(classes) - len(curve))
        rows.append([TITLES[method], *blanks, *map(float, curve)])
    return table(["classes seen", *map(str, classes)], rows)


def plot(path: Path, curves: Mapping[str, Sequence[float]], classes: Sequence[int], title: str) -> None:
    """Accuracy over classes seen as a PNG, each curve named at its end.

    The keys of curves are methods, with more words where there are several curves of one method.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.8), layout="constrained")
    ends, drawn = [], dict.fromkeys(COLORS, 0)
    for name, curve in curves.items():
        method = name.split()[0]
        color, style = COLORS[method], STYLES[drawn[method] % len(STYLES)]
        drawn[method] += 1
        if len(curve) == 1:
            axes.plot(classes[-1:], curve, color=color, linestyle=style, marker="*", markersize=12, clip_on=False)
        else:
            axes.plot(
                classes,
                curve,
                color=color,
                linestyle=style,
                marker="o",
                markersize=4,
                linewidth=2.4 if method == "replay_deep" else 1.6,
            )
        ends.append((curve[-1], name))
    low, high = 0, 100
    gap, last = (high - low) * 0.045, -1e9
    for value, name in sorted(ends):
        method, *words = name.split()
        last = max(value, last + gap)
        axes.annotate(
            f"{' '.join([TITLES[method], *words])}  {value:.1f}",
            (classes[-1], last),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            color=COLORS[method],
            annotation_clip=False,
        )
    axes.set(
        title=title,
        xlabel="classes seen",
        ylabel="test accuracy on the classes seen (%)",
        ylim=(low, high),
        xticks=classes,
    )
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)
