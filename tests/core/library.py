"""The C core behind the signatures of the reference, through ctypes: one test body runs both.

Loads build/libbitreplay.so (`make lib`), or the library that the environment variable BITREPLAY_LIBRARY names.
Arguments are NumPy arrays; they are not checked, since the C core does not check them either (its bindings do).
"""

import ctypes
import os
from pathlib import Path

import numpy as np

PATH = os.environ.get("BITREPLAY_LIBRARY", Path(__file__).resolve().parents[2] / "build" / "libbitreplay.so")
core = ctypes.CDLL(str(PATH))


class Affine(ctypes.Structure):
    _fields_ = [("slope", ctypes.c_void_p), ("bias", ctypes.c_void_p), ("shift", ctypes.c_uint32)]


def affine(slope, bias, shift):
    return Affine(slope.ctypes.data, bias.ctypes.data, shift)


def call(kernel, *arguments, returns=None):
    """Calls br_<kernel>: arrays as pointers, structures by reference, numbers by the type that they are given in."""
    function = getattr(core, f"br_{kernel}")
    function.restype = returns
    passed = []
    for argument in arguments:
        if isinstance(argument, np.ndarray):
            passed.append(ctypes.c_void_p(argument.ctypes.data))
        elif isinstance(argument, ctypes.Structure):
            passed.append(ctypes.byref(argument))
        else:
            passed.append(argument)
    return function(*passed)


def size(n):
    return ctypes.c_size_t(int(n))


def u32(n):
    return ctypes.c_uint32(int(n))


def i32(n):
    return ctypes.c_int32(int(n))


def conv2d(geometry, x, weight, slope, bias, shift, y):
    call("conv2d", geometry, x, weight, affine(slope, bias, shift), y)


def bconv2d(geometry, x, weight, slope, bias, shift, scratch, y):
    call("bconv2d", geometry, x, weight, affine(slope, bias, shift), scratch, size(scratch.size), y)


def bconv2d_scratch(geometry):
    return call("bconv2d_scratch", geometry, returns=ctypes.c_size_t)


def bconv2d_masks(geometry, x, weight, slope, bias, shift, scratch, y, passes, negative):
    outputs = scratch, size(scratch.size), y, passes, negative
    call("bconv2d_masks", geometry, x, weight, affine(slope, bias, shift), *outputs)


def bconv2d_sign(geometry, x, weight, threshold, flip, scratch, y):
    call("bconv2d_sign", geometry, x, weight, threshold, flip, scratch, size(scratch.size), y)


