"""dot_tables."""

import numpy as np
from agreement import IMPLEMENTATIONS, WORD, agree, arrays, unpack
from hypothesis import given
from hypothesis import strategies as st

NOISE = np.random.default_rng(5)
BLOCKS = st.one_of(st.integers(1, 5), st.just(8), st.just(128))  # of 32 positions


def bits_of(ones):
    return np.packbits(ones, bitorder="little").view(np.uint32)


@given(st.data(), BLOCKS, st.integers(1, 40), st.integers(2, 16), st.booleans())
def test_dot_tables(data, blocks, count, bits, extreme):
    """Sums that fit 16 bits, and those that do not: two of them share a word, or not."""
    limit = (1 << (bits - 1)) - 1
    numbers = [-limit, limit] if extreme else range(-limit, limit + 1)
    q = NOISE.choice(np.array(numbers, np.int16), 64 * blocks)
    rows = data.draw(arrays(np.uint32, count * blocks, *WORD))
    if extreme:  # each number meets its own sign: no sum is larger
        rows[:blocks] = bits_of(q[: 32 * blocks] > 0)
        rows[-blocks:] = bits_of(q[32 * blocks :] < 0)
    scratch, out = np.zeros(1024, np.int32), np.zeros(2 * count, np.int32)
    _, (*_, out) = agree("dot_tables", q, rows, scratch, out, scratch=(2,))
    expected = q.reshape(2, -1).astype(np.int64) @ unpack(rows, count, -1).T
    np.testing.assert_array_equal(out, expected.ravel())


@given(st.data(), st.integers(1, 5), st.integers(1, 4), st.integers(2, 16))
def test_dot_tables_is_dot_signs(data, blocks, words, bits):
    """What tables find for transposed rows is the plain product."""
    limit = (1 << (bits - 1)) - 1
    q, x = (
        data.draw(arrays(np.int16, 64 * blocks, -limit, limit)),
        data.draw(arrays(np.uint32, 32 * blocks * words, *WORD)),
    )
    for implementation in IMPLEMENTATIONS:
        rows, found, plain = (
            np.zeros(x.size, np.uint32),
            np.zeros(64 * words, np.int32),
            np.zeros(32 * words, np.int32),
        )
        implementation.transpose(x, words, rows)
        implementation.dot_tables(q, rows, np.zeros(1024, np.int32), found)
        for one, sums in zip(np.split(q, 2), np.split(found, 2), strict=True):
            implementation.dot_signs(one, x, plain)
            np.testing.assert_array_equal(sums, plain)
