"""transpose, quantize_gradient, dot_planes, dot_signs, update_weights."""

import numpy as np
import pytest
from agreement import IMPLEMENTATIONS, WORD, agree, arrays, states, unpack
from hypothesis import given
from hypothesis import strategies as st

BITS = st.integers(2, 16)
BLOCKS = st.one_of(st.integers(1, 5), st.just(8), st.just(128))  # of 32 positions


@given(st.data(), BLOCKS, st.integers(1, 8))
def test_transpose(data, blocks, words):
    x = data.draw(arrays(np.uint32, blocks * 32 * words, *WORD))
    _, (_, _, y) = agree("transpose", x, words, np.zeros(x.size, np.uint32))
    if blocks < 8:
        np.testing.assert_array_equal(unpack(y, 32 * words, -1), unpack(x, 32 * blocks, -1).T)
    _, (_, _, back) = agree("transpose", y, blocks, np.zeros(x.size, np.uint32)) if blocks <= 32 else (0, (0, 0, x))
    np.testing.assert_array_equal(back, x)


def decode(planes, bits):
    """The values of bit planes [bits][J/32]."""
    ones = (unpack(planes, bits, -1) + 1) // 2
    return sum(plane << t for t, plane in enumerate(ones[:-1])) - (ones[-1] << (bits - 1))


@st.composite
def gradients(draw, n):
    """g of any magnitude."""
    limit = draw(st.one_of(st.integers(0, 31).map(lambda k: 1 << k), st.integers(1, 2**31)))
    return draw(arrays(np.int32, n, max(-limit, -(2**31)), min(limit, 2**31 - 1)))


@given(st.data(), BLOCKS, BITS, st.integers(0, 1), states())
def test_quantize_gradient(data, blocks, bits, stochastic, rng):
    g = data.draw(gradients(32 * blocks))
    k, (*_, planes, after) = agree("quantize_gradient", g, bits, stochastic, np.zeros(bits * blocks, np.uint32), rng)
    largest = (1 << (bits - 1)) - 1
    clamped = np.clip(g.astype(np.int64), 1 - 2**30, 2**30 - 1)
    assert abs(clamped).max() <= largest << k and (k == 0 or abs(clamped).max() > largest << (k - 1))
    if blocks < 8:
        q = decode(planes, bits)
        error = abs((q << k) - clamped)
        assert abs(q).max() <= largest
        assert (error < 1 << k).all() if stochastic else (error <= 1 << k >> 1).all()
    assert (after == rng).all() or (stochastic and k)


def test_quantize_gradient_is_unbiased():
    g = np.full(4096, 1000, np.int32)
    g[0] = 1 << 20
    k, (*_, planes, _) = agree("quantize_gradient", g, 8, 1, np.zeros(1024, np.uint32), np.array([3], np.uint32))
    q = decode(planes, 8)[1:]
    share = 1000 / (1 << k)
    assert 0 < share < 1 and set(q) == {0, 1}
    assert abs(q.mean() - share) < 4 * (share * (1 - share) / q.size) ** 0.5


@given(st.data(), BLOCKS, BITS, st.integers(1, 40))
def test_dot_planes(data, blocks, bits, count):
    planes = data.draw(arrays(np.uint32, bits * blocks, *WORD))
    rows = data.draw(arrays(np.uint32, count * blocks, *WORD))
    agree("dot_planes", planes, bits, rows, np.zeros(count, np.int32))


@given(st.data(), BLOCKS, st.integers(1, 5))
def test_dot_signs(data, blocks, words):
    q, x = data.draw(arrays(np.int16, 32 * blocks)), data.draw(arrays(np.uint32, 32 * blocks * words, *WORD))
    _, (*_, out) = agree("dot_signs", q, x, np.zeros(32 * words, np.int32))
    if blocks < 8:
        np.testing.assert_array_equal(out, q @ unpack(x, q.size, -1))


@given(st.data(), st.integers(1, 5), st.integers(1, 4), BITS, st.integers(0, 1), states())
def test_dot_planes_is_dot_signs(data, blocks, words, bits, stochastic, rng):
    """The bit-serial product is the plain one, on the quantized gradient and transposed rows."""
    g, x = data.draw(gradients(32 * blocks)), data.draw(arrays(np.uint32, 32 * blocks * words, *WORD))
    for implementation in IMPLEMENTATIONS:
        planes, rows = np.zeros(bits * blocks, np.uint32), np.zeros(x.size, np.uint32)
        serial, plain = np.zeros(32 * words, np.int32), np.zeros(32 * words, np.int32)
        implementation.quantize_gradient(g, bits, stochastic, planes, rng)
        implementation.transpose(x, words, rows)
        implementation.dot_planes(planes, bits, rows, serial)
        implementation.dot_signs(decode(planes, bits).astype(np.int16), x, plain)
        np.testing.assert_array_equal(serial, plain)


@given(st.data(), st.integers(1, 8), st.integers(1, 15), st.integers(-31, 8), states())
def test_update_weights(data, words, mantissa, exponent, rng):
    weight, dw = data.draw(arrays(np.int8, 32 * words)), data.draw(gradients(32 * words))
    packed = np.zeros(words, np.uint32)
    _, (after, *_, packed, _) = agree("update_weights", weight, dw, mantissa, exponent, packed, rng)
    np.testing.assert_array_equal(unpack(packed, -1) > 0, after >= 0)
    step = dw.astype(float) * mantissa * 2.0**exponent
    if abs(dw.astype(np.int64) * mantissa).max() < 2**31 - 2**20:  # else it wraps or saturates
        assert (abs(after - np.clip(weight - step, -127, 127)) <= 1).all()


@pytest.mark.parametrize("dw", (-700, -1, 5, 300))
def test_update_weights_is_unbiased(dw):
    n = 1 << 16
    weight, packed, rng = np.zeros(n, np.int8), np.zeros(n // 32, np.uint32), np.array([77], np.uint32)
    _, (weight, *_) = agree("update_weights", weight, np.full(n, dw, np.int32), 3, -9, packed, rng)
    step = -dw * 3 / 512
    share = step % 1
    assert set(weight) == {int(np.floor(step)), int(np.floor(step)) + 1}
    assert abs(weight.mean() - step) < 4 * (share * (1 - share) / n) ** 0.5
