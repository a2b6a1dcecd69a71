"""The gradient of a binary convolution's input.

The quantization scheme is that of Vorabbi, Maltoni, Borghi and Santi (2024, arXiv 2401.09916).
"""

import numpy as np

from .arguments import (
    TABLE_WORDS,
    checked_geometry,
    gradient_exponents,
    in_range,
    input_buffer,
    normalize,
    output_buffer,
    signs,
    wrap16,
)
from .gradient import quantize
from .random import state


def trained_geometry(geometry):
    """The geometry of a layer that passes gradients on, checked."""
    g = checked_geometry(geometry, binary=True)
    if g.cout % (32 * g.groups):
        raise ValueError("geometry: cout / groups must be a multiple of 32")
    return g


def bconv2d_dx_scratch(geometry, bits):
    """How many i32 bconv2d_dx's scratch has: numbers of the gradient, transposed signs, sums, tables.

    geometry u16[11], as bconv2d_dx takes it; bits 2..16. ValueError for a range that differs.
    """
    g = trained_geometry(geometry)
    bits = in_range("bits", bits, 2, 16)
    numbers = g.out_height * g.out_width * g.cout
    return numbers // (4 if bits <= 8 else 2) + 2 * g.cin // g.groups + TABLE_WORDS


def bconv2d_dx(geometry, g, negative, slope, shift, weight, bits, stochastic, scratch, d, rng, exponents):
    """The gradient of a sample's input bits: the transposed convolution of a gradient of few bits.

    geometry u16[11], cin/groups and cout/groups multiples of 32; P = out_height*out_width; g i16[P*cout], at the
    output of bconv2d_masks; negative u32[P*cout/32]; slope i16[cout*2]; shift 1..24, as bconv2d_masks has it;
    weight u32[cout*kernel_h*kernel_w*cin/groups/32]; bits 2..16; stochastic 0 or 1;
    scratch i32[bconv2d_dx_scratch(geometry, bits)], working memory of the C kernel, left as it is here;
    d i32[height*width*cin]: its first half becomes the result, i16, the second keeps sums;
    rng u32[1], not 0; exponents i16[2]: the second becomes the first - shift + the exponents of the quantization (one
    for the sample) and of normalizing.
    ValueError for a size or range that differs.
    """
    geometry, words = trained_geometry(geometry), bconv2d_dx_scratch(geometry, bits)
    area, cin, cout = geometry.out_height * geometry.out_width, geometry.cin, geometry.cout
    shift, stochastic = in_range("shift", shift, 1, 24), in_range("stochastic", stochastic, 0, 1)
    g = input_buffer("g", g, np.int16, area * cout).reshape(area, cout)
    negative = input_buffer("negative", negative, np.uint32, area * cout // 32)
    slope = input_buffer("slope", slope, np.int16, cout * 2).reshape(cout, 2).astype(np.int64)
    taps = geometry.kernel_h * geometry.kernel_w
    weight = input_buffer("weight", weight, np.uint32, cout * taps * cin // geometry.groups // 32)
    output_buffer("scratch", scratch, np.int32, words)
    d = output_buffer("d", d, np.int32, geometry.height * geometry.width * cin)
    s, exponents = state(rng), gradient_exponents(exponents)
    below = signs(negative, np.int8).reshape(area, cout) > 0
    q, exponent = quantize((g * np.where(below, slope[:, 1], slope[:, 0])).ravel(), bits, stochastic, s)
    d[:] = transposed_convolve(geometry, q.reshape(area, cout), weight, bits).ravel()
    d.view(np.int16)[: d.size], k = normalize(d.astype(np.int64))
    exponents[1] = wrap16(int(exponents[0]) - shift + exponent + k)


def transposed_convolve(g, q, weight, bits):
    """Sums of q [P, cout] times the signs that each input meets: [height, width, cin]. All sums are exact."""
    inputs, outputs, kernel = g.cin // g.groups, g.cout // g.groups, g.kernel_h * g.kernel_w
    exact = np.float32 if (outputs * kernel) << (bits - 1) < 1 << 24 else np.float64
    weight = signs(weight, exact).reshape(g.groups, outputs, kernel * inputs)
    q = q.reshape(-1, g.groups, outputs).transpose(1, 0, 2).astype(exact)
    taps = (q @ weight).reshape(g.groups, g.out_height, g.out_width, g.kernel_h, g.kernel_w, inputs)
    # A margin takes what the padding would get; stride 2 may leave a row out.
    padded = np.zeros((g.groups, g.height + 2 * g.padding_h, g.width + 2 * g.padding_w, inputs), exact)
    for row in range(g.kernel_h):
        for column in range(g.kernel_w):
            seen = padded[:, row :: g.stride_h, column :: g.stride_w][:, : g.out_height, : g.out_width]
            seen += taps[:, :, :, row, column]
    inside = padded[:, g.padding_h : g.padding_h + g.height, g.padding_w : g.padding_w + g.width]
    return inside.transpose(1, 2, 0, 3)
