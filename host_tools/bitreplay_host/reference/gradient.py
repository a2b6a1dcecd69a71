"""The backward pass of binary layers: low-bit gradients, their plain products with bits, and the update.

The quantization scheme is that of Vorabbi, Maltoni, Borghi and Santi (2024, arXiv 2401.09916). J is a number of
positions: a multiple of 32, up to 4096.
"""

import numpy as np

from .arguments import (
    MAX_CHANNELS,
    MAX_ELEMENTS,
    MAX_POSITIONS,
    counted,
    in_range,
    input_buffer,
    output_buffer,
    pack,
    saturate,
    signs,
    wrap32,
)
from .random import draws, state


def counted_positions(name, buffer, size):
    """The positions of a minibatch in a buffer with `size` bytes for each."""
    return 32 * counted(name, buffer, 32 * size, MAX_POSITIONS // 32)


def transpose(x, words, y):
    """A bit matrix, transposed: x u32[J*words] to y u32[32*words*(J/32)]; bit j of row i of y is bit i of row j of x.

    1 <= words <= 32. ValueError for a size or range that differs.
    """
    words = in_range("words", words, 1, MAX_CHANNELS // 32)
    positions = counted_positions("x", x, 4 * words)
    x = input_buffer("x", x, np.uint32, positions * words).reshape(positions, words)
    y = output_buffer("y", y, np.uint32, positions * words)
    y[:] = pack(np.ascontiguousarray((signs(x, np.int8) > 0).T)).ravel()


def quantize(g, bits, stochastic, s):
    """Quantizes g [J] to q [J], both int64, with one power of two. Returns q and its exponent k: g is about q * 2^k.

    g is clamped to +-(2^30 - 1); stochastic: one draw of s per number if k > 0, else rounded half up.
    """
    largest = (1 << (bits - 1)) - 1
    g = np.clip(g, -(2**30 - 1), 2**30 - 1)
    k, m = 0, int(abs(g).max())
    while m > largest << k:
        k += 1
    r = draws(s, g.size) & ((1 << k) - 1) if stochastic and k else 1 << k >> 1
    return (g + r) >> k, k


def dot_signs(q, x, out):
    """The plain reference of dot_tables: out[i] = sum over positions j of q[j] * (+1 or -1 of bit i of row j of x).

    q i16[J]; x u32[J*W]; out i32[32*W]. ValueError for a size that differs.
    """
    n = counted_positions("q", q, 2)
    words = counted("x", x, 4 * n, MAX_CHANNELS // 32)
    q = input_buffer("q", q, np.int16, n).astype(np.int64)
    x = input_buffer("x", x, np.uint32, n * words).reshape(n, words)
    out = output_buffer("out", out, np.int32, 32 * words)
    out[:] = wrap32(q @ signs(x, np.int64))


def updated(weight, dw, mantissa, exponent, s):
    """The latent weights after one stochastically rounded step: weight [..., n], dw [..., n], both int64.

    exponent: one, or [..., 1].
    """
    down = np.maximum(-exponent, 0)
    noise = draws(s, weight.size).reshape(weight.shape) >> (32 - down)
    delta = saturate(wrap32(dw * mantissa) + noise, 32) >> down
    return np.clip(weight - saturate(delta << np.maximum(exponent, 0), 32), -127, 127)


def update_weights(weight, dw, mantissa, exponent, packed, rng):
    """One step of SGD on latent weights: weight = clamp(weight - dw * mantissa * 2^exponent), rounded stochastically.

    weight i8[n], n a multiple of 32, clamped to +-127; dw i32[n]; mantissa 1..15; exponent -31..8; packed u32[n/32],
    the bits weight >= 0; rng u32[1], not 0: one draw per weight. ValueError for a size or range that differs.
    """
    n = 32 * counted("weight", weight, 32, MAX_ELEMENTS)
    mantissa = in_range("mantissa", mantissa, 1, 15)
    exponent = in_range("exponent", exponent, -31, 8)
    dw = input_buffer("dw", dw, np.int32, n).astype(np.int64)
    weight = output_buffer("weight", weight, np.int8, n)
    packed = output_buffer("packed", packed, np.uint32, n // 32)
    weight[:] = updated(weight.astype(np.int64), dw, mantissa, exponent, state(rng))
    packed[:] = pack(weight >= 0)
