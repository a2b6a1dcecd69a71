"""The head: softmax, its gradient, SGD on wide master weights, low-bit weights for the forward pass, and CWR*.

Hybrid quantization is that of Vorabbi, Maltoni and Santi (2023, arXiv 2308.15308); CWR* is Lomonaco, Maltoni and
Pellegrini (2020, arXiv 1907.03799). Scores are Q10, probabilities and errors Q14. Master weights are i16 (bits 16) or
i32 (bits 32); both stand for a 32-bit value in units of 2^-30, of which i16 keeps the upper half.
"""

import numpy as np

from .arguments import (
    MAX_BATCH,
    MAX_CHANNELS,
    MAX_DENSE,
    MAX_ELEMENTS,
    MAX_POSITIONS,
    counted,
    gradient_exponents,
    in_range,
    input_buffer,
    normalize,
    output_buffer,
    round_half_up,
    saturate,
    wrap32,
)
from .random import draws, state


def master_type(bits):
    """The element type of master weights."""
    if bits not in (16, 32):
        raise ValueError("bits: must be 16 or 32")
    return np.dtype(np.int16 if bits == 16 else np.int32)


def wide(weight):
    """Master weights as 32-bit values (in int64)."""
    return weight.astype(np.int64) << (32 - 8 * weight.itemsize)


def top16(weight):
    """The upper halves of master weights (in int64)."""
    return wide(weight) >> 16


def class_flags(name, flags, classes):
    flags = input_buffer(name, flags, np.uint8, classes)
    in_range(name, flags.max(), 0, 1)
    return flags.astype(bool)


def shift_left(values, exponent):
    """values * 2^exponent: floor when negative."""
    return values << exponent if exponent >= 0 else values >> -exponent


def dense(x, weight, shift, y):
    """Scores of the head: y = (weight . x) << shift, or >> -shift (floor).

    x i8[n], n <= 1024; weight i8[C*n]; shift i8[C], -16..6; y i32[C]. |acc| <= 2^24, so y fits.
    ValueError for a size or range that differs.
    """
    n, classes = counted("x", x, 1, MAX_DENSE), counted("shift", shift, 1, MAX_CHANNELS)
    x = input_buffer("x", x, np.int8, n).astype(np.int64)
    weight = input_buffer("weight", weight, np.int8, classes * n).reshape(classes, n).astype(np.int64)
    shift = input_buffer("shift", shift, np.int8, classes).astype(np.int64)
    in_range("shift", shift.min(), -16, 6)
    in_range("shift", shift.max(), -16, 6)
    y = output_buffer("y", y, np.int32, classes)
    y[:] = weight @ x << np.maximum(shift, 0) >> np.maximum(-shift, 0)


def exponential(d):
    """2^15 * exp(-d) for d in Q10, by a cubic polynomial for the fraction of the power of 2; 0 from d = 16."""
    t = np.minimum(d, 16 << 10) * 47274 >> 10
    k, r = t >> 15, t & 32767
    x = (32768 - ((r * (22713 - ((r * (7871 - ((r * 1542) >> 15))) >> 15))) >> 15)) >> k
    return np.where(d >= 16 << 10, 0, x)


def softmax(z, active, label, e):
    """Softmax of the active classes, minus the one-hot label: the error of cross-entropy.

    z i32[C], Q10; active u8[C], 0 or 1, at least one 1; label -1 (none: e is the probabilities) or an active class;
    e i16[C], Q14, 0 for inactive classes. Returns the index of the first largest active score.
    ValueError for a size or range that differs.
    """
    classes = counted("z", z, 4, MAX_CHANNELS)
    z = input_buffer("z", z, np.int32, classes).astype(np.int64)
    active = class_flags("active", active, classes)
    if not active.any():
        raise ValueError("active: no class is active")
    label = in_range("label", label, -1, classes - 1)
    if label >= 0 and not active[label]:
        raise ValueError("label: its class is not active")
    e = output_buffer("e", e, np.int16, classes)
    largest = z[active].max()
    x = np.where(active, exponential(np.where(active, largest - z, 0)), 0)
    error = (x << 14) // x.sum()
    if label >= 0:
        error[label] -= 1 << 14
    e[:] = error
    return int(np.argmax(active & (z == largest)))


