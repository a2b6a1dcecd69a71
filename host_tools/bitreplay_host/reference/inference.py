"""The forward pass: convolutions with and without bits, pooling, dense.

The blocks are those of Bi-Real Net (Liu et al. 2018, arXiv 1808.00278) and ReActNet (Liu et al. 2020, arXiv
2003.03488). Tensors are NHWC; the stream is i8 in units of 1/16.
"""

import numpy as np

from .arguments import (
    MAX_CHANNELS,
    MAX_DENSE,
    MAX_ELEMENTS,
    MAX_SIDE,
    checked_geometry,
    counted,
    in_range,
    pack,
    round_half_up,
    saturate,
    signs,
    source,
    target,
    wrap32,
)


def convolve(g, x, weight):
    """Sums of x [height, width, cin] with weight [cout, kernel, kernel, cin/groups]: int64 [oh, ow, cout].

    x and weight are float32 holding integers, and no sum reaches 2^24, so every sum is exact in any order.
    Taps outside the image see the zeros of the padding.
    """
    x = x.reshape(g.height, g.width, g.groups, -1)
    x = np.pad(x, ((g.padding, g.padding), (g.padding, g.padding), (0, 0), (0, 0)))
    weight = weight.reshape(g.groups, g.cout // g.groups, g.kernel, g.kernel, -1)
    positions = g.out_height * g.out_width
    acc = np.zeros((g.groups, positions, g.cout // g.groups), np.float32)
    for row in range(g.kernel):
        for column in range(g.kernel):
            seen = x[row :: g.stride, column :: g.stride][: g.out_height, : g.out_width]
            seen = seen.reshape(positions, g.groups, -1).transpose(1, 0, 2)
            acc += seen @ weight[:, :, row, column].transpose(0, 2, 1)
    return acc.transpose(1, 0, 2).reshape(g.out_height, g.out_width, g.cout).astype(np.int64)


def binary_convolve(g, x, weight):
    """`convolve` for packed x and weight, as passed to the kernels."""
    x = source("x", x, np.uint32, g.height * g.width * g.cin // 32)
    weight = source("weight", weight, np.uint32, g.cout * g.kernel**2 * g.cin // g.groups // 32)
    return convolve(g, signs(x), signs(weight))


def affine(acc, slope, bias, shift):
    """The folded PReLU and batch norm: acc [..., cout] to the stream, before saturation.

    slope [cout, 2] for acc >= 0 and acc < 0, bias [cout]. The sum wraps modulo 2^32.
    """
    scaled = acc * np.where(acc < 0, slope[:, 1], slope[:, 0]) + bias + (1 << (shift - 1))
    return wrap32(scaled) >> shift


def affine_arguments(cout, slope, bias, shift):
    slope = source("slope", slope, np.int16, cout * 2).reshape(cout, 2).astype(np.int64)
    bias = source("bias", bias, np.int32, cout).astype(np.int64)
    return slope, bias, in_range("shift", shift, 1, 24)


def conv2d(geometry, x, weight, slope, bias, shift, y):
    """The first layer: 8-bit pixels, 8-bit weights. y = sat8(affine(sum of weight * (x - 128))).

    geometry u16[8], groups 1, cin <= 16; x u8[height*width*cin]; weight i8[cout*kernel*kernel*cin]; slope i16[cout*2];
    bias i32[cout]; 1 <= shift <= 24; y i8[out_height*out_width*cout]. |acc| < 2^24.
    ValueError for a size or range that differs.
    """
    g = checked_geometry(geometry, binary=False)
    x = source("x", x, np.uint8, g.height * g.width * g.cin).astype(np.float32)
    weight = source("weight", weight, np.int8, g.cout * g.kernel**2 * g.cin).astype(np.float32)
    folded = affine_arguments(g.cout, slope, bias, shift)
    y = target("y", y, np.int8, g.out_height * g.out_width * g.cout)
    acc = convolve(g, x - 128, weight)
    y[:] = saturate(affine(acc, *folded), 8).ravel()


def bconv2d(geometry, x, weight, slope, bias, shift, y):
    """A binary convolution, added to the shortcut: y = sat8(y + affine(sum of products of +-1)).

    geometry u16[8], cin/groups a multiple of 32; x u32[height*width*cin/32]; weight
    u32[cout*kernel*kernel*cin/groups/32]; slope i16[cout*2]; bias i32[cout]; 1 <= shift <= 24;
    y i8[out_height*out_width*cout], read and written. |acc| < 2^16.
    ValueError for a size or range that differs.
    """
    g = checked_geometry(geometry, binary=True)
    folded = affine_arguments(g.cout, slope, bias, shift)
    y = target("y", y, np.int8, g.out_height * g.out_width * g.cout)
    acc = binary_convolve(g, x, weight)
    y[:] = saturate(y + affine(acc, *folded).ravel(), 8)


def bconv2d_sign(geometry, x, weight, threshold, flip, y):
    """A binary convolution to bits: bit = (acc >= threshold) ^ flip.

    As bconv2d, with cout a multiple of 32; threshold i16[cout]; flip u32[cout/32];
    y u32[out_height*out_width*cout/32]. ValueError for a size or range that differs.
    """
    g = checked_geometry(geometry, binary=True)
    if g.cout % 32:
        raise ValueError("geometry: cout must be a multiple of 32")
    threshold = source("threshold", threshold, np.int16, g.cout)
    flip = source("flip", flip, np.uint32, g.cout // 32)
    y = target("y", y, np.uint32, g.out_height * g.out_width * g.cout // 32)
    acc = binary_convolve(g, x, weight)
    y[:] = (pack(acc >= threshold) ^ flip).ravel()


def binarize(x, threshold, y):
    """Stream to bits: bit = x >= threshold.

    x i8[n*c]; threshold i8[c], c a multiple of 32; y u32[n*c/32].
    ValueError for a size that differs.
    """
    c = 32 * counted("threshold", threshold, 32, MAX_CHANNELS // 32)
    n = counted("x", x, c, MAX_ELEMENTS)
    threshold = source("threshold", threshold, np.int8, c)
    x = source("x", x, np.int8, n * c).reshape(n, c)
    y = target("y", y, np.uint32, n * c // 32)
    y[:] = pack(x >= threshold).ravel()


def expand(x, value, y):
    """Bits to stream: +value or -value.

    x u32[n]; 1 <= value <= 127, in units of 1/16; y i8[32*n].
    ValueError for a size or range that differs.
    """
    n = counted("x", x, 4, MAX_ELEMENTS)
    value = in_range("value", value, 1, 127)
    y = target("y", y, np.int8, 32 * n)
    y[:] = signs(source("x", x, np.uint32, n), np.int8) * np.int8(value)


def pool(shape, x, y, reduce):
    """Reduces windows [height/size, width/size, size*size, channels] over their third axis; repeats the channels."""
    height, width, channels, size, repeat = (int(v) for v in source("shape", shape, np.uint16, 5))
    in_range("shape: height", height, 1, MAX_SIDE)
    in_range("shape: width", width, 1, MAX_SIDE)
    in_range("shape: channels", channels, 1, MAX_CHANNELS)
    in_range("shape: size", size, 1, 8)
    in_range("shape: repeat", repeat, 1, size)
    if size not in (1, 2, 4, 8) or height % size or width % size:
        raise ValueError("shape: size must be 1, 2, 4 or 8 and divide height and width")
    rows, columns = height // size, width // size
    x = source("x", x, np.int8, height * width * channels)
    y = target("y", y, np.int8, rows * columns * channels * repeat)
    windows = x.reshape(rows, size, columns, size, channels).transpose(0, 2, 1, 3, 4)
    pooled = reduce(windows.reshape(rows, columns, size * size, channels).astype(np.int64), size)
    y[:] = np.tile(pooled, repeat).ravel()


def avg_pool(shape, x, y):
    """Averages windows of size x size, rounded half up; writes the channels `repeat` times, in a row of blocks.

    shape u16[5]: height, width, channels, size (1, 2, 4 or 8, dividing height and width), repeat (1..size);
    x i8[height*width*channels]; y i8[height/size*width/size*channels*repeat], which may be the start of x.
    ValueError for a size or range that differs.
    """
    pool(shape, x, y, lambda windows, size: round_half_up(windows.sum(2), 2 * (size.bit_length() - 1)))


def max_pool(shape, x, y):
    """As avg_pool, with the maximum of each window."""
    pool(shape, x, y, lambda windows, size: windows.max(2))


def add(x, y):
    """y = sat8(y + x): x i8[n], y i8[n]. ValueError for sizes that differ."""
    n = counted("x", x, 1, MAX_ELEMENTS)
    y = target("y", y, np.int8, n)
    y[:] = saturate(y.astype(np.int64) + source("x", x, np.int8, n), 8)


def dense(x, weight, shift, y):
    """Scores of the head: y = (weight . x) << shift, or >> -shift (floor).

    x i8[n], n <= 1024; weight i8[C*n]; shift i8[C], -16..6; y i32[C]. |acc| <= 2^24, so y fits.
    ValueError for a size or range that differs.
    """
    n, classes = counted("x", x, 1, MAX_DENSE), counted("shift", shift, 1, MAX_CHANNELS)
    x = source("x", x, np.int8, n).astype(np.int64)
    weight = source("weight", weight, np.int8, classes * n).reshape(classes, n).astype(np.int64)
    shift = source("shift", shift, np.int8, classes).astype(np.int64)
    in_range("shift", shift.min(), -16, 6)
    in_range("shift", shift.max(), -16, 6)
    y = target("y", y, np.int32, classes)
    y[:] = weight @ x << np.maximum(shift, 0) >> np.maximum(-shift, 0)
