"""The backward pass of binary layers: low-bit gradients as bit planes, and one row of weights at a time.

The quantization scheme is that of Vorabbi, Maltoni, Borghi and Santi (2024, arXiv 2401.09916); the straight-through
estimator with clipping, Hubara et al. (2016, arXiv 1602.02830). J is a number of positions: a multiple of 32, up to
4096.
"""

import numpy as np

from .arguments import (
    MAX_CHANNELS,
    MAX_ELEMENTS,
    MAX_POSITIONS,
    checked_geometry,
    counted,
    in_range,
    input_buffer,
    output_buffer,
    pack,
    saturate,
    signs,
    wrap32,
)
from .convolution import affine, affine_arguments, convolve
from .head import feature_gradient, master_type, top16
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
    """Quantizes g [J] to q [J] (both int64) with a shared power of two. Returns q and the exponent k."""
    largest = (1 << (bits - 1)) - 1
    g = np.clip(g, -(2**30 - 1), 2**30 - 1)
    k, m = 0, int(abs(g).max())
    while m > largest << k:
        k += 1
    r = draws(s, g.size) & ((1 << k) - 1) if stochastic and k else 1 << k >> 1
    return np.clip((g + r) >> k, -largest, largest), k


def quantize_gradient(g, bits, stochastic, planes, rng):
    """Quantizes a gradient to bit planes with a shared power of two. Returns its exponent k: g is about q * 2^k.

    g i32[J], clamped to +-(2^30 - 1); 2 <= bits <= 16; stochastic 0 or 1 (one draw per position if k > 0), else
    rounded half up; planes u32[bits*J/32], plane t bit t of the two's complement of q; rng u32[1], not 0.
    ValueError for a size or range that differs.
    """
    n = counted_positions("g", g, 4)
    bits = in_range("bits", bits, 2, 16)
    stochastic = in_range("stochastic", stochastic, 0, 1)
    g = input_buffer("g", g, np.int32, n).astype(np.int64)
    planes = output_buffer("planes", planes, np.uint32, bits * n // 32)
    q, k = quantize(g, bits, stochastic, state(rng))
    planes[:] = pack(q >> np.arange(bits)[:, None] & 1).ravel()
    return k


def dot_planes(planes, bits, rows, out):
    """out[r] = sum over positions of q * (+1 or -1 of row r), with q from its bit planes.

    planes u32[bits*J/32], 2 <= bits <= 16; rows u32[R*J/32]; out i32[R]. |out| <= 2^15 * J.
    With bits along positions this is dW; with bits along output channels, dX.
    ValueError for a size or range that differs.
    """
    bits = in_range("bits", bits, 2, 16)
    words = counted("planes", planes, 4 * bits, MAX_POSITIONS // 32)
    count = counted("rows", rows, 4 * words, MAX_ELEMENTS)
    planes = input_buffer("planes", planes, np.uint32, bits * words).reshape(bits, words)
    rows = input_buffer("rows", rows, np.uint32, count * words).reshape(count, words)
    out = output_buffer("out", out, np.int32, count)
    value = 1 << np.arange(bits)
    value[-1] = -value[-1]
    q = value @ (signs(planes, np.int64) > 0)
    out[:] = wrap32(signs(rows, np.int64) @ q)


def dot_signs(q, x, out):
    """The plain reference of dot_planes: out[i] = sum over positions j of q[j] * (+1 or -1 of bit i of row j of x).

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


def trained_geometry(geometry):
    """The geometry of a layer that can be trained, checked."""
    g = checked_geometry(geometry, binary=True)
    if g.kernel != 1 or g.stride != 1 or g.cin != g.cout:
        raise ValueError("geometry: kernel and stride must be 1, and cin equal to cout")
    return g


def bconv_scratch(geometry, samples, bits):
    """How many i32 bconv_backward's scratch has: a channel's gradient, its bit planes, a row of dW, df.

    geometry u16[8], as bconv_backward takes it; bits 2..16; samples * height * width is a multiple of 32 up to 4096.
    ValueError for a size or range that differs.
    """
    g = trained_geometry(geometry)
    samples = in_range("samples", samples, 1, MAX_POSITIONS)
    bits = in_range("bits", bits, 2, 16)
    positions = samples * g.height * g.width
    if positions % 32 or positions > MAX_POSITIONS:
        raise ValueError(f"samples: samples * height * width must be a multiple of 32 up to {MAX_POSITIONS}")
    return positions + bits * positions // 32 + g.cin // g.groups + (samples + 1) // 2


def bconv_backward(geometry, x, xt, e, head, weight, packed, slope, bias, hyper, scratch, rng):
    """A trained 1x1 binary layer's backward pass and update, one output channel at a time.

    The layer is avg over positions of sat8(shortcut of x + affine(bconv)); e and head give its features' gradient.
    geometry u16[8]: kernel 1, stride 1, padding 0, cin = cout; x u32[J*cin/32], J = N * height * width, sample-major;
    xt u32[cin*J/32], its transpose; e i16[N*C], the head's errors; head [C*cout], its master weights, i16 or i32;
    weight i8[cout*cin/groups]; packed
    u32[cout*cin/groups/32], its signs; slope i16[cout*2]; bias i32[cout]; hyper i8[7]: shift 1..24, value 1..127,
    bits 2..16, stochastic 0 or 1, mantissa 1..15, exponent -64..8, bits of head;
    scratch i32[bconv_scratch(geometry, N, bits)], working memory of the C kernel, left as it is here;
    rng u32[1], not 0.
    ValueError for a size or range that differs.
    """
    g = trained_geometry(geometry)
    shift, value, bits, stochastic, mantissa, exponent, head_bits = (
        int(v) for v in input_buffer("hyper", hyper, np.int8, 7)
    )
    in_range("hyper: value", value, 1, 127)
    in_range("hyper: bits", bits, 2, 16)
    in_range("hyper: stochastic", stochastic, 0, 1)
    in_range("hyper: mantissa", mantissa, 1, 15)
    in_range("hyper: exponent", exponent, -64, 8)
    area, fan_in = g.height * g.width, g.cin // g.groups
    head_type = master_type(head_bits)
    positions = 32 * counted("x", x, 32 * g.cin // 8, MAX_POSITIONS // 32)
    if positions % area:
        raise ValueError(f"x: {positions} positions are not samples of {area}")
    samples = positions // area
    classes = counted("e", e, 2 * samples, MAX_CHANNELS)
    x = input_buffer("x", x, np.uint32, positions * g.cin // 32).reshape(positions, -1)
    xt = input_buffer("xt", xt, np.uint32, positions * g.cin // 32).reshape(g.groups, fan_in, -1)
    e = input_buffer("e", e, np.int16, samples * classes).reshape(samples, classes).astype(np.int64)
    head = input_buffer("head", head, head_type, classes * g.cout).reshape(classes, g.cout)
    df = feature_gradient(e, top16(head))
    weight = output_buffer("weight", weight, np.int8, g.cout * fan_in).reshape(g.cout, fan_in)
    packed = output_buffer("packed", packed, np.uint32, g.cout * fan_in // 32).reshape(g.cout, -1)
    slope, bias, shift = affine_arguments(g.cout, slope, bias, shift)
    output_buffer("scratch", scratch, np.int32, bconv_scratch(geometry, samples, bits))
    s = state(rng)

    # A row of weights decides its own channel only, so what all channels see can be found before any row changes.
    strip = g._replace(height=positions, width=1, out_height=positions, out_width=1)
    acc = convolve(strip, signs(x), signs(packed)).reshape(positions, g.cout)
    t = affine(acc, slope, bias, shift) + signs(x, np.int64) * value
    passes = (t >= -128) & (t <= 127)
    local = np.where(acc < 0, slope[:, 1], slope[:, 0])
    gradient = np.where(passes, np.repeat(df, area, axis=0) * local, 0)

    seen = signs(xt, np.float64)  # dw is exact: |dw| <= 2^15 * J < 2^53
    for o in range(g.cout):
        q, k = quantize(gradient[:, o], bits, stochastic, s)
        dw = wrap32(seen[o // (g.cout // g.groups)] @ q)
        weight[o] = updated(weight[o].astype(np.int64), dw, mantissa, max(-31, min(8, exponent + k)), s)
        packed[o] = pack(weight[o] >= 0)
