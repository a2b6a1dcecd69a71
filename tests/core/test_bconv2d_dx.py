"""bconv2d_dx."""

import numpy as np
import pytest
from agreement import WORD, agree, arrays, fill, geometries, outputs, states, unpack, windows
from bitreplay_host import reference
from bitreplay_host.onboard.kernel_arguments import square
from bitreplay_host.reference.gradient import quantize
from hypothesis import given
from hypothesis import strategies as st

SCRATCH = (8,)  # its position
SHIFT = 9
NOISE = np.random.default_rng(0)


@st.composite
def layers(draw, words=(1, 2, 3), couts=(1, 2, 4), sides=5, kernels=4):
    """The geometry of a layer that passes gradients on."""
    groups = draw(st.sampled_from((1, 1, 2)))
    cin, cout = (32 * groups * draw(st.sampled_from(some)) for some in (words, couts))
    return draw(geometries(cin, cout, groups, sides, kernels))


def weights(geometry):
    """How many weights an output channel has."""
    _, _, cin, _, kernel_h, kernel_w, *_, groups = (int(v) for v in geometry)
    return kernel_h * kernel_w * cin // groups


def arguments(geometry, g, negative, slope, weight, bits, stochastic, rng):
    height, width, cin, *_ = (int(v) for v in geometry)
    scratch = fill(NOISE, "random", np.int32, reference.bconv2d_dx_scratch(geometry, bits))
    d = fill(NOISE, "random", np.int32, height * width * cin)
    how = SHIFT, weight, bits, stochastic
    return geometry, g, negative, slope, *how, scratch, d, rng, np.array([-20, 999], np.int16)