def head_backward(e, weight, bits, df, exponents):
    """The gradient of a sample's features: sums over classes of e * top16(weight), normalized.

    e i16[C], Q14; weight [C*n], i16 or i32 by bits, n <= 1024; df i16[P*n], P <= 4096 copies of it;
    exponents i16[2]: the first becomes k.
    The sum wraps modulo 2^32, but not with an e of softmax. ValueError for a size or range that differs.
    """
    dtype = master_type(bits)
    classes = counted("e", e, 2, MAX_CHANNELS)
    n = counted("weight", weight, classes * dtype.itemsize, MAX_DENSE)
    copies = counted("df", df, 2 * n, MAX_POSITIONS)
    e = input_buffer("e", e, np.int16, classes).astype(np.int64)
    weight = top16(input_buffer("weight", weight, dtype, classes * n).reshape(classes, n))
    df = output_buffer("df", df, np.int16, copies * n).reshape(copies, n)
    exponents = gradient_exponents(exponents)
    df[:], exponents[0] = normalize(np.clip(wrap32(e @ weight), -(1 << 30), 1 << 30))


def head_update(e, f, active, weight, velocity, hyper, rng):
    """One step of SGD with momentum and weight decay, on the rows of the active classes.

    e i16[N*C], Q14, N <= 64 samples; f i8[N*n]; active u8[C], 0 or 1; weight, velocity [C*n], i16 or i32 by bits;
    hyper i8[5]: bits (16 or 32), mantissa 1..15, exponent -31..15, momentum 0..31, decay 0..31; rng u32[1], not 0.
    g = sum of e * f; delta = sat32(g * mantissa * 2^exponent); V = sat32(sat32(V - (V >> momentum, or V)) + delta);
    W = sat32(sat32(W - V) - (W >> decay, or 0)). 16 bits are stored rounded stochastically, one draw per weight.
    ValueError for a size or range that differs.
    """
    bits, mantissa, exponent, momentum, decay = (int(v) for v in input_buffer("hyper", hyper, np.int8, 5))
    dtype = master_type(bits)
    in_range("hyper: mantissa", mantissa, 1, 15)
    in_range("hyper: exponent", exponent, -31, 15)
    in_range("hyper: momentum", momentum, 0, 31)
    in_range("hyper: decay", decay, 0, 31)
    classes = counted("active", active, 1, MAX_CHANNELS)
    samples = counted("e", e, 2 * classes, MAX_BATCH)
    n = counted("f", f, samples, MAX_DENSE)
    e = input_buffer("e", e, np.int16, samples * classes).reshape(samples, classes).astype(np.int64)
    f = input_buffer("f", f, np.int8, samples * n).reshape(samples, n).astype(np.int64)
    active = class_flags("active", active, classes)
    weight = output_buffer("weight", weight, dtype, classes * n).reshape(classes, n)
    velocity = output_buffer("velocity", velocity, dtype, classes * n).reshape(classes, n)
    s = state(rng)

    gradient = wrap32(e[:, active].T @ f * mantissa)
    delta = saturate(shift_left(gradient, exponent), 32)
    w, v = wide(weight[active]), wide(velocity[active])
    v = saturate(saturate(v - (v >> momentum if momentum else v), 32) + delta, 32)
    w = saturate(saturate(w - v, 32) - (w >> decay if decay else 0), 32)
    if bits == 16:
        drawn = draws(s, w.size).reshape(w.shape)
        v = saturate(v + (drawn & 0xFFFF), 32) >> 16
        w = saturate(w + (drawn >> 16), 32) >> 16
    velocity[active], weight[active] = v, w


