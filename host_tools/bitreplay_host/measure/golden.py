"""Golden vectors: calls of every kernel with made arguments and what the NumPy reference answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from inspect import signature

import numpy as np

from .. import reference

KERNELS = list(reference.__all__)


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
            positional = getattr(maker, kernel)()
            names = signature(getattr(reference, kernel)).parameters
            arguments = dict(zip(names, positional, strict=True))
            after = {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in arguments.items()}
            returned = getattr(reference, kernel)(**after)
            arrays = {k: v for k, v in after.items() if isinstance(v, np.ndarray) and k != "scratch"}
            yield Call(kernel, arguments, arrays, returned)


class _Maker:
    """Arguments of one call of each kernel, as docs/numbers.md states them; a method a kernel.

    Outputs hold noise: what was there before must not matter. The buffers of a call are small enough for a board.
    """

    def __init__(self, rng: np.random.Generator):
        self.rng = rng
        self.number, self.extreme = 0, False

    def array(self, dtype, count, low=None, high=None):
        info = np.iinfo(dtype)
        low, high = info.min if low is None else low, info.max if high is None else high
        if self.extreme:
            return self.rng.choice(np.array([low, high], dtype), count)
        return self.rng.integers(low, high, count, dtype, endpoint=True)

    def one(self, *choices):
        return int(self.rng.choice(choices))

    def state(self):
        return self.array(np.uint32, 1, 1)

    def affine(self, cout):
        return self.array(np.int16, 2 * cout), self.array(np.int32, cout), self.one(1, 8, 15, 24)

    def conv2d(self):
        height, width, cin, cout, stride = self.one(4, 7), self.one(5, 6), 3, self.one(5, 32), self.one(1, 2)
        geometry = np.array([height, width, cin, cout, 3, stride, 1, 1], np.uint16)
        pixels, weights = self.array(np.uint8, height * width * cin), self.array(np.int8, cout * 9 * cin)
        size = ((height - 1) // stride + 1) * ((width - 1) // stride + 1) * cout
        return geometry, pixels, weights, *self.affine(cout), self.array(np.int8, size)

    def _binary(self, cout, words):
        height, width, groups, kernel, stride = (self.one(*v) for v in ((3, 4), (2, 5), (1, 2), (1, 3, 3), (1, 2)))
        cin = 32 * words * groups
        geometry = np.array([height, width, cin, cout, kernel, stride, kernel // 2, groups], np.uint16)
        x = self.array(np.uint32, height * width * cin // 32)
        weight = self.array(np.uint32, cout * kernel * kernel * words)
        return geometry, x, weight, ((height - 1) // stride + 1) * ((width - 1) // stride + 1)

    def bconv2d(self):
        # The loops over words are special for some lengths, and windows of more than 72 are read row by row.
        words = (1, 2, 4, 8, 3, 10)[self.number % 6]
        cout = 6 if words == 10 else self.one(6, 32)
        *first, pixels = self._binary(cout, words)
        return *first, *self.affine(cout), self.array(np.int8, pixels * cout)

    def bconv2d_sign(self):
        *first, pixels = self._binary(32, (1, 2, 4, 8, 3)[self.number % 5])
        threshold, flip = self.array(np.int16, 32, -40, 40), self.array(np.uint32, 1)
        return *first, threshold, flip, self.array(np.uint32, pixels)

    def binarize(self):
        return self.array(np.int8, 5 * 64), self.array(np.int8, 64), self.array(np.uint32, 10)

    def expand(self):
        return self.array(np.uint32, 6), self.one(1, 16, 127), self.array(np.int8, 192)

    def _pool(self):
        size = self.one(1, 2, 4)
        repeat = self.one(1, size)
        shape = np.array([2 * size, size, 5, size, repeat], np.uint16)
        return shape, self.array(np.int8, 10 * size * size), self.array(np.int8, 10 * repeat)

    avg_pool = max_pool = _pool

    def add(self):
        return self.array(np.int8, 70), self.array(np.int8, 70)

    def dense(self):
        return (
            self.array(np.int8, 33),
            self.array(np.int8, 99),
            self.array(np.int8, 3, -16, 6),
            self.array(np.int32, 3),
        )

    def random(self):
        return self.state(), self.one(1, 10, 65536)

    def softmax(self):
        # Many, so that they find a constant of the exponential that is wrong by one.
        active = np.array([1, 0, 1, 1, 1] * 16, np.uint8)
        return self.array(np.int32, 80, -4000, 4000), active, self.one(-1, 2), self.array(np.int16, 80)

    def _master(self, count, bits):
        return self.array({16: np.int16, 32: np.int32}[bits], count)

    def head_backward(self):
        bits = self.one(16, 32)
        e, df = self.array(np.int16, 20, -8000, 8000), self.array(np.int16, 4)
        return e, self._master(35, bits), bits, self.one(0, 6), df

    def head_update(self):
        bits = self.one(16, 32)
        active = np.array([1, 0, 1], np.uint8)
        hyper = np.array([bits, self.one(1, 15), self.one(-20, -3, 4), self.one(0, 3), self.one(0, 9)], np.int8)
        first = self.array(np.int16, 4 * 3, -16384, 16384), self.array(np.int8, 4 * 11)
        return *first, active, self._master(33, bits), self._master(33, bits), hyper, self.state()

    def head_quantize(self):
        bits = self.one(16, 32)
        return self._master(24, bits), bits, self.one(2, 4, 8), self.array(np.int8, 24), self.array(np.int8, 3)

    def head_sum(self):
        bits = self.one(16, 32)
        return self._master(40, bits), bits

    def consolidate(self):
        bits = self.one(16, 32)
        return self.array(np.int16, 30), self._master(30, bits), bits, self.one(-900, 31), self.one(0, 20000, 32768)

    def transpose(self):
        return self.array(np.uint32, 64 * 3), 3, self.array(np.uint32, 64 * 3)

    def quantize_gradient(self):
        bits = self.one(2, 4, 16)
        limit = self.one(3, 50000, 2**31 - 1)
        g = self.array(np.int32, 64, -limit, limit)
        return g, bits, self.one(0, 1), self.array(np.uint32, 2 * bits), self.state()

    def dot_planes(self):
        bits = self.one(2, 4, 8, 16)
        words = self.one(1, 4, 17, 18, 19, 32)
        return self.array(np.uint32, bits * words), bits, self.array(np.uint32, 9 * words), self.array(np.int32, 9)

    def dot_signs(self):
        return self.array(np.int16, 64), self.array(np.uint32, 64 * 2), self.array(np.int32, 64)

    def update_weights(self):
        dw = self.array(np.int32, 64, -90000, 90000)
        weight, packed = self.array(np.int8, 64, -127), self.array(np.uint32, 2)
        return weight, dw, self.one(1, 9, 15), self.one(-31, -12, 0, 8), packed, self.state()

    def bconv_backward(self):
        groups, samples, classes = self.one(1, 2), self.one(8, 32), 3
        bits, head_bits = self.one(2, 4, 8), self.one(16, 32)
        channels, positions = 32 * groups, samples * 4
        geometry = np.array([2, 2, channels, channels, 1, 1, 0, groups], np.uint16)
        x = self.array(np.uint32, positions * groups)
        xt = np.zeros_like(x)
        reference.transpose(x, groups, xt)
        e, head = self.array(np.int16, samples * classes, -16384, 16384), self._master(classes * channels, head_bits)
        weight = self.array(np.int8, channels * 32, -127)
        packed = np.packbits(weight >= 0, bitorder="little").view(np.uint32)
        slope, bias = self.array(np.int16, 2 * channels, 100, 900), self.array(np.int32, channels, -9000, 9000)
        hyper = np.array([8, 16, bits, self.one(0, 1), 9, self.one(-30, -24), head_bits], np.int8)
        scratch = np.zeros(positions + bits * positions // 32 + 32 + samples // 2, np.int32)
        return geometry, x, xt, e, head, weight, packed, slope, bias, hyper, scratch, self.state()
