"""The accuracy of methods over the classes seen, as a table and as a plot; and over settings."""

from __future__ import annotations

import math
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
    "replay_int8": "#8C564B",
    "replay_float32": "#BCA400",
}
BARS = "; bars: standard deviation"
MANY = 20  # points, above which not each is marked
STYLES = "-", ":", "-.", (0, (8, 2)), (0, (1, 4))


def accuracy_table(curves: Mapping[str, Sequence[float]], classes: Sequence[int]) -> str:
    """Accuracy (percent) of each method over the number of classes seen; joint has the last column only."""
    rows = []
    for method, curve in curves.items():
        blanks = [""] * (len(classes) - len(curve))
        rows.append([TITLES[method], *blanks, *map(float, curve)])
    return table(["classes seen", *map(str, classes)], rows)


def plot(
    path: Path,
    curves: Mapping[str, Sequence[float]],
    classes: Sequence[int],
    title: str,
    spreads: Mapping[str, Sequence[float]] | None = None,
) -> None:
    """Accuracy over classes seen as a PNG, each curve named at its end; over experiences if known classes come again.

    The keys of curves are methods, with more words where there are several curves of one method. spreads: for some of
    them the standard deviation at each point, drawn as bars.
    """
    again = len(set(classes)) < len(classes)
    xs = list(range(1, len(classes) + 1)) if again else list(classes)
    figure, axes = _figure()
    step = (xs[-1] - xs[0]) / len(xs)
    ends = {}
    for i, (name, curve, (color, style)) in enumerate(zip(curves, curves.values(), _looks(curves), strict=True)):
        at = [x + step * _aside(i, len(curves)) for x in xs[-len(curve) :]] if spreads else xs[-len(curve) :]
        if len(curve) == 1:
            axes.plot(at, curve, color=color, linestyle=style, marker="*", markersize=12, clip_on=False)
        else:
            wide, size = (2.4 if name.split()[0] == "replay_deep" else 1.6), (4 if len(xs) <= MANY else 0)
            axes.plot(at, curve, color=color, linestyle=style, marker="o", markersize=size, linewidth=wide)
        if spreads and name in spreads:
            _bars(axes, at, curve, spreads[name], color)
        ends[name] = at[-1], curve[-1]
    _finish(axes, ends, (0, 100), title + (BARS if spreads else ""), "experience" if again else "classes seen")
    axes.set_ylabel("test accuracy on the classes seen (%)")
    axes.set_xticks(xs[:: -(-len(xs) // MANY)])
    _save(figure, path)


def over(
    path: Path,
    lines: Mapping[str, Sequence[tuple[float, float, float | None]]],
    flat: Mapping[str, tuple[float, float | None]],
    title: str,
    x: str,
) -> None:
    """Final accuracy over a setting, x, as a PNG with bars of one standard deviation.

    lines: named as in plot(), points (x, mean, standard deviation or None) of each. flat: the same of what does not
    depend on the setting.
    """
    figure, axes = _figure()
    xs = sorted({point[0] for points in lines.values() for point in points})
    whole = {name: sorted(points) for name, points in lines.items()}
    whole |= {name: [(at, *value) for at in (xs[0], xs[-1])] for name, value in flat.items()}
    step = math.log(xs[-1] / xs[0]) / len(xs) / 4
    ends = {}
    for i, (name, points, (color, style)) in enumerate(zip(whole, whole.values(), _looks(whole), strict=True)):
        at, means, stds = zip(*points, strict=True)
        if name in flat:
            axes.plot(at, means, color=color, linestyle="--")
            at, means, stds = at[-1:], means[-1:], stds[-1:]
        moved = [place * math.exp(step * _aside(i, len(whole))) for place in at]
        if name in lines:
            axes.plot(moved, means, color=color, linestyle=style, marker="o", markersize=4)
        if None not in stds:
            _bars(axes, moved, means, stds, color)
        ends[name] = moved[-1], means[-1]
    values = [mean + side * (std or 0) for points in whole.values() for _, mean, std in points for side in (-1, 1)]
    margin = max(1.0, 0.08 * (max(values) - min(values)))
    limits = max(0.0, min(values) - margin), min(100.0, max(values) + margin)
    barred = any(std is not None for points in whole.values() for *_, std in points)
    _finish(axes, ends, limits, title + (BARS if barred else "; one seed"), x)
    axes.set(ylabel="final test accuracy (%)", xscale="log")
    ticks: list[float] = xs[:1]
    for place in xs:
        if math.log(place / ticks[-1]) > 0.1 * math.log(xs[-1] / xs[0]):  # else their numbers would overlap
            ticks.append(place)
    axes.set_xticks(ticks, [f"{place:,}" for place in ticks])
    axes.minorticks_off()
    _save(figure, path)


def _figure():
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(8, 4.8), layout="constrained")


def _looks(names):
    """(colour, line style) of each: a colour for each method."""
    drawn = dict.fromkeys(COLORS, 0)
    for name in names:
        method = name.split()[0]
        yield COLORS[method], STYLES[drawn[method] % len(STYLES)]
        drawn[method] += 1


def _aside(i, count):
    """How far the i-th line is moved aside, of the way between two points, so that bars can be told apart."""
    return (i - (count - 1) / 2) * min(0.05, 0.5 / count)


def _bars(axes, at, means, stds, color):
    every = -(-len(at) // MANY)
    axes.errorbar(at, means, stds, fmt="none", ecolor=color, capsize=2, elinewidth=1, errorevery=every)


def _finish(axes, ends, limits, title, xlabel):
    """Names the lines right of their ends, (x, y): a thin line joins a name and its end, as names move apart."""
    names = sorted(ends, key=lambda name: ends[name][1])
    gap = (limits[1] - limits[0]) * 0.045
    for name, place in zip(names, _places([ends[name][1] for name in names], gap, limits[0]), strict=True):
        method, *words = name.split()
        axes.annotate(
            f"{' '.join([TITLES[method], *words])}  {ends[name][1]:.1f}",
            ends[name],
            xytext=(1.02, place),
            textcoords=axes.get_yaxis_transform(),
            va="center",
            color=COLORS[method],
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": COLORS[method], "linewidth": 0.8, "shrinkA": 1, "shrinkB": 4},
        )
    axes.set(title=title, xlabel=xlabel, ylim=limits)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def _places(values, gap, low):
    """Where names of sorted values go, a gap apart and not below low: those that would overlap, around their mean."""
    groups = []  # (middle, how many)
    for value in values:
        groups.append((max(value, low), 1))
        while len(groups) > 1 and groups[-1][0] - groups[-2][0] < gap * (groups[-1][1] + groups[-2][1]) / 2:
            (b, m), (a, n) = groups.pop(), groups.pop()
            groups.append((max((a * n + b * m) / (n + m), low + gap * (n + m - 1) / 2), n + m))
    return [middle + gap * (i - (n - 1) / 2) for middle, n in groups for i in range(n)]


def _save(figure, path):
    import matplotlib.pyplot as plt

    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)
