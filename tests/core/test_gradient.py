"""transpose, dot_signs, update_weights, and how a gradient is quantized."""

import numpy as np
import pytest
from agreement import WORD, agree, arrays, states, unpack
from bitreplay_host.reference.gradient import quantize
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


@st.composite
def gradients(draw, n):
    """g of any magnitude."""
    limit = draw(st.one_of(st.integers(0, 31).map(lambda k: 1 << k), st.integers(1, 2**31)))
    return draw(arrays(np.int32, n, max(-limit, -(2**31)), min(limit, 2**31 - 1)))


@given(st.data(), BLOCKS, BITS, st.integers(0, 1), states())
def test_quantization(data, blocks, bits, stochastic, rng):
    """The rule that bconv2d_dw and bconv2d_dx share."""
    g, s = data.draw(gradients(32 * blocks)), rng.copy()
    q, k = quantize(g.astype(np.int64), bits, stochastic, s)
    largest = (1 << (bits - 1)) - 1
    clamped = np.clip(g.astype(np.int64), 1 - 2**30, 2**30 - 1)
    assert abs(clamped).max() <= largest << k and (k == 0 or abs(clamped).max() > largest << (k - 1))
    error = abs((q << k) - clamped)
    assert abs(q).max() <= largest
    assert (error < 1 << k).all() if stochastic else (error <= 1 << k >> 1).all()
    assert (s == rng).all() or (stochastic and k)


def test_quantization_is_unbiased():
    g = np.full(4096, 1000)
    g[0] = 1 << 20
    q, k = quantize(g, 8, 1, np.array([3], np.uint32))
    share = 1000 / (1 << k)
    assert 0 < share < 1 and set(q[1:]) == {0, 1}
    assert abs(q[1:].mean() - share) < 4 * (share * (1 - share) / q.size) ** 0.5


@given(st.data(), BLOCKS, st.integers(1, 5))
def test_dot_signs(data, blocks, words):
    q, x = data.draw(arrays(np.int16, 32 * blocks)), data.draw(arrays(np.uint32, 32 * blocks * words, *WORD))
    _, (*_, out) = agree("dot_signs", q, x, np.zeros(32 * words, np.int32))
    if blocks < 8:
        np.testing.assert_array_equal(out, q @ unpack(x, q.size, -1))


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