def binarize(x, threshold, flip, y):
    call("binarize", x, threshold, flip, size(x.size // threshold.size), size(threshold.size), y)


def near_threshold(x, threshold, y):
    call("near_threshold", x, threshold, size(x.size // threshold.size), size(threshold.size), y)


def expand(x, levels, y):
    channels = levels.size // 2
    call("expand", x, levels, size(y.size // channels), size(channels), y)


def global_avg_pool(x, y):
    call("global_avg_pool", x, size(x.size // y.size), size(y.size), y)


def avg_pool(shape, x, y):
    call("avg_pool", shape, x, y)


def max_pool(shape, x, y):
    call("max_pool", shape, x, y)


def max_pool_bits(shape, x, y):
    call("max_pool_bits", shape, x, y)


def dense(x, weight, shift, y):
    call("dense", x, weight, shift, size(x.size), size(shift.size), y)


def nearest(x, rows, found):
    call("nearest", x, rows, size(x.size), size(rows.size // x.size), found)


class Bands(ctypes.Structure):
    _fields_ = [("spans", ctypes.c_void_p), ("weights", ctypes.c_void_p), ("count", ctypes.c_size_t)]


def logmel(samples, window, cosine, spans, weights, logarithm, scratch, out):
    bands = Bands(spans.ctypes.data, weights.ctypes.data, out.size)
    call("logmel", samples, window, cosine, size(samples.size), bands, logarithm, scratch, out)


def logmel_image(x, bands, first, channels, y):
    call("logmel_image", x, size(x.size // bands), size(bands), size(first), size(channels), y)


def random(rng, n):
    return call("random", rng, u32(n), returns=ctypes.c_uint32)


def draw_balanced(order, ends, numbers, rng):
    call("draw_balanced", order, ends, size(ends.size), numbers, size(numbers.size), rng)


def gather_rows(numbers, first, second, out):
    row = out.size // numbers.size
    call("gather_rows", numbers, size(numbers.size), first, size(first.size // row), second, size(row), out)


def softmax(z, active, label, e):
    return call("softmax", z, active, size(z.size), i32(label), e, returns=ctypes.c_size_t)


def head_backward(e, weight, bits, df, exponents):
    n = weight.size // e.size
    shape = size(e.size), size(n), df, size(df.size // n)
    call("head_backward", e, weight, u32(bits), *shape, exponents)


def head_update(e, f, active, weight, velocity, hyper, rng):
    classes = active.size
    samples = e.size // classes
    shape = size(samples), size(classes), size(f.size // samples)
    call("head_update", e, f, active, *shape, weight, velocity, hyper, rng)


def head_quantize(weight, bits, q_f, out, shift):
    classes = shift.size
    call("head_quantize", weight, u32(bits), u32(q_f), size(classes), size(out.size // classes), out, shift)


def head_begin(cw, here, bits, weight, velocity):
    call("head_begin", cw, here, u32(bits), size(here.size), size(cw.size // here.size), weight, velocity)


def head_add(f, factor, bits, weight):
    call("head_add", f, i32(factor), u32(bits), size(f.size), weight)


def head_sum(weight, bits):
    return call("head_sum", weight, u32(bits), size(weight.size), returns=ctypes.c_int32)


def consolidate(cw, tw, bits, mean, alpha):
    call("consolidate", cw, tw, u32(bits), i32(mean), u32(alpha), size(cw.size))


def transpose(x, words, y):
    call("transpose", x, size(x.size // words), size(words), y)


def dot_tables(q, rows, scratch, out):
    call("dot_tables", q, size(q.size // 64), rows, size(out.size // 2), scratch, out)


def dot_signs(q, x, out):
    call("dot_signs", q, size(q.size), x, size(x.size // q.size), out)


def update_weights(weight, dw, mantissa, exponent, packed, rng):
    call("update_weights", weight, dw, size(weight.size), i32(mantissa), i32(exponent), packed, rng)


def avg_pool_backward(shape, g, exponents):
    call("avg_pool_backward", shape, g, exponents)


def gradient_mask(g, mask):
    call("gradient_mask", g, mask, size(mask.size))


def gradient_add(g, d, mask, flip, add, exponents):
    shape = size(mask.size // flip.size), size(32 * flip.size)
    call("gradient_add", g, d, mask, flip, *shape, i32(add), exponents)


def expand_backward(g, levels, d, add, exponents):
    channels = levels.size // 2
    call("expand_backward", g, levels, d, size(g.size // channels), size(channels), i32(add), exponents)


def gradient_record(g, negative, slope, channels, exponents, out, kept, sample):
    cout, count = slope.size // 2, channels.size
    shape = size(g.size // cout), size(cout)
    to = out, size(out.size // count), kept, size(sample)
    call("gradient_record", g, negative, slope, *shape, channels, size(count), exponents, *to)


def bconv2d_dx(geometry, g, negative, slope, shift, weight, bits, stochastic, scratch, d, rng, exponents):
    how = u32(bits), i32(stochastic)
    call("bconv2d_dx", geometry, g, negative, slope, u32(shift), weight, *how, scratch, d, rng, exponents)


class Trained(ctypes.Structure):
    _fields_ = [("channels", ctypes.c_void_p), ("count", ctypes.c_size_t), ("weight", ctypes.c_void_p)]


def bconv2d_dw(geometry, x, g, shifts, slope, channels, weight, packed, hyper, scratch, rng, square):
    trained = Trained(channels.ctypes.data, channels.size, weight.ctypes.data)
    samples = size(shifts.size)
    call("bconv2d_dw", geometry, samples, x, g, shifts, slope, trained, packed, hyper, scratch, rng, square)
