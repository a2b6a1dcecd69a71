"""What the property tests share: arrays of random and extreme values, and the comparison of both implementations."""

import itertools

import library
import numpy as np
from bitreplay_host import reference
from bitreplay_host.onboard import kernel_arguments
from hypothesis import strategies as st

IMPLEMENTATIONS = (reference, library)
WORD = 0, 2**32 - 1


def agree(kernel, *arguments, scratch=()):
    """Runs both on copies of the arguments, compares results and buffers, and returns the result and the arguments.

    Every buffer is compared: outputs must agree, and inputs (rng excepted) are the same as long as both leave them
    alone. Those at the positions `scratch` are not compared.
    """
    runs = []
    for implementation in IMPLEMENTATIONS:
        copies = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
        runs.append((getattr(implementation, kernel)(*copies), copies))
    (expected, ours), (result, theirs) = runs
    assert result == expected
    for position, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        if isinstance(a, np.ndarray) and position not in scratch:
            np.testing.assert_array_equal(b, a, err_msg=f"{kernel}: argument {position}")
    return result, ours


def fill(rng, style, dtype, count, low=None, high=None):
    """An array in low..high (the type's range unless told), in one of the styles of `arrays`."""
    limits = np.iinfo(dtype)
    low = limits.min if low is None else low
    high = limits.max if high is None else high
    if style == "low":
        return np.full(count, low, dtype)
    if style == "high":
        return np.full(count, high, dtype)
    if style == "extreme":
        values = [v for v in (low, low + 1, -1, 0, 1, high - 1, high) if low <= v <= high]
        return rng.choice(np.array(values, np.int64), count).astype(dtype)
    if style == "small":
        low, high = max(low, min(-4, high)), min(high, max(4, low))
    return rng.integers(low, high, count, np.int64, endpoint=True).astype(dtype)


@st.composite
def arrays(draw, dtype, count, low=None, high=None):
    """Random and extreme arrays; made from a seed, so that size costs little."""
    style = draw(st.sampled_from(("random", "extreme", "small", "low", "high")))
    return fill(np.random.default_rng(draw(st.integers(0, 2**32 - 1))), style, dtype, count, low, high)


def states():
    """A state of the generator, u32[1]."""
    return st.one_of(st.integers(1, 2**32 - 1), st.sampled_from((1, 2**31, 2**32 - 1))).map(
        lambda s: np.array([s], np.uint32)
    )


@st.composite
def affines(draw, cout):
    """slope, bias, shift: of any value, and often such as a model has."""
    if draw(st.booleans()):
        return draw(arrays(np.int16, cout * 2)), draw(arrays(np.int32, cout)), draw(st.integers(1, 24))
    slope = draw(arrays(np.int16, cout * 2, -600, 600))
    return slope, draw(arrays(np.int32, cout, -20000, 20000)), draw(st.integers(6, 12))


@st.composite
def geometries(draw, cin, cout, groups=1, sides=8, kernels=7):
    """A convolution's geometry, with other sides, kernels, strides and paddings vertically than horizontally."""
    found = []
    for _ in range(2):
        side, kernel, stride = draw(st.integers(1, sides)), draw(st.integers(1, kernels)), draw(st.integers(1, 2))
        # A window is no larger than the padded image.
        found.append((side, kernel, stride, draw(st.integers(max(0, (kernel - side + 1) // 2), kernel - 1))))
    (height, width), *others = zip(*found, strict=True)
    return np.array([height, width, cin, cout, *sum(others, ()), groups], np.uint16)


def outputs(geometry):
    """Height and width of a convolution's output."""
    return kernel_arguments.output_sides([int(v) for v in geometry])


def windows(geometry):
    """For each output (row, column) and tap (i, j) inside the image: row, column, i, j, and the pixel (r, c)."""
    height, width, _, _, kernel_h, kernel_w, stride_h, stride_w, padding_h, padding_w, _ = (int(v) for v in geometry)
    rows, columns = outputs(geometry)
    for row, column, i, j in itertools.product(range(rows), range(columns), range(kernel_h), range(kernel_w)):
        r, c = row * stride_h + i - padding_h, column * stride_w + j - padding_w
        if 0 <= r < height and 0 <= c < width:
            yield row, column, i, j, r, c


@st.composite
def pool_shapes(draw, rows, channels):
    """A pooling's shape, of up to so many rows and columns of windows."""
    size_h, size_w = (draw(st.sampled_from((1, 2, 4, 8))) for _ in range(2))
    height, width = draw(st.integers(1, rows)) * size_h, draw(st.integers(1, rows)) * size_w
    repeat = draw(st.integers(1, size_h if width == 1 else size_w))
    return np.array([height, width, draw(channels), size_h, size_w, repeat], np.uint16)


def unpack(words, *shape):
    """Bits as +1 and -1, one by one."""
    bits = [(int(word) >> i & 1) * 2 - 1 for word in words for i in range(32)]
    return np.array(bits, np.int64).reshape(shape)
