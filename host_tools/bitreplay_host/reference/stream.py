"""What happens to the stream between convolutions: thresholds, pooling, shortcuts. It is i8 in units of 1/16, NHWC."""

import numpy as np

from .arguments import (
    MAX_CHANNELS,
    MAX_ELEMENTS,
    MAX_SIDE,
    counted,
    in_range,
    input_buffer,
    output_buffer,
    pack,
    round_half_up,
    saturate,
    signs,
)


def binarize(x, threshold, y):
    """Stream to bits: bit = x >= threshold.

    x i8[n*c]; threshold i8[c], c a multiple of 32; y u32[n*c/32].
    ValueError for a size that differs.
    """
    c = 32 * counted("threshold", threshold, 32, MAX_CHANNELS // 32)
    n = counted("x", x, c, MAX_ELEMENTS)
    threshold = input_buffer("threshold", threshold, np.int8, c)
    x = input_buffer("x", x, np.int8, n * c).reshape(n, c)
    y = output_buffer("y", y, np.uint32, n * c // 32)
    y[:] = pack(x >= threshold).ravel()


def expand(x, value, y):
    """Bits to stream: +value or -value.

    x u32[n]; 1 <= value <= 127, in units of 1/16; y i8[32*n].
    ValueError for a size or range that differs.
    """
    n = counted("x", x, 4, MAX_ELEMENTS)
    value = in_range("value", value, 1, 127)
    y = output_buffer("y", y, np.int8, 32 * n)
    y[:] = signs(input_buffer("x", x, np.uint32, n), np.int8) * np.int8(value)


def pool(shape, x, y, reduce):
    """Reduces windows [height/size, width/size, size*size, channels] over their third axis; repeats the channels."""
    height, width, channels, size, repeat = (int(v) for v in input_buffer("shape", shape, np.uint16, 5))
    in_range("shape: height", height, 1, MAX_SIDE)
    in_range("shape: width", width, 1, MAX_SIDE)
    in_range("shape: channels", channels, 1, MAX_CHANNELS)
    in_range("shape: size", size, 1, 8)
    in_range("shape: repeat", repeat, 1, size)
    if size not in (1, 2, 4, 8) or height % size or width % size:
        raise ValueError("shape: size must be 1, 2, 4 or 8 and divide height and width")
    rows, columns = height // size, width // size
    x = input_buffer("x", x, np.int8, height * width * channels)
    y = output_buffer("y", y, np.int8, rows * columns * channels * repeat)
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
    y = output_buffer("y", y, np.int8, n)
    y[:] = saturate(y.astype(np.int64) + input_buffer("x", x, np.int8, n), 8)
