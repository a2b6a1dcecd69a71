"""avg_pool_backward, gradient_mask, gradient_add, expand_backward, gradient_record."""

from fractions import Fraction

import numpy as np
import pytest
from agreement import WORD, agree, arrays, pool_shapes, unpack
from hypothesis import given
from hypothesis import strategies as st


@st.composite
def exponents(draw):
    """i16[2], most of them near each other."""
    first = draw(st.one_of(st.integers(-40, 40), st.sampled_from((-32768, -32765, 32760, 32767))))
    second = draw(st.one_of(st.integers(-40, 40).map(lambda d: first + d), st.integers(-32768, 32767)))
    return np.array([first, min(32767, max(-32768, second))], np.int16)


def wrap16(value):
    return (value + 32768) % 65536 - 32768


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


@given(pools(), exponents())
def test_avg_pool_backward(pool, before):
    shape, g = pool
    height, width, channels, size_h, size_w, repeat = (int(v) for v in shape)
    _, (_, gx, after) = agree("avg_pool_backward", shape, g, before)
    area = size_h * size_w
    k = wrap16(int(after[0]) - int(before[0]) + area.bit_length() - 1)
    assert after[1] == before[1]
    gy = g[g.size * (area - repeat) // area :]
    sums = gy.reshape(height // size_h, width // size_w, repeat, channels).astype(int).sum(2)
    expected = [sums[y // size_h, x // size_w] for y in range(height) for x in range(width)]
    check_normalized(np.ravel(expected), gx, k)


@given(st.data(), st.integers(1, 20))
def test_gradient_mask(data, words):
    g, mask = data.draw(arrays(np.int16, 32 * words)), data.draw(arrays(np.uint32, words, *WORD))
    _, (after, _) = agree("gradient_mask", g, mask)
    np.testing.assert_array_equal(after, np.where(unpack(mask, -1) > 0, g, 0))


def aligned(g, d):
    """The shifts that bring both to one exponent, and that exponent."""
    top = max(g, d)
    return min(31, top - g), min(31, top - d), top - 14


@given(st.data(), st.integers(1, 5), st.integers(1, 3), st.integers(0, 1), exponents())
def test_gradient_add(data, n, words, add, before):
    g, d = (data.draw(arrays(np.int16, 32 * n * words)) for _ in range(2))
    mask, flip = data.draw(arrays(np.uint32, n * words, *WORD)), data.draw(arrays(np.uint32, words, *WORD))
    _, (after, *_, exponents) = agree("gradient_add", g, d, mask, flip, add, before)
    passed = np.where(unpack(mask, -1) > 0, d, 0) * np.tile(-unpack(flip, -1), n)
    own, bits = (int(e) for e in before)
    shift_g, shift_d, top = aligned(own if add else bits, bits - 4)
    k = wrap16(int(exponents[0]) - top)
    check_normalized((add * g.astype(int) << 14 >> shift_g) + (passed.astype(int) << 14 >> shift_d), after, k)
    assert exponents[1] == before[1]


@given(st.data(), st.integers(1, 5), st.integers(1, 3), st.integers(0, 1), exponents())
def test_expand_backward(data, n, words, add, before):
    g, d = (data.draw(arrays(np.int16, 32 * words * n)) for _ in range(2))
    levels = data.draw(arrays(np.int8, 64 * words))
    _, (_, _, after, _, exponents) = agree("expand_backward", g, levels, d, add, before)
    steps = np.tile(levels[1::2].astype(int) - levels[::2], n)
    stream, own = (int(e) for e in before)
    shift_g, shift_d, top = aligned(stream + 7, own if add else stream)
    k = wrap16(int(exponents[1]) - top)
    check_normalized((g * steps << 6 >> shift_g) + (add * d.astype(int) << 14 >> shift_d), after, k)
    assert exponents[0] == before[0]


def test_a_gradient_means_the_same_at_any_exponent():
    """What is added is the value, g * 2^E: of a bit a sixteenth, of a level half of a step."""
    g, d = np.full(32, 1000, np.int16), np.full(32, 300, np.int16)
    mask, flip, levels = np.full(1, 2**32 - 1, np.uint32), np.zeros(1, np.uint32), np.tile(np.int8([-16, 48]), 32)
    for e in range(-12, 13):
        exponents = np.array([3, 3 + e], np.int16)
        _, (after, *_, (k, _)) = agree("gradient_add", g, d, mask, flip, 1, exponents)
        assert after[0] * 2.0**k == pytest.approx(1000 * 8 + 300 * 2.0 ** (3 + e) / 16, rel=1e-3)
        _, (_, _, after, _, (_, k)) = agree("expand_backward", g, levels, d, 1, exponents)
        assert after[0] * 2.0**k == pytest.approx(1000 * 8 * 32 + 300 * 2.0 ** (3 + e), rel=1e-3)


@pytest.mark.parametrize(("low", "high"), [(-128, 127), (127, -128)])
@pytest.mark.parametrize("g", (-32768, 32767))
@pytest.mark.parametrize("d", (-32768, 32767))
def test_largest_gradients_fit(low, high, g, d):
    g, d = np.full(32, g, np.int16), np.full(32, d, np.int16)
    levels = np.tile(np.array([low, high], np.int8), 32)
    _, (_, _, after, _, (_, k)) = agree("expand_backward", g, levels, d, 1, np.array([-7, 0], np.int16))
    check_normalized((g.astype(int) * (high - low) << 6) + (d.astype(int) << 14), after, int(k) + 14)
    ones = np.full(1, 2**32 - 1, np.uint32)
    for flip, sign in (0 * ones, 1), (ones, -1):
        _, (after, *_, (k, _)) = agree("gradient_add", g, d, ones, flip, 1, np.array([0, 4], np.int16))
        check_normalized((g.astype(int) + sign * d.astype(int)) << 14, after, int(k) + 14)


def test_gradient_of_nothing_is_nothing():
    zeros, mask = np.zeros(32, np.int16), np.full(1, 2**32 - 1, np.uint32)
    _, (after, *_, (k, _)) = agree("gradient_add", zeros, zeros, mask, mask, 1, np.array([0, 4], np.int16))
    assert k == -29 and not after.any()


@st.composite
def records(draw):
    """g, negative, slope, channels, exponents, out, kept, sample."""
    cout, n, width = 32 * draw(st.integers(1, 3)), draw(st.integers(1, 20)), 32 * draw(st.integers(1, 3))
    samples = draw(st.integers(1, 10))
    count = draw(st.integers(1, cout))
    channels = np.array(sorted(draw(st.permutations(range(cout)))[:count]), np.uint16)
    limit = draw(st.sampled_from((1, 300, 2**15)))
    slope = draw(arrays(np.int16, 2 * cout, -limit, limit - 1))
    g, negative = draw(arrays(np.int16, n * cout)), draw(arrays(np.uint32, n * cout // 32, *WORD))
    to = draw(arrays(np.int16, count * width)), draw(arrays(np.int16, samples))
    return g, negative, slope, channels, draw(exponents()), *to, draw(st.integers(0, min(samples, width // n) - 1))


@given(records())
def test_gradient_record(record):
    g, negative, slope, channels, exponents, out, kept, sample = record
    _, (*_, after, exponents_after, _) = agree("gradient_record", *record)
    first, kept[sample] = sample * (g.size * 2 // slope.size), exponents[0]
    np.testing.assert_array_equal(exponents_after, kept)
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
