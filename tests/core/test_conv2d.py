"""conv2d."""

import numpy as np
from agreement import affines, agree, arrays
from hypothesis import assume, given
from hypothesis import strategies as st


@st.composite
def convolutions(draw):
    height, width, cin = draw(st.integers(1, 9)), draw(st.integers(1, 9)), draw(st.integers(1, 16))
    cout, kernel, stride = draw(st.integers(1, 20)), draw(st.integers(1, 7)), draw(st.integers(1, 2))
    padding = draw(st.integers(0, kernel - 1))
    assume(min(height, width) + 2 * padding >= kernel)
    oh, ow = ((side + 2 * padding - kernel) // stride + 1 for side in (height, width))
    geometry = np.array([height, width, cin, cout, kernel, stride, padding, 1], np.uint16)
    x, weight = draw(arrays(np.uint8, height * width * cin)), draw(arrays(np.int8, cout * kernel * kernel * cin))
    return geometry, x, weight, *draw(affines(cout)), np.zeros(oh * ow * cout, np.int8)


@given(convolutions())
def test_conv2d(arguments):
    agree("conv2d", *arguments)


def test_conv2d_image():
    """A shape as models have it: 32 x 32 RGB, stride 2."""
    random = np.random.default_rng(1)
    geometry = np.array([32, 32, 3, 64, 3, 2, 1, 1], np.uint16)
    x, weight = random.integers(0, 256, 32 * 32 * 3, np.uint8), random.integers(-128, 128, 64 * 27, np.int8)
    slope, bias = random.integers(-400, 400, 128, np.int16), random.integers(-5000, 5000, 64, np.int32)
    agree("conv2d", geometry, x, weight, slope, bias, 14, np.zeros(16 * 16 * 64, np.int8))


@given(convolutions())
def test_conv2d_is_a_convolution(arguments):
    """With a slope of 2^(shift - 7) for both signs, y is the plain sum of products / 2^7, rounded half up."""
    geometry, x, weight, slope, bias, _, y = arguments
    height, width, cin, cout, kernel, stride, padding, _ = (int(v) for v in geometry)
    slope[:], bias[:] = 1 << 7, 0
    _, (*_, y) = agree("conv2d", geometry, x, weight, slope, bias, 14, y)
    x, weight = x.reshape(height, width, cin).astype(int) - 128, weight.reshape(cout, kernel, kernel, cin).astype(int)
    oh, ow = ((side + 2 * padding - kernel) // stride + 1 for side in (height, width))
    y = y.reshape(oh, ow, cout)
    for row in range(oh):
        for column in range(ow):
            acc = np.zeros(cout, int)
            for i in range(kernel):
                for j in range(kernel):
                    r, c = row * stride + i - padding, column * stride + j - padding
                    if 0 <= r < height and 0 <= c < width:
                        acc += weight[:, i, j] @ x[r, c]
            np.testing.assert_array_equal(y[row, column], np.clip(np.floor(acc / 128 + 0.5), -128, 127))
