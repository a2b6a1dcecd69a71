"""Golden vectors: calls of every kernel with synthetic arguments and what the NumPy reference answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import reference
from ..onboard import kernel_arguments

KERNELS = list(reference.KERNELS)


@dataclass
class Call:
    """One call: arguments by name (arrays or ints); `expected` is the arrays afterwards, `returned` the result."""

    kernel: str
    arguments: dict[str, np.ndarray | int]
    expected: dict[str, np.ndarray]
    returned: int | None


def calls(seed: int, repeats: int = 4) -> Iterator[Call]:
    """A few calls of each kernel: random arguments, every other time with extreme values."""
    maker = _Maker(np.random.default_rng(seed))
    for kernel in KERNELS:
        for repeat in range(repeats):
            maker.number, maker.extreme = repeat, repeat % 2 == 1
            arguments = maker.arguments(kernel)
            after = {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in arguments.items()}
            returned = getattr(reference, kernel)(**after)
            arrays = {k: v for k, v in after.items() if isinstance(v, np.ndarray) and k != "scratch"}
            yield Call(kernel, arguments, arrays, returned)


# What settings are, and the ranges of buffers, where the range that is valid would show little.
USUAL: dict[str, dict[str, tuple[int, ...]]] = {
    "conv2d": {"shift": (1, 8, 15, 24)},
    "bconv2d": {"shift": (1, 8, 15, 24)},
    "bconv2d_masks": {"shift": (1, 8, 15, 24)},
    "bconv2d_sign": {"threshold": (-40, 40)},
    "random": {"n": (1, 10, 65536)},
    "gather_rows": {"numbers": (0, 6)},
    "softmax": {"z": (-4000, 4000), "label": (-1, 2)},
    "head_backward": {"e": (-8000, 8000)},
    "head_update": {"e": (-16384, 16384), "exponent": (-20, -3, 4), "momentum": (0, 3), "decay": (0, 9)},
    "head_quantize": {"q_f": (2, 4, 8)},
    "head_add": {"factor": (-32767, -9, 1, 32)},
    "consolidate": {"mean": (-900, 31), "alpha": (0, 20000, 32768)},
    "update_weights": {
        "weight": (-127, 127),
        "dw": (-90000, 90000),
        "mantissa": (1, 9, 15),
        "exponent": (-31, -12, 0, 8),
    },
    "gradient_add": {"exponents": (-20, 20)},
    "expand_backward": {"exponents": (-20, 20)},
    "bconv2d_dx": {"shift": (1, 8, 24)},
    "bconv2d_dw": {"shifts": (0, 9), "weight": (-127, 127), "mantissa": (9,), "exponent": (-43, -38)},
}


# A binary convolution that a Cortex-M0+ does by tables, and how much scratch it takes.
TABLES, TABLES_WORDS = (4, 4, 64, 32, 3, 1, 1, 1, 1, 0, 1), 2432
ACTIVE = np.array([1, 0, 1, 1, 1] * 16, np.uint8)


class _Maker:
    """Arguments of one call of each kernel, of shapes that are small enough for a board.

    Outputs hold noise: what was there before must not matter.
    """

    def __init__(self, rng: np.random.Generator):
        self.rng = rng
        self.number, self.extreme = 0, False

    def arguments(self, kernel: str) -> dict[str, Any]:
        describe: Any = kernel_arguments.KERNELS[kernel]
        described = describe(*SHAPES[kernel](self))
        usual = USUAL.get(kernel, {})

        def number(name, low, high):
            return self.one(*usual.get(name, (low, high)))

        def content(argument):
            if argument.name == "active":
                return ACTIVE[: argument.count]
            low, high = usual.get(argument.name, (argument.low, argument.high))
            return self.array(argument.typecode, argument.count, low, high)

        values = kernel_arguments.values(described, number, content)
        found = {a.name: v if a.role == "scalar" else np.array(v) for a, v in zip(described, values, strict=True)}
        if kernel in ("bconv2d", "bconv2d_sign"):  # most boards have no memory for more
            found["scratch"] = found["scratch"][: TABLES_WORDS if tuple(found["geometry"]) == TABLES else 9]
        return found

    def array(self, dtype, count, low, high):
        if self.extreme:
            return self.rng.choice(np.array([low, high], dtype), count)
        return self.rng.integers(low, high, count, dtype, endpoint=True)

    def one(self, *choices):
        return int(self.rng.choice(choices))

    def binary(self, cout, words):
        """A binary convolution with so many words of input channels in a group."""
        height, width, groups = (self.one(*v) for v in ((3, 4), (2, 5), (1, 2)))
        return height, width, 32 * words * groups, cout, *self.sides(), groups

    def sides(self):
        """Kernels, strides and paddings; in every other pair of calls the same vertically and horizontally."""
        kernel, stride = self.one(1, 3, 3), self.one(1, 2)
        other, step = kernel, stride
        if self.number % 4 > 1:
            other, step = self.one(*((1, 2) if kernel == 3 else (2, 5))), self.one(1, 2)
        return kernel, other, stride, step, kernel // 2, other // 2

    def bconv2d(self):
        # The loops over words are special for some lengths, and windows of more than 72 are read row by row.
        words = (1, 2, 4, 8, 3, 10)[self.number % 6]
        if words == 2:
            return (TABLES,)
        return (self.binary(6 if words == 10 else self.one(6, 32), words),)

    def nearest(self):
        # Words are compared in blocks of 18, the first of which may lack some, and in C up to 124 at a time.
        words = self.one(2, 5, 17, 18, 19, 130)
        return words, 30 if words == 130 else 70

    def pool(self):
        size_h, size_w = self.one(1, 2, 4), self.one(1, 2, 4)
        return ((2 * size_h, 3 * size_w, 5, size_h, size_w, self.one(1, size_w)),)

    def pool_bits(self):
        height, width, _, *sizes, _ = self.pool()[0]
        return ((height, width, 64, *sizes, 1),)

    def bconv2d_dx(self):
        return self.binary(64, 1), self.one(2, 4, 8)

    def bconv2d_dw(self):
        return self.binary(32, self.one(1, 2)), self.one(1, 4), self.one(1, 3, 5), self.one(2, 4, 8)


SHAPES: dict[str, Callable[[_Maker], tuple[Any, ...]]] = {
    "conv2d": lambda m: ((m.one(4, 7), m.one(5, 6), 3, m.one(5, 32), *m.sides(), 1),),
    "bconv2d": _Maker.bconv2d,
    "bconv2d_masks": lambda m: (m.binary(32, (1, 2, 4, 8, 3)[m.number % 5]),),
    "bconv2d_sign": lambda m: (TABLES if m.number == 1 else m.binary(32, (1, 2, 4, 8, 3)[m.number % 5]),),
    "binarize": lambda m: (5, 64),
    "near_threshold": lambda m: (5, 64),
    "expand": lambda m: (3, 64),
    "global_avg_pool": lambda m: (m.one(3, 7, 16, 49), 5),
    "avg_pool": _Maker.pool,
    "max_pool": _Maker.pool,
    "max_pool_bits": _Maker.pool_bits,
    "dense": lambda m: (33, 3),
    "nearest": _Maker.nearest,
    "logmel": lambda m: (m.one(64, 52), ((0, 3), (2, 4), (9, 18), (26, 1))),
    "logmel_image": lambda m: (5, m.one(3, 8), m.one(1, 3)),
    "random": lambda m: (),
    "draw_balanced": lambda m: (20, m.one(1, 3, 20), 40),
    "gather_rows": lambda m: (9, m.one(4, 7), 3, m.one(1, 12)),
    "softmax": lambda m: (80,),  # many, so that they find a constant of the exponential that is wrong by one
    "head_backward": lambda m: (5, 7, m.one(16, 32), m.one(1, 4)),
    "head_update": lambda m: (4, 3, 11, m.one(16, 32)),
    "head_quantize": lambda m: (3, 8, m.one(16, 32)),
    "head_begin": lambda m: (3, 8, m.one(16, 32)),
    "head_add": lambda m: (11, m.one(16, 32)),
    "head_sum": lambda m: (40, m.one(16, 32)),
    "consolidate": lambda m: (30, m.one(16, 32)),
    "transpose": lambda m: (64, 3),
    "dot_tables": lambda m: (m.one(1, 2, 5), 9),
    "dot_signs": lambda m: (64, 2),
    "update_weights": lambda m: (64,),
    "avg_pool_backward": _Maker.pool,
    "gradient_mask": lambda m: (3,),
    "gradient_add": lambda m: (3, 64),
    "expand_backward": lambda m: (2, 64),
    "gradient_record": lambda m: (m.one(5, 30), 64, m.one(1, 3, 20), 64),
    "bconv2d_dx": _Maker.bconv2d_dx,
    "bconv2d_dw": _Maker.bconv2d_dw,
}
