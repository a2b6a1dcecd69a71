"""What the convolutions share: sums of products, and the affine behind them."""

import numpy as np

from .arguments import in_range, input_buffer, signs, wrap32


def convolve(g, x, weight):
    """Sums of x [height, width, cin] with weight [cout, kernel_h, kernel_w, cin/groups]: int64 [oh, ow, cout].

    x and weight are float32 holding integers, and no sum reaches 2^24, so every sum is exact in any order.
    Taps outside the image see the zeros of the padding.
    """
    x = x.reshape(g.height, g.width, g.groups, -1)
    x = np.pad(x, ((g.padding_h,) * 2, (g.padding_w,) * 2, (0, 0), (0, 0)))
    weight = weight.reshape(g.groups, g.cout // g.groups, g.kernel_h, g.kernel_w, -1)
    positions = g.out_height * g.out_width
    acc = np.zeros((g.groups, positions, g.cout // g.groups), np.float32)
    for row in range(g.kernel_h):
        for column in range(g.kernel_w):
            seen = x[row :: g.stride_h, column :: g.stride_w][: g.out_height, : g.out_width]
            seen = seen.reshape(positions, g.groups, -1).transpose(1, 0, 2)
            acc += seen @ weight[:, :, row, column].transpose(0, 2, 1)
    return acc.transpose(1, 0, 2).reshape(g.out_height, g.out_width, g.cout).astype(np.int64)


def binary_convolve(g, x, weight):
    """`convolve` for packed x and weight, as passed to the kernels."""
    x = input_buffer("x", x, np.uint32, g.height * g.width * g.cin // 32)
    weight = input_buffer("weight", weight, np.uint32, g.cout * g.kernel_h * g.kernel_w * g.cin // g.groups // 32)
    return convolve(g, signs(x), signs(weight))


def affine(acc, slope, bias, shift):
    """The folded PReLU and batch norm: acc [..., cout] to the stream, before saturation.

    slope [cout, 2] for acc >= 0 and acc < 0, bias [cout]. The sum wraps modulo 2^32.
    """
    scaled = acc * np.where(acc < 0, slope[:, 1], slope[:, 0]) + bias + (1 << (shift - 1))
    return wrap32(scaled) >> shift


def affine_arguments(cout, slope, bias, shift):
    slope = input_buffer("slope", slope, np.int16, cout * 2).reshape(cout, 2).astype(np.int64)
    bias = input_buffer("bias", bias, np.int32, cout).astype(np.int64)
    return slope, bias, in_range("shift", shift, 1, 24)
