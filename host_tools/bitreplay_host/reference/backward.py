"""What passes gradients through the layers between binary convolutions, and what keeps those that dW will need.

A gradient is i16 (NHWC) with an exponent: its value is g * 2^E. exponents i16[2] has that of the stream's gradient,
then that of the bits'; they wrap modulo 2^16. k is the exponent that normalizing gives. The straight-through estimator
with clipping is that of Hubara et al. (2016, arXiv 1602.02830).
"""

import numpy as np

from .arguments import (
    MAX_CHANNELS,
    MAX_ELEMENTS,
    MAX_POSITIONS,
    bit_lengths,
    counted,
    gradient_exponents,
    in_range,
    input_buffer,
    normalize,
    output_buffer,
    saturate,
    signs,
    wrap16,
)
from .stream import pool_shape


def avg_pool_backward(shape, g, exponents):
    """The gradient of avg_pool's input: each pixel gets the sum of its output's copies, divided by the exponent.

    shape as avg_pool takes it; g i16[height*width*channels], in place: its last
    height/size_h*width/size_w*channels*repeat are the gradient of the output; normalized;
    exponents[0] grows by k - log2(size_h*size_w). ValueError for a size or range that differs.
    """
    height, width, channels, size_h, size_w, repeat = pool_shape(shape)
    rows, columns = height // size_h, width // size_w
    g = output_buffer("g", g, np.int16, height * width * channels)
    gy = g[g.size - rows * columns * channels * repeat :]
    exponents = gradient_exponents(exponents)
    sums, k = normalize(gy.reshape(rows, columns, repeat, channels).sum(2, dtype=np.int64))
    g[:] = sums.repeat(size_h, 0).repeat(size_w, 1).ravel()
    exponents[0] = wrap16(int(exponents[0]) + k - (size_h * size_w).bit_length() + 1)


