"""What passes gradients through the layers between binary convolutions, and what keeps those that dW will need.

A gradient is i16 (NHWC) with an exponent that the caller keeps: its value is g * 2^E. Kernels that normalize return k,
by which E grows. The straight-through estimator with clipping is that of Hubara et al. (2016, arXiv 1602.02830).
"""

import numpy as np

from .arguments import (
    MAX_CHANNELS,
    MAX_ELEMENTS,
    MAX_POSITIONS,
    bit_lengths,
    counted,
    in_range,
    input_buffer,
    normalize,
    output_buffer,
    saturate,
    signs,
)
from .stream import pool_shape


def avg_pool_backward(shape, g):
    """The gradient of avg_pool's input, times a window's pixels: each gets the sum of its output's copies. Returns k.

    shape as avg_pool takes it; g i16[height*width*channels], in place: its last
    height/size_h*width/size_w*channels*repeat are the gradient of the output; normalized. ValueError for a size or
    range that differs.
    """
    height, width, channels, size_h, size_w, repeat = pool_shape(shape)
    rows, columns = height // size_h, width // size_w
    g = output_buffer("g", g, np.int16, height * width * channels)
    gy = g[g.size - rows * columns * channels * repeat :]
    sums, k = normalize(gy.reshape(rows, columns, repeat, channels).sum(2, dtype=np.int64))
    g[:] = sums.repeat(size_h, 0).repeat(size_w, 1).ravel()
    return k


def gradient_mask(g, mask):
    """0 where the mask is 0: g i16[n], in place; mask u32[n/32]. ValueError for a size that differs."""
    n = 32 * counted("g", g, 64, MAX_ELEMENTS)
    mask = input_buffer("mask", mask, np.uint32, n // 32)
    g = output_buffer("g", g, np.int16, n)
    g[signs(mask, np.int8) < 0] = 0


def gradient_add(g, d, mask, flip, shift_g, shift_d):
    """Adds d where the mask is 1, negated where flip is 1; each is shifted right first, to one exponent. Returns k.

    g i16[P*C], in place; d i16[P*C]; mask u32[P*C/32]; flip u32[C/32]; shift_g, shift_d 0..31:
    ((g << 14) >> shift_g) + (bit ? (+-d << 14) >> shift_d : 0), normalized. ValueError for a size or range that
    differs.
    """
    c = 32 * counted("flip", flip, 4, MAX_CHANNELS // 32)
    n = c * counted("g", g, 2 * c, MAX_ELEMENTS)
    d = input_buffer("d", d, np.int16, n).astype(np.int64)
    mask = input_buffer("mask", mask, np.uint32, n // 32)
    d = (d.reshape(-1, c) * -signs(input_buffer("flip", flip, np.uint32, c // 32), np.int64)).ravel()
    shift_g, shift_d = in_range("shift_g", shift_g, 0, 31), in_range("shift_d", shift_d, 0, 31)
    g = output_buffer("g", g, np.int16, n)
    added = np.where(signs(mask, np.int8) > 0, (d << 14) >> shift_d, 0)
    g[:], k = normalize(((g.astype(np.int64) << 14) >> shift_g) + added)
    return k


def expand_backward(g, levels, d, shift_g, shift_d):
    """The gradient of expand's bits, added to what they have already; each is shifted right first. Returns k.

    g i16[P*C]; levels i8[C*2], as expand takes it; d i16[P*C], in place; shift_g, shift_d 0..31:
    ((g * (high - low) << 6) >> shift_g) + ((d << 14) >> shift_d), normalized.
    ValueError for a size or range that differs.
    """
    c = 32 * counted("levels", levels, 64, MAX_CHANNELS // 32)
    n = counted("g", g, 2 * c, MAX_ELEMENTS)
    g = input_buffer("g", g, np.int16, n * c).reshape(n, c).astype(np.int64)
    low, high = input_buffer("levels", levels, np.int8, 2 * c).reshape(c, 2).T.astype(np.int64)
    shift_g, shift_d = in_range("shift_g", shift_g, 0, 31), in_range("shift_d", shift_d, 0, 31)
    d = output_buffer("d", d, np.int16, n * c)
    d[:], k = normalize((((g * (high - low)) << 6) >> shift_g).ravel() + ((d.astype(np.int64) << 14) >> shift_d))
    return k


def slope_shifts(slope):
    """By how much the product of a gradient and a slope is shifted right, for each channel: slope [cout, 2]."""
    return bit_lengths(abs(slope).max(1))


def ascending(channels, cout):
    """The trained channels of a layer, u16[T], checked."""
    channels = input_buffer("channels", channels, np.uint16, counted("channels", channels, 2, cout)).astype(np.int64)
    if channels[-1] >= cout or (np.diff(channels) <= 0).any():
        raise ValueError(f"channels: must ascend and be below {cout}")
    return channels


def gradient_record(g, negative, slope, channels, out, first):
    """Keeps a sample's gradient at the accumulators of the trained channels, a row for each channel.

    g i16[P*cout], at the output of bconv2d_masks; negative u32[P*cout/32]; slope i16[cout*2], cout a multiple of 32;
    channels u16[T], ascending; out i16[T*J], J a multiple of 32, up to 4096; 0 <= first <= J - P:
    out[t][first + p] = sat16((g[p][o] * slope[2 * o + negative]) >> bit_length(max abs(slope of o))).
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
    first = in_range("first", first, 0, width - positions)
    out = output_buffer("out", out, np.int16, rows * width).reshape(rows, width)
    below = signs(negative, np.int8).reshape(positions, cout)[:, channels] > 0
    local, shift = np.where(below, slope[channels, 1], slope[channels, 0]), slope_shifts(slope)[channels]
    out[:, first : first + positions] = saturate((g[:, channels] * local) >> shift, 16).T