def head_quantize(weight, bits, q_f, out, shift):
    """Weights of the forward pass: q_f bits per weight, one power of two per class.

    weight [C*n], i16 or i32 by bits; 2 <= q_f <= 8; out i8[C*n]; shift i8[C], as dense takes it.
    ValueError for a size or range that differs.
    """
    dtype = master_type(bits)
    q_f = in_range("q_f", q_f, 2, 8)
    classes = counted("shift", shift, 1, MAX_CHANNELS)
    n = counted("out", out, classes, MAX_DENSE)
    weight = top16(input_buffer("weight", weight, dtype, classes * n).reshape(classes, n))
    out = output_buffer("out", out, np.int8, classes * n).reshape(classes, n)
    shift = output_buffer("shift", shift, np.int8, classes)
    largest = (1 << (q_f - 1)) - 1
    for c, row in enumerate(weight):
        s = max(0, int(abs(row).max()).bit_length() - (q_f - 1))
        out[c] = np.clip(round_half_up(row, s), -largest, largest)
        shift[c] = s - 8


def head_begin(cw, here, bits, weight, velocity):
    """Sets training weights to the consolidated ones, or to 0 where a class is not here, and velocities to 0.

    cw i16[C*n], n <= 1024; here u8[C], 0 or 1; weight, velocity [C*n], i16 or i32 by bits.
    ValueError for a size or range that differs.
    """
    dtype = master_type(bits)
    classes = counted("here", here, 1, MAX_CHANNELS)
    n = counted("cw", cw, 2 * classes, MAX_DENSE)
    cw = input_buffer("cw", cw, np.int16, classes * n).reshape(classes, n)
    here = class_flags("here", here, classes)
    weight = output_buffer("weight", weight, dtype, classes * n).reshape(classes, n)
    velocity = output_buffer("velocity", velocity, dtype, classes * n)
    weight[:] = np.where(here[:, None], cw.astype(np.int64) << (bits - 16), 0)
    velocity[:] = 0


def head_add(f, factor, bits, weight):
    """Adds features, times a factor, to the training weights of a class as they are stored, saturated.

    f i8[n], n <= 1024; -2^15 < factor < 2^15; weight [n], i16 or i32 by bits.
    ValueError for a size or range that differs.
    """
    dtype = master_type(bits)
    n = counted("f", f, 1, MAX_DENSE)
    f = input_buffer("f", f, np.int8, n).astype(np.int64)
    factor = in_range("factor", factor, -32767, 32767)
    weight = output_buffer("weight", weight, dtype, n)
    weight[:] = saturate(weight + f * factor, bits)


def head_sum(weight, bits):
    """The sum of the upper halves of at most 65536 master weights, for CWR*'s mean.

    weight i16 or i32 by bits. ValueError for a size or range that differs.
    """
    dtype = master_type(bits)
    n = counted("weight", weight, dtype.itemsize, 65536)
    return int(wrap32(top16(input_buffer("weight", weight, dtype, n)).sum()))


def consolidate(cw, tw, bits, mean, alpha):
    """CWR*: cw = (cw * alpha + sat16(top16(tw) - mean) * (2^15 - alpha)), rounded half up by 15 bits.

    cw i16[n]; tw [n], i16 or i32 by bits; mean in i16; 0 <= alpha <= 2^15, the share of the past.
    ValueError for a size or range that differs.
    """
    dtype = master_type(bits)
    n = counted("cw", cw, 2, MAX_ELEMENTS)
    tw = top16(input_buffer("tw", tw, dtype, n))
    mean = in_range("mean", mean, -32768, 32767)
    alpha = in_range("alpha", alpha, 0, 1 << 15)
    cw = output_buffer("cw", cw, np.int16, n)
    cw[:] = round_half_up(cw.astype(np.int64) * alpha + saturate(tw - mean, 16) * ((1 << 15) - alpha), 15)