def gradient_mask(g, mask):
    """0 where the mask is 0: g i16[n], in place; mask u32[n/32]. ValueError for a size that differs."""
    n = 32 * counted("g", g, 64, MAX_ELEMENTS)
    mask = input_buffer("mask", mask, np.uint32, n // 32)
    g = output_buffer("g", g, np.int16, n)
    g[signs(mask, np.int8) < 0] = 0


def aligned(g, d):
    """By how much gradients of these exponents are shifted right, so that both, times 2^14, have the one returned."""
    top = max(g, d)
    return min(31, top - g), min(31, top - d), top - 14


def gradient_add(g, d, mask, flip, add, exponents):
    """The gradient of binarize's input: d where the mask is 1, negated where flip is 1, and what is in g already.

    g i16[P*C], in place; d i16[P*C]; mask u32[P*C/32]; flip u32[C/32]; add 0 or 1: 0 if nothing is in g, which then
    counts as 0 at d's exponent. With E_g, E_d = exponents[0], exponents[1] - 4, T the larger one, and shifts of
    min(31, T - E): ((g << 14) >> shift_g) + (bit ? (+-d << 14) >> shift_d : 0), normalized; exponents[0] = T - 14 + k.
    ValueError for a size or range that differs.
    """
    c = 32 * counted("flip", flip, 4, MAX_CHANNELS // 32)
    n = c * counted("g", g, 2 * c, MAX_ELEMENTS)
    d = input_buffer("d", d, np.int16, n).astype(np.int64)
    mask = input_buffer("mask", mask, np.uint32, n // 32)
    d = (d.reshape(-1, c) * -signs(input_buffer("flip", flip, np.uint32, c // 32), np.int64)).ravel()
    add = in_range("add", add, 0, 1)
    g = output_buffer("g", g, np.int16, n)
    exponents = gradient_exponents(exponents)
    # A bit is steps of 2, one unit of the stream a sixteenth of its straight-through line of slope 1.
    shift_g, shift_d, top = aligned(int(exponents[0 if add else 1]), int(exponents[1]) - 4)
    added = np.where(signs(mask, np.int8) > 0, (d << 14) >> shift_d, 0)
    g[:], k = normalize(((add * g.astype(np.int64) << 14) >> shift_g) + added)
    exponents[0] = wrap16(top + k)


def expand_backward(g, levels, d, add, exponents):
    """The gradient of expand's bits, and what they have already.

    g i16[P*C]; levels i8[C*2], as expand takes it; d i16[P*C], in place; add 0 or 1: 0 if nothing is in d, which then
    counts as 0 at g's exponent. With E_g, E_d = exponents[0] + 7, exponents[1], T the larger one, and shifts of
    min(31, T - E): ((g * (high - low) << 6) >> shift_g) + ((d << 14) >> shift_d), normalized;
    exponents[1] = T - 14 + k. ValueError for a size or range that differs.
    """
    c = 32 * counted("levels", levels, 64, MAX_CHANNELS // 32)
    n = counted("g", g, 2 * c, MAX_ELEMENTS)
    g = input_buffer("g", g, np.int16, n * c).reshape(n, c).astype(np.int64)
    low, high = input_buffer("levels", levels, np.int8, 2 * c).reshape(c, 2).T.astype(np.int64)
    add = in_range("add", add, 0, 1)
    d = output_buffer("d", d, np.int16, n * c)
    exponents = gradient_exponents(exponents)
    shift_g, shift_d, top = aligned(int(exponents[0]) + 7, int(exponents[add]))
    through = (((g * (high - low)) << 6) >> shift_g).ravel()
    d[:], k = normalize(through + ((add * d.astype(np.int64) << 14) >> shift_d))
    exponents[1] = wrap16(top + k)


def slope_shifts(slope):
    """By how much the product of a gradient and a slope is shifted right, for each channel: slope [cout, 2]."""
    return bit_lengths(abs(slope).max(1))


def ascending(channels, cout):
    """The trained channels of a layer, u16[T], checked."""
    channels = input_buffer("channels", channels, np.uint16, counted("channels", channels, 2, cout)).astype(np.int64)
    if channels[-1] >= cout or (np.diff(channels) <= 0).any():
        raise ValueError(f"channels: must ascend and be below {cout}")
    return channels


def gradient_record(g, negative, slope, channels, exponents, out, kept, sample):
    """Keeps a sample's gradient at the accumulators of the trained channels, a row for each channel.

    g i16[P*cout], at the output of bconv2d_masks; negative u32[P*cout/32]; slope i16[cout*2], cout a multiple of 32;
    channels u16[T], ascending; exponents i16[2]; out i16[T*J], J a multiple of 32, up to 4096; kept i16[N], N <= 4096;
    0 <= sample < min(N, J/P): kept[sample] = exponents[0] and
    out[t][sample*P + p] = sat16((g[p][o] * slope[2 * o + negative]) >> bit_length(max abs(slope of o))).
    ValueError for a size or range that differs.
    """
    cout = 32 * counted("slope", slope, 128, MAX_CHANNELS // 32)
    positions = counted("g", g, 2 * cout, MAX_POSITIONS)
    rows = counted("channels", channels, 2, cout)
    width = 32 * counted("out", out, 64 * rows, MAX_POSITIONS // 32)
    g = input_buffer("g", g, np.int16, positions * cout).reshape(positions, cout)
    negative = input_buffer("negative", negative, np.uint32, positions * cout // 32)
    slope = input_buffer("slope", slope, np.int16, cout * 2).reshape(cout, 2).astype(np.int64)
    channels = ascending(channels, cout)
    samples = counted("kept", kept, 2, MAX_POSITIONS)
    exponents = input_buffer("exponents", exponents, np.int16, 2)
    sample = in_range("sample", sample, 0, min(samples, width // positions) - 1)
    out = output_buffer("out", out, np.int16, rows * width).reshape(rows, width)
    kept = output_buffer("kept", kept, np.int16, samples)
    below = signs(negative, np.int8).reshape(positions, cout)[:, channels] > 0
    local, shift = np.where(below, slope[channels, 1], slope[channels, 0]), slope_shifts(slope)[channels]
    kept[sample] = exponents[0]
    out[:, sample * positions :][:, :positions] = saturate((g[:, channels] * local) >> shift, 16).T
