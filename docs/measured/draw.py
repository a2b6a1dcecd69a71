"""Draws docs/depth.png from what was measured: docs/measured/draw.py [FILE]."""

import functools
import json
import statistics
import sys
from pathlib import Path

from bitreplay_host.experiments.class_incremental import TITLES
from bitreplay_host.experiments.curves import COLORS

HERE = Path(__file__).resolve().parent
WORLDS = {  # of the study
    "fsdd": "spoken digits",
    "quickdraw": "QuickDraw",
    "fashion": "Fashion-MNIST",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
}
DRAWN = [("replay_deep", "all"), ("replay_head", "head"), ("nearest", "head"), ("slda", "head")]


@functools.cache
def study(dataset):
    """{(images a class, KB of replay memory or 0): {(method, train): finals}}"""
    found = {}
    for path in sorted((HERE / "study").glob(f"{dataset}-*.json")):
        for run in json.loads(path.read_text())["runs"]:
            size = run["replay_bytes"]
            key = run["fresh"], size and (1 << size.bit_length()) // 1024
            found.setdefault(key, {}).setdefault((run["method"], run["train"]), []).append(run["final"])
    return found


def largest(found, column):
    """{images a class: finals} of a method at the most bytes of replay memory."""
    return {images: values[column] for (images, _), values in sorted(found.items()) if column in values}


def draw(axes, method, points):
    """points: {x: finals}. A single point is moved aside, as those of other methods may be as high."""
    aside = 1.12 ** ([name for name, _ in DRAWN].index(method) - 1.5) if len(points) == 1 else 1
    xs = sorted(points)
    means, stds = zip(*((statistics.mean(points[x]), statistics.stdev(points[x])) for x in xs), strict=True)
    wide = 2.4 if method == "replay_deep" else 1.4
    at = [x * aside for x in xs]
    axes.errorbar(at, means, stds, color=COLORS[method], label=TITLES[method], linewidth=wide, marker="o", capsize=3)


def finish(axes, title, x, ticks, names):
    axes.set(title=title, xlabel=x, ylim=(0, 100), xscale="log")
    if len(ticks) == 1:
        axes.set_xlim(ticks[0] / 3, ticks[0] * 3)
    axes.set_xticks(ticks, names)
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def main(out):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(2, 3, figsize=(11, 6.4), layout="constrained", sharey=True)
    panels = panels.ravel()
    for method, name in ("replay_deep", "digits-bytes"), ("replay_head", "digits-bytes-head"):
        points = {}
        for run in json.loads((HERE / f"{name}.json").read_text())["runs"]:
            points.setdefault(run["memory"]["replay"], []).append(run["final"])
        draw(panels[0], method, points)
    ticks = [2**n for n in range(16, 19)]
    finish(panels[0], "spoken digits, 100 images a class", "KB of replay memory", ticks, [n // 1024 for n in ticks])
    for axes, (dataset, title) in zip(panels[1:], WORLDS.items(), strict=True):
        found = study(dataset)
        for method, train in DRAWN:
            draw(axes, method, largest(found, (method, train)))
        ticks = sorted({images for images, _ in found})
        finish(axes, title, "images a class", ticks, ticks)
    for row in panels[0], panels[3]:
        row.set_ylabel("final accuracy (%)")
    lines, names = panels[1].get_legend_handles_labels()
    figure.legend(lines, names, loc="outside upper center", ncols=len(names), frameon=False)
    figure.savefig(out, dpi=110)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else HERE.parent / "depth.png")
