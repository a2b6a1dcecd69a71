"""binarize, near_threshold, expand, global_avg_pool, avg_pool, max_pool, max_pool_bits, add."""

import library
import numpy as np
import pytest
from agreement import IMPLEMENTATIONS, WORD, agree, arrays, pool_shapes, unpack
from hypothesis import given
from hypothesis import strategies as st


@st.composite
def pools(draw):
    shape = draw(pool_shapes(4, st.one_of(st.integers(1, 40), st.sampled_from((64, 96)))))
    height, width, channels, size_h, size_w, repeat = (int(v) for v in shape)
    x = draw(arrays(np.int8, height * width * channels))
    return shape, x, np.zeros(height // size_h * (width // size_w) * channels * repeat, np.int8)


def moved(array, offset):
    """The same bytes, so far from an aligned address."""
    memory = np.zeros(array.size + offset, array.dtype)
    memory[offset:] = array
    return memory[offset:]


def check_pool(kernel, shape, x, y, reduce):
    _, (_, _, y) = agree(kernel, shape, x, y)
    height, width, channels, size_h, size_w, repeat = (int(v) for v in shape)
    x = x.reshape(height, width, channels)
    y = y.reshape(height // size_h, width // size_w, repeat, channels)
    for row in range(height // size_h):
        for column in range(width // size_w):
            window = x[row * size_h :, column * size_w :][:size_h, :size_w].astype(np.float64)
            for block in y[row, column]:
                np.testing.assert_array_equal(block, reduce(window))


def check_pool_in_place(kernel, shape, x, y):
    for implementation in IMPLEMENTATIONS:
        buffer = x.copy()
        getattr(implementation, kernel)(shape, x, y)
        getattr(implementation, kernel)(shape, buffer, buffer[: y.size])
        np.testing.assert_array_equal(buffer[: y.size], y)


@given(pools())
def test_avg_pool(arguments):
    check_pool("avg_pool", *arguments, lambda window: np.floor(window.mean((0, 1)) + 0.5))


@given(pools())
def test_max_pool(arguments):
    check_pool("max_pool", *arguments, lambda window: window.max((0, 1)))


@given(pools())
def test_avg_pool_in_place(arguments):
    check_pool_in_place("avg_pool", *arguments)


@given(pools(), st.integers(0, 3), st.integers(0, 3))
def test_avg_pool_anywhere(arguments, x_offset, y_offset):
    """Words are read only where they are aligned."""
    shape, x, y = arguments
    library.avg_pool(shape, x, y)
    moved_x, moved_y = moved(x, x_offset), moved(np.zeros_like(y), y_offset)
    library.avg_pool(shape, moved_x, moved_y)
    np.testing.assert_array_equal(moved_y, y)


@given(pools())
def test_max_pool_in_place(arguments):
    check_pool_in_place("max_pool", *arguments)


@given(st.data(), pool_shapes(4, st.sampled_from((32, 64, 160))))
def test_max_pool_bits(data, shape):
    """Of bits unpacked it is max_pool."""
    shape[5] = 1
    height, width, channels, size_h, size_w, _ = (int(v) for v in shape)
    x = data.draw(arrays(np.uint32, height * width * channels // 32, *WORD))
    y = np.zeros(x.size // (size_h * size_w), np.uint32)
    _, (_, _, y) = agree("max_pool_bits", shape, x, y)
    expected = np.zeros(32 * y.size, np.int8)
    IMPLEMENTATIONS[0].max_pool(shape, unpack(x, -1).astype(np.int8), expected)
    np.testing.assert_array_equal(unpack(y, -1), expected)


@given(st.data(), st.integers(1, 20), st.integers(1, 5))
def test_binarize(data, n, words):
    x, threshold = data.draw(arrays(np.int8, n * words * 32)), data.draw(arrays(np.int8, words * 32))
    flip = data.draw(arrays(np.uint32, words, *WORD))
    _, (*_, y) = agree("binarize", x, threshold, flip, np.zeros(n * words, np.uint32))
    expected = (x.reshape(n, -1) >= threshold) != (unpack(flip, -1) > 0)
    np.testing.assert_array_equal(unpack(y, n, -1) > 0, expected)


@given(st.data(), st.integers(1, 20), st.integers(1, 5))
def test_near_threshold(data, n, words):
    x, threshold = data.draw(arrays(np.int8, n * words * 32)), data.draw(arrays(np.int8, words * 32))
    _, (_, _, y) = agree("near_threshold", x, threshold, np.zeros(n * words, np.uint32))
    distance = abs(x.reshape(n, -1).astype(int) - threshold)
    np.testing.assert_array_equal(unpack(y, n, -1) > 0, distance < 16)


def test_near_threshold_everywhere():
    """All pairs of a value and a threshold."""
    x, threshold = np.repeat(np.arange(-128, 128), 256).astype(np.int8), np.arange(-128, 128).astype(np.int8)
    _, (_, _, y) = agree("near_threshold", x, threshold, np.zeros(256 * 8, np.uint32))
    distance = abs(np.arange(-128, 128)[:, None] - np.arange(-128, 128))
    np.testing.assert_array_equal(unpack(y, 256, -1) > 0, distance < 16)


@given(st.data(), st.integers(1, 20), st.integers(1, 4))
def test_expand(data, n, words):
    x, levels = data.draw(arrays(np.uint32, n * words, *WORD)), data.draw(arrays(np.int8, 64 * words))
    _, (_, _, y) = agree("expand", x, levels, np.zeros(n * words * 32, np.int8))
    low, high = levels.reshape(-1, 2).T
    np.testing.assert_array_equal(y.reshape(n, -1), np.where(unpack(x, n, -1) > 0, high, low))


@given(st.data(), st.one_of(st.integers(1, 70), st.sampled_from((256, 65535, 65536))), st.integers(1, 9))
def test_global_avg_pool(data, n, channels):
    x = data.draw(arrays(np.int8, n * channels))
    _, (_, y) = agree("global_avg_pool", x, np.zeros(channels, np.int8))
    sums = x.reshape(n, channels).sum(0, dtype=np.int64)
    np.testing.assert_array_equal(y, [(int(v) + n // 2) // n for v in sums])
    assert (abs(y - sums / n) <= 0.5).all()


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_binarize_undoes_expand(implementation):
    x = np.random.default_rng(0).integers(0, 2**32, 12, dtype=np.uint32)
    stream, bits = np.zeros(12 * 32, np.int8), np.zeros(12, np.uint32)
    implementation.expand(x, np.tile(np.array([-16, 16], np.int8), 96), stream)
    implementation.binarize(stream, np.zeros(96, np.int8), np.zeros(3, np.uint32), bits)
    np.testing.assert_array_equal(bits, x)
