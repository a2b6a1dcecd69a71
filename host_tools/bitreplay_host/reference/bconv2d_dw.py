"""The gradient of a binary convolution's weights, and their update: a tap of an output channel at a time."""

import numpy as np

from .arguments import (
    MAX_POSITIONS,
    TABLE_WORDS,
    bit_lengths,
    checked_geometry,
    counted,
    in_range,
    input_buffer,
    output_buffer,
    pack,
    signs,
)
from .backward import ascending, slope_shifts
from .gradient import quantize, updated
from .random import state


def bconv2d_dw_scratch(geometry, samples, channels):
    """How many i32 bconv2d_dw's scratch has: a tap's input, transposed, its mask, two rows of dW, exponents, tables.

    geometry u16[11], as bconv2d takes it; samples * out_height * out_width <= 4096; channels 1..cout.
    ValueError for a range that differs.
    """
    g = checked_geometry(geometry, binary=True)
    area = g.out_height * g.out_width
    samples = in_range("samples", samples, 1, MAX_POSITIONS // area)
    channels = in_range("channels", channels, 1, g.cout)
    return (g.cin + 1) * -(-samples * area // 32) + 2 * g.cin // g.groups + channels + TABLE_WORDS


def bconv2d_dw(geometry, x, g, shifts, slope, channels, weight, packed, hyper, scratch, rng, square):
    """dW of a minibatch for the trained channels, the size of it, and the update of their weights.

    geometry u16[11], as bconv2d takes it; N = len(shifts) samples; J = N*out_height*out_width, rounded up to a
    multiple of 32, <= 4096; x u32[N*height*width*cin/32]; g i16[T*J], rows of gradient_record, of which positions from
    N*out_height*out_width on count as 0; its numbers of few bits replace it; shifts u8[N], 0..31, by which a sample's
    gradient is shifted right;
    slope i16[cout*2]; channels u16[T], ascending; weight i8[T*kernel_h*kernel_w*cin/groups], the trained channels'
    latent weights;
    packed u32[cout*kernel_h*kernel_w*cin/groups/32], the whole layer's signs; hyper i8[5]: bits 2..16, stochastic 0 or
    1, mantissa 1..15, exponent, update 0 or 1; scratch i32[bconv2d_dw_scratch(geometry, N, T)], working memory
    of the C kernel, left as it is here; rng u32[1], not 0; square i32[2]: M and X, M * 2^X is about the sum of
    squares.
    ValueError for a size or range that differs.
    """
    geometry = checked_geometry(geometry, binary=True)
    bits, stochastic, mantissa, exponent, update = (int(v) for v in input_buffer("hyper", hyper, np.int8, 5))
    in_range("hyper: bits", bits, 2, 16)
    in_range("hyper: stochastic", stochastic, 0, 1)
    in_range("hyper: mantissa", mantissa, 1, 15)
    in_range("hyper: update", update, 0, 1)
    area, inputs = geometry.out_height * geometry.out_width, geometry.cin // geometry.groups
    taps = geometry.kernel_h * geometry.kernel_w
    samples = counted("shifts", shifts, 1, MAX_POSITIONS // area)
    rows, used, width = counted("channels", channels, 2, geometry.cout), samples * area, -(-samples * area // 32) * 32
    x = input_buffer("x", x, np.uint32, samples * geometry.height * geometry.width * geometry.cin // 32)
    g = output_buffer("g", g, np.int16, rows * width).reshape(rows, width)
    shifts = input_buffer("shifts", shifts, np.uint8, samples)
    in_range("shifts", shifts.max(), 0, 31)
    slope = input_buffer("slope", slope, np.int16, geometry.cout * 2).reshape(-1, 2).astype(np.int64)
    channels = ascending(channels, geometry.cout)
    weight = output_buffer("weight", weight, np.int8, rows * taps * inputs).reshape(rows, taps, inputs)
    packed = output_buffer("packed", packed, np.uint32, geometry.cout * taps * inputs // 32)
    packed = packed.reshape(geometry.cout, taps, inputs // 32)
    scratch_words = (geometry.cin + 1) * (width // 32) + 2 * inputs + rows + TABLE_WORDS
    output_buffer("scratch", scratch, np.int32, scratch_words)
    s = state(rng)
    square = output_buffer("square", square, np.int32, 2)

    q, exponents = quantized_rows(g, used, area, shifts.astype(np.int64), bits, stochastic, s)
    exponents += slope_shifts(slope)[channels]
    groups = channels // (geometry.cout // geometry.groups)
    step = np.clip(exponent + exponents, -31, 8)[:, None]
    total = 0, 0
    for tap, seen in enumerate(tap_inputs(geometry, samples, x, bits)):
        dw = np.empty((rows, inputs), np.int64)
        for group in np.unique(groups):
            dw[groups == group] = q[groups == group, :used].astype(seen.dtype) @ seen[group]
        total = add_squares(total, dw, exponents)
        if update:
            weight[:, tap] = updated(weight[:, tap].astype(np.int64), dw, mantissa, step, s)
            packed[channels, tap] = pack(weight[:, tap] >= 0)
    square[:] = total


def quantized_rows(g, used, area, shifts, bits, stochastic, s):
    """q [T, J] of rows of gradients, which these numbers replace, and the exponent of each row."""
    q, exponents = np.zeros(g.shape, np.int64), np.zeros(len(g), np.int64)
    q[:, :used] = (g[:, :used].astype(np.int64) << 14) >> shifts.repeat(area)
    for t in range(len(g)):
        q[t], exponents[t] = quantize(q[t], bits, stochastic, s)
    g[:] = q
    return q, exponents


def tap_inputs(g, samples, x, bits):
    """For each tap, what it sees: [groups, N*P, cin/groups] of +1, -1, and 0 outside the image, of an exact type."""
    positions, inputs = samples * g.out_height * g.out_width, g.cin // g.groups
    exact = np.float32 if positions << (bits - 1) < 1 << 24 else np.float64
    margins = (0, 0), (g.padding_h,) * 2, (g.padding_w,) * 2, (0, 0)
    x = np.pad(signs(x, exact).reshape(samples, g.height, g.width, g.cin), margins)
    for row in range(g.kernel_h):
        for column in range(g.kernel_w):
            seen = x[:, row :: g.stride_h, column :: g.stride_w][:, : g.out_height, : g.out_width]
            yield seen.reshape(positions, g.groups, inputs).transpose(1, 0, 2)


def add_squares(total, dw, exponents):
    """total (M, X), for M * 2^X, plus the squares of each row of dw [T, n], times 2^exponent: of 8 bits of each."""
    magnitude = abs(dw)
    shift = np.maximum(0, bit_lengths(magnitude.max(1)) - 8)
    sums = ((magnitude >> shift[:, None]) ** 2).sum(1)
    m, x = total
    for added, at in zip(sums.tolist(), (2 * (shift + exponents)).tolist(), strict=True):
        if added == 0:
            continue
        if m == 0:
            x = at
        higher = max(x, at)
        m = (m >> min(31, higher - x)) + (added >> min(31, higher - at))
        x = higher
        while m >= 1 << 30:
            m, x = m >> 1, x + 1
    return m, x
