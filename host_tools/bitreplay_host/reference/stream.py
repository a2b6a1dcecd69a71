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
    signs,
)


def binarize(x, threshold, flip, y):
    """Stream to bits: bit = (x >= threshold) ^ flip.

    x i8[n*c]; threshold i8[c], c a multiple of 32; flip u32[c/32]; y u32[n*c/32].
    ValueError for a size that differs.
    """
    c = 32 * counted("threshold", threshold, 32, MAX_CHANNELS // 32)
    n = counted("x", x, c, MAX_ELEMENTS)
    threshold = input_buffer("threshold", threshold, np.int8, c)
    x = input_buffer("x", x, np.int8, n * c).reshape(n, c)
    flip = input_buffer("flip", flip, np.uint32, c // 32)
    y = output_buffer("y", y, np.uint32, n * c // 32)
    y[:] = (pack(x >= threshold) ^ flip).ravel()


def near_threshold(x, threshold, y):
    """Where the gradient of binarize passes: bit = abs(x - threshold) < 16, a box of width 1.0 to both sides.

    x, threshold and y as binarize takes them. ValueError for a size that differs.
    """
    c = 32 * counted("threshold", threshold, 32, MAX_CHANNELS // 32)
    n = counted("x", x, c, MAX_ELEMENTS)
    threshold = input_buffer("threshold", threshold, np.int8, c).astype(np.int64)
    x = input_buffer("x", x, np.int8, n * c).reshape(n, c)
    y = output_buffer("y", y, np.uint32, n * c // 32)
    y[:] = pack(abs(x - threshold) < 16).ravel()


def expand(x, levels, y):
    """Bits to stream: each channel's level of bit 0 or of bit 1.

    x u32[P*C/32]; levels i8[C*2], C a multiple of 32, in units of 1/16; y i8[P*C].
    ValueError for a size that differs.
    """
    c = 32 * counted("levels", levels, 64, MAX_CHANNELS // 32)
    n = counted("x", x, c // 8, MAX_ELEMENTS)
    low, high = input_buffer("levels", levels, np.int8, 2 * c).reshape(c, 2).T
    x = input_buffer("x", x, np.uint32, n * c // 32).reshape(n, c // 32)
    y = output_buffer("y", y, np.int8, n * c)
    y[:] = np.where(signs(x, np.int8) > 0, high, low).ravel()


def global_avg_pool(x, y):
    """The mean of each channel over all positions, rounded half up (for an odd P, to the nearest).

    x i8[P*C], P <= 65536; y i8[C]: floor((sum + (P >> 1)) / P). ValueError for a size that differs.
    """
    c = counted("y", y, 1, MAX_CHANNELS)
    n = counted("x", x, c, 1 << 16)
    x = input_buffer("x", x, np.int8, n * c).reshape(n, c)
    y = output_buffer("y", y, np.int8, c)
    y[:] = (x.sum(0, dtype=np.int64) + (n >> 1)) // n


def pool_shape(shape):
    """height, width, channels, size_h, size_w and repeat of a pooling, checked."""
    height, width, channels, size_h, size_w, repeat = (int(v) for v in input_buffer("shape", shape, np.uint16, 6))
    in_range("shape: height", height, 1, MAX_SIDE)
    in_range("shape: width", width, 1, MAX_SIDE)
    in_range("shape: channels", channels, 1, MAX_CHANNELS)
    for name, size, side_name, side in (("size_h", size_h, "height", height), ("size_w", size_w, "width", width)):
        if size not in (1, 2, 4, 8) or side % size:
            raise ValueError(f"shape: {name}: must be 1, 2, 4 or 8 and divide the {side_name}")
    in_range("shape: repeat", repeat, 1, size_h if width == 1 else size_w)
    return height, width, channels, size_h, size_w, repeat


def pool(shape, x, y, reduce):
    """Reduces windows [rows, columns, size_h*size_w, channels] over their third axis; repeats the channels."""
    height, width, channels, size_h, size_w, repeat = pool_shape(shape)
    rows, columns = height // size_h, width // size_w
    x = input_buffer("x", x, np.int8, height * width * channels)
    y = output_buffer("y", y, np.int8, rows * columns * channels * repeat)
    windows = x.reshape(rows, size_h, columns, size_w, channels).transpose(0, 2, 1, 3, 4)
    pooled = reduce(windows.reshape(rows, columns, size_h * size_w, channels).astype(np.int64))
    y[:] = np.tile(pooled, repeat).ravel()


def avg_pool(shape, x, y):
    """Averages windows of size_h x size_w, rounded half up; writes the channels `repeat` times, in a row of blocks.

    shape u16[6]: height, width, channels, size_h, size_w (1, 2, 4 or 8, dividing height and width), repeat (1..size_w,
    or 1..size_h where the width is 1); x i8[height*width*channels];
    y i8[height/size_h*width/size_w*channels*repeat], which may be the start of x.
    ValueError for a size or range that differs.
    """
    pool(shape, x, y, lambda windows: round_half_up(windows.sum(2), windows.shape[2].bit_length() - 1))


def max_pool(shape, x, y):
    """As avg_pool, with the maximum of each window."""
    pool(shape, x, y, lambda windows: windows.max(2))


def max_pool_bits(shape, x, y):
    """The maximum of bits in each window: 1 where one of them is.

    shape u16[6] as max_pool takes it, channels a multiple of 32, repeat 1; x u32[height*width*channels/32];
    y u32[height/size_h*width/size_w*channels/32]. ValueError for a size or range that differs.
    """
    height, width, channels, size_h, size_w, repeat = pool_shape(shape)
    if channels % 32 or repeat != 1:
        raise ValueError("shape: channels must be a multiple of 32, and repeat 1")
    rows, columns, words = height // size_h, width // size_w, channels // 32
    x = input_buffer("x", x, np.uint32, height * width * words).reshape(rows, size_h, columns, size_w, words)
    y = output_buffer("y", y, np.uint32, rows * columns * words)
    y[:] = np.bitwise_or.reduce(x, axis=(1, 3)).ravel()