@st.composite
def calls(draw, bits, **shapes):
    geometry = draw(layers(**shapes))
    cout = int(geometry[3])
    n = int(np.prod(outputs(geometry))) * cout
    limit = draw(st.sampled_from((1, 30, 2**15)))
    g, slope = draw(arrays(np.int16, n)), draw(arrays(np.int16, 2 * cout, -limit, limit - 1))
    negative = draw(arrays(np.uint32, n // 32, *WORD))
    weight = draw(arrays(np.uint32, cout * weights(geometry) // 32, *WORD))
    return arguments(geometry, g, negative, slope, weight, draw(bits), draw(st.integers(0, 1)), draw(states()))


def outer(t, geometry, weight):
    """The gradient of sum(t * acc) for the input, tap by tap: t [oh, ow, cout]."""
    height, width, cin, cout, kernel_h, kernel_w, *_, groups = (int(v) for v in geometry)
    weight, inputs = unpack(weight, cout, kernel_h, kernel_w, cin // groups), cin // groups
    d = np.zeros((height, width, cin), np.int64)
    for row, column, i, j, r, c in windows(geometry):
        for o in range(cout):
            first = o // (cout // groups) * inputs
            d[r, c, first : first + inputs] += t[row, column, o] * weight[o, i, j]
    return d


def check(d, k, sums):
    """d is what the kernel leaves: its first half the sums, normalized, its second half the sums."""
    sums = sums.ravel()
    np.testing.assert_array_equal(d[sums.size // 2 :], sums[sums.size // 2 :])
    assert k == int(abs(sums).max()).bit_length() - 15
    g = d.view(np.int16)[: sums.size]
    error = abs(g * 2.0**k - sums)
    assert ((error <= 2.0**k / 2) | (g == 32767)).all()


def run(call):
    """(by how much the exponent is more than that of g's products, d, rng) after the call."""
    _, (*_, d, rng, (first, second)) = agree("bconv2d_dx", *call, scratch=SCRATCH)
    assert first == call[-1][0]
    return int(second) - int(first) + SHIFT, d, rng


@given(calls(st.integers(2, 16)))
def test_bconv2d_dx(call):
    run(call)


def through_slopes(call):
    geometry, g, negative, slope, *_ = call
    cout = int(geometry[3])
    below = unpack(negative, -1, cout) > 0
    return g.reshape(-1, cout).astype(np.int64) * np.where(below, slope[1::2], slope[::2])


@given(calls(st.integers(2, 16), words=(1,), couts=(1,), sides=3, kernels=3))
def test_bconv2d_dx_is_its_parts(call):
    """One quantization for the sample, and sums tap by tap."""
    geometry, *_, bits, stochastic, _, _, rng, _ = call
    k, d, after = run(call)
    s = rng.copy()
    q, exponent = quantize(through_slopes(call).ravel(), bits, stochastic, s)
    check(d, k - exponent, outer(q.reshape(*outputs(geometry), -1), geometry, call[5]))
    assert s == after


def drawn(shape, largest, steepest, bits):
    """Arguments for a shape, of random gradients and slopes below these sizes."""
    random, geometry = np.random.default_rng(4), np.array(shape, np.uint16)
    cout = shape[3]
    n = int(np.prod(outputs(geometry))) * cout
    g = random.integers(-largest, largest, n, np.int16)
    slope = random.integers(-steepest, steepest, 2 * cout, np.int16)
    negative = random.integers(*WORD, n // 32, np.uint32)
    weight = random.integers(*WORD, cout * weights(shape) // 32, np.uint32)
    return arguments(geometry, g, negative, slope, weight, bits, 1, np.array([5], np.uint32))


MEANT = (
    square(1, 1, 32, 32, 1, 1, 0, 1),
    square(3, 4, 32, 64, 3, 1, 1, 1),
    square(5, 4, 64, 64, 3, 2, 1, 2),
    square(4, 4, 32, 32, 2, 2, 0, 1),
    square(2, 3, 32, 32, 5, 2, 4, 1),
    square(3, 3, 96, 96, 1, 1, 0, 3),
    (9, 1, 32, 64, 5, 1, 2, 1, 2, 0, 1),
    (3, 5, 64, 64, 2, 3, 1, 2, 0, 2, 2),
    (1, 6, 32, 32, 1, 4, 2, 1, 0, 3, 1),
)


@pytest.mark.parametrize("shape", MEANT)
def test_bconv2d_dx_is_a_gradient(shape):
    """16 bits for products below 2^15: nothing is rounded before the sums."""
    call = drawn(shape, 100, 200, 16)
    geometry, weight = call[0], call[5]
    k, d, rng = run(call)
    check(d, k, outer(through_slopes(call).reshape(*outputs(geometry), shape[3]), geometry, weight))
    assert rng == 5


LARGE = (
    square(16, 16, 64, 128, 3, 2, 1, 1),
    square(8, 8, 128, 128, 3, 1, 1, 1),
    square(4, 4, 256, 256, 1, 1, 0, 2),
    square(1, 1, 1024, 1024, 1, 1, 0, 4),
    (64, 1, 64, 128, 7, 1, 2, 1, 3, 0, 1),
)


@pytest.mark.parametrize("shape", LARGE)
@pytest.mark.parametrize("bits", (4, 16))
def test_bconv2d_dx_shapes(shape, bits):
    agree("bconv2d_dx", *drawn(shape, 32768, 500, bits), scratch=SCRATCH)


@pytest.mark.parametrize("sign", (-1, 1))
def test_bconv2d_dx_largest(sign):
    """49 taps, 1024 channels, all of one sign: the sum in the middle fits, and so does its rounding."""
    geometry = np.array(square(7, 7, 32, 1024, 7, 1, 6), np.uint16)
    n, words = 169 * 1024, 1024 * 49
    g, slope = np.full(n, sign * 32767, np.int16), np.ones(2048, np.int16)
    zeros, weight = np.zeros(n // 32, np.uint32), np.full(words, 2**32 - 1, np.uint32)
    call = arguments(geometry, g, zeros, slope, weight, 16, 0, np.array([5], np.uint32))
    k, d, _ = run(call)
    middle = d.view(np.int16)[(3 * 7 + 3) * 32]
    assert k == 16 and abs(middle * 2.0**k - sign * 32767 * 49 * 1024) <= 2**15
