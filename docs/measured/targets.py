"""Of figures.py: the targets of training deeper, what was reached, and whether that meets them."""

import statistics

from draw import study
from on_boards import both, deepest, final, measured


def verdict(*met):
    return "met" if all(met) else "**not met**"


def spread(finals):
    return f"{statistics.mean(finals):.1f} ± {statistics.stdev(finals):.1f}"


def gains(dataset, images, size):
    """By how much depth gains in joint training, and in experiences with so many KB."""
    found = study(dataset)
    values = found[images, 0] | found[images, size]
    pairs = ("joint", "joint"), ("replay_deep", "replay_head")
    return [statistics.mean(values[deep, "all"]) - statistics.mean(values[head, "head"]) for deep, head in pairs]


def within_a_point(first, second):
    """Two variants side by side, and whether the first is at most a point below the second."""
    gap = first["mean"] - second["mean"]
    return f"{both(first)} against {both(second)}", verdict(gap >= -1) + (
        f": {gap:.1f} points higher" if gap > 1 else ""
    )


def depth_targets():
    digits = study("fsdd")
    four, sixteen = (final("digits-bits", "replay_deep", q_b=q_b) for q_b in (4, 16))
    deep = digits[100, 128]["replay_deep", "all"]
    gain, mean = gains("fsdd", 100, 128)[1], statistics.mean(deep)
    all_seeds = f"{four['mean']:.1f} ± {four['std']:.1f} %"
    yield [
        "spoken digits, 100 images, 128 KB: deep >= 78 %, and >= 12 points above the head",
        f"**{spread(deep)} %** over seeds 1 to 3, {all_seeds} over seeds 1 to 8; **{gain:+.1f}** points",
        verdict(mean >= 78, gain >= 12),
    ]
    deep = digits[100, 256]["replay_deep", "all"]
    yield ["256 KB: >= 83 %", f"**{spread(deep)} %**", verdict(statistics.mean(deep) >= 83)]
    joint, gain = gains("quickdraw", 80, 256)
    yield [
        "QuickDraw, 256 KB: deep >= head + 4 jointly, + 2 in experiences",
        f"**{joint:+.1f}**, **{gain:+.1f}**",
        verdict(joint >= 4, gain >= 2),
    ]
    joint, gain = gains("fashion", 100, 256)
    yield ["Fashion-MNIST, 256 KB: the same", f"**{joint:+.1f}**, **{gain:+.1f}**", verdict(joint >= 4, gain >= 2)]
    joint, gain = gains("cifar10", 500, 512)
    yield ["CIFAR-10, 512 KB: deep >= head + 3", f"**{gain:+.1f}**; jointly **{joint:+.1f}**", verdict(gain >= 3)]
    text, reached = within_a_point(
        *(final("drawings-float32", "replay_deep", arithmetic=a) for a in ("integer", "float32"))
    )
    yield ["integers within 1 point of float32, three layers trained (QuickDraw, 128 KB)", text, reached]
    text, reached = within_a_point(four, sixteen)
    yield ["gradients of 4 bits within 1 point of 16 bits (spoken digits)", f"{text}, eight seeds", reached]
    deep, head = final("digits-small", "replay_deep")["mean"], final("digits-small-head")["mean"]
    left = deepest(measured("pico-deep"))["heap_free"] / 1024
    yield [
        "`small_8x8` on a Pico, 64 KB of latents: >= 8 points above the head of `small`, >= 24 KB of heap left",
        f"{deep:.1f} against {head:.1f} %: **{deep - head:+.1f}**; {left:.1f} KB, and 2 KB that are kept for a save",
        f"the accuracy: {verdict(deep - head >= 8)}; the heap: {verdict(left >= 24)} ([Pico](pico.md))",
    ]
