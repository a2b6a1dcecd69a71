"""avg_pool_backward, gradient_mask, gradient_add, expand_backward, gradient_record."""

from fractions import Fraction

import numpy as np
import pytest
from agreement import WORD, agree, arrays, pool_shapes, unpack
from hypothesis import given
from hypothesis import strategies as st

SHIFT = st.one_of(st.integers(0, 31), st.just(0))


def check_normalized(values, g, k):
    """g * 2^k is values, rounded to 15 bits of the largest."""
    values, largest = [int(v) for v in values], max(abs(int(v)) for v in values)
    assert k == largest.bit_length() - 15
    unit = Fraction(2) ** k
    for v, one in zip(values, g.tolist(), strict=True):
        # 2^15 has no i16; what is above 32767.5 units is 32767.
        assert abs(v - one * unit) <= unit / 2 or (one == 32767 and v > one * unit)


@st.composite
def pools(draw):
    shape = draw(pool_shapes(3, st.sampled_from((1, 3, 32, 40))))
    return shape, draw(arrays(np.int16, int(np.prod(shape[:3], dtype=int))))


@given(pools())
def test_avg_pool_backward(pool):
    shape, g = pool
    height, width, channels, size_h, size_w, repeat = (int(v) for v in shape)
    k, (_, gx) = agree("avg_pool_backward", shape, g)
    area = size_h * size_w
    gy = g[g.size * (area - repeat) // area :]
    sums = gy.reshape(height // size_h, width // size_w, repeat, channels).astype(int).sum(2)
    expected = [sums[y // size_h, x // size_w] for y in range(height) for x in range(width)]
    check_normalized(np.ravel(expected), gx, k)


@given(st.data(), st.integers(1, 20))
def test_gradient_mask(data, words):
    g, mask = data.draw(arrays(np.int16, 32 * words)), data.draw(arrays(np.uint32, words, *WORD))
    _, (after, _) = agree("gradient_mask", g, mask)
    np.testing.assert_array_equal(after, np.where(unpack(mask, -1) > 0, g, 0))


@given(st.data(), st.integers(1, 5), st.integers(1, 3), SHIFT, SHIFT)
def test_gradient_add(data, n, words, shift_g, shift_d):
    g, d = (data.draw(arrays(np.int16, 32 * n * words)) for _ in range(2))
    mask, flip = data.draw(arrays(np.uint32, n * words, *WORD)), data.draw(arrays(np.uint32, words, *WORD))
    k, (after, *_) = agree("gradient_add", g, d, mask, flip, shift_g, shift_d)
    passed = np.where(unpack(mask, -1) > 0, d, 0) * np.tile(-unpack(flip, -1), n)
    check_normalized((g.astype(int) << 14 >> shift_g) + (passed.astype(int) << 14 >> shift_d), after, k)


@given(st.data(), st.integers(1, 5), st.integers(1, 3), SHIFT, SHIFT)
def test_expand_backward(data, n, words, shift_g, shift_d):
    g, d = (data.draw(arrays(np.int16, 32 * words * n)) for _ in range(2))
    levels = data.draw(arrays(np.int8, 64 * words))
    k, (_, _, after, _, _) = agree("expand_backward", g, levels, d, shift_g, shift_d)
    steps = np.tile(levels[1::2].astype(int) - levels[::2], n)
    check_normalized((g * steps << 6 >> shift_g) + (d.astype(int) << 14 >> shift_d), after, k)


@pytest.mark.parametrize(("low", "high"), [(-128, 127), (127, -128)])
@pytest.mark.parametrize("g", (-32768, 32767))
@pytest.mark.parametrize("d", (-32768, 32767))
def test_largest_gradients_fit(low, high, g, d):
    g, d = np.full(32, g, np.int16), np.full(32, d, np.int16)
    k, (_, _, after, _, _) = agree("expand_backward", g, np.tile(np.array([low, high], np.int8), 32), d, 0, 0)
    check_normalized((g.astype(int) * (high - low) << 6) + (d.astype(int) << 14), after, k)
    ones = np.full(1, 2**32 - 1, np.uint32)
    for flip, sign in (0 * ones, 1), (ones, -1):
        k, (after, *_) = agree("gradient_add", g, d, ones, flip, 0, 0)
        check_normalized((g.astype(int) + sign * d.astype(int)) << 14, after, k)


def test_gradient_of_nothing_is_nothing():
    zeros, mask = np.zeros(32, np.int16), np.full(1, 2**32 - 1, np.uint32)
    k, (after, *_) = agree("gradient_add", zeros, zeros, mask, mask, 0, 0)
    assert k == -15 and not after.any()


@st.composite
def records(draw):
    """g, negative, slope, channels, out, first."""
    cout, n, width = 32 * draw(st.integers(1, 3)), draw(st.integers(1, 20)), 32 * draw(st.integers(1, 3))
    count = draw(st.integers(1, cout))
    channels = np.array(sorted(draw(st.permutations(range(cout)))[:count]), np.uint16)
    limit = draw(st.sampled_from((1, 300, 2**15)))
    slope = draw(arrays(np.int16, 2 * cout, -limit, limit - 1))
    g, negative = draw(arrays(np.int16, n * cout)), draw(arrays(np.uint32, n * cout // 32, *WORD))
    return g, negative, slope, channels, draw(arrays(np.int16, count * width)), draw(st.integers(0, width - n))


@given(records())
def test_gradient_record(record):
    g, negative, slope, channels, out, first = record
    _, (*_, after, _) = agree("gradient_record", *record)
    cout, count = slope.size // 2, channels.size
    g, negative = g.reshape(-1, cout), unpack(negative, -1, cout) > 0
    expected = out.reshape(count, -1).copy()
    for t, o in enumerate(channels.tolist()):
        pair = [int(s) for s in slope[2 * o : 2 * o + 2]]
        shift = max(abs(s) for s in pair).bit_length()
        for p in range(len(g)):
            product = int(g[p, o]) * pair[int(negative[p, o])] >> shift
            assert -32768 <= product <= 32767
            expected[t, first + p] = product
    np.testing.assert_array_equal(after, expected.ravel())
