"""conv2d."""

import numpy as np
import pytest
from agreement import affines, agree, arrays, geometries, outputs, windows
from bitreplay_host.onboard.kernel_arguments import square
from hypothesis import given
from hypothesis import strategies as st


@st.composite
def convolutions(draw):
    cin, cout = draw(st.integers(1, 16)), draw(st.integers(1, 20))
    geometry = draw(geometries(cin, cout, sides=9))
    height, width, _, _, kernel_h, kernel_w, *_ = (int(v) for v in geometry)
    x, weight = draw(arrays(np.uint8, height * width * cin)), draw(arrays(np.int8, cout * kernel_h * kernel_w * cin))
    return geometry, x, weight, *draw(affines(cout)), np.zeros(np.prod(outputs(geometry)) * cout, np.int8)


@given(convolutions())
def test_conv2d(arguments):
    agree("conv2d", *arguments)


def test_conv2d_image():
    """A shape as models have it: 32 x 32 RGB, stride 2."""
    random = np.random.default_rng(1)
    geometry = np.array(square(32, 32, 3, 64, 3, 2, 1), np.uint16)
    x, weight = random.integers(0, 256, 32 * 32 * 3, np.uint8), random.integers(-128, 128, 64 * 27, np.int8)
    slope, bias = random.integers(-400, 400, 128, np.int16), random.integers(-5000, 5000, 64, np.int32)
    agree("conv2d", geometry, x, weight, slope, bias, 14, np.zeros(16 * 16 * 64, np.int8))


@pytest.mark.parametrize("taps", (1, 2, 3, 15, 16))
@pytest.mark.parametrize("pixel", (0, 128, 255))
def test_conv2d_of_extremes(taps, pixel):
    """The largest products of all signs, with outputs and channels that nothing divides."""
    geometry = np.array((1, 7, taps, 9, 1, 1, 1, 1, 0, 0, 1), np.uint16)
    x, weight = np.full(7 * taps, pixel, np.uint8), np.repeat(np.array([-128, 127] * 5, np.int8)[:9], taps)
    x[taps::3] = 255 - pixel
    slope, bias = np.full(18, 3, np.int16), np.arange(9, dtype=np.int32)
    agree("conv2d", geometry, x, weight, slope, bias, 16, np.zeros(7 * 9, np.int8))


@given(convolutions())
def test_conv2d_is_a_convolution(arguments):
    """With a slope of 2^(shift - 7) for both signs, y is the plain sum of products / 2^7, rounded half up."""
    geometry, x, weight, slope, bias, _, y = arguments
    height, width, cin, cout, kernel_h, kernel_w, *_ = (int(v) for v in geometry)
    slope[:], bias[:] = 1 << 7, 0
    _, (*_, y) = agree("conv2d", geometry, x, weight, slope, bias, 14, y)
    x = x.reshape(height, width, cin).astype(int) - 128
    weight = weight.reshape(cout, kernel_h, kernel_w, cin).astype(int)
    acc = np.zeros((*outputs(geometry), cout), int)
    for row, column, i, j, r, c in windows(geometry):
        acc[row, column] += weight[:, i, j] @ x[r, c]
    np.testing.assert_array_equal(y.reshape(acc.shape), np.clip(np.floor(acc / 128 + 0.5), -128, 127))


@pytest.mark.parametrize("shape", [(128, 1, 6, 8, 5, 1, 2, 1, 2, 0, 1), (1, 128, 6, 8, 1, 7, 1, 2, 0, 6, 1)])
def test_conv2d_of_a_window_of_sensors(shape):
    """One row or one column: the same numbers as the other way round."""
    random, geometry = np.random.default_rng(1), np.array(shape, np.uint16)
    x = random.integers(0, 256, 128 * 6, np.uint8)
    weight = random.integers(-128, 128, 8 * shape[4] * shape[5] * 6, np.int8)
    affine = random.integers(-400, 400, 16, np.int16), random.integers(-5000, 5000, 8, np.int32), 14
    y = np.zeros(np.prod(outputs(geometry)) * 8, np.int8)
    _, (*_, one) = agree("conv2d", geometry, x, weight, *affine, y)
    turned = geometry[[1, 0, 2, 3, 5, 4, 7, 6, 9, 8, 10]]
    _, (*_, other) = agree("conv2d", turned, x, weight, *affine, y)
    np.testing.assert_array_equal(one, other)
    assert len(set(one.tolist())) > 50
