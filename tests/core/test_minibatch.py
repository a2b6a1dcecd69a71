"""draw_balanced, gather; run is in tests/bindings/test_run.py."""

import numpy as np
from agreement import agree, arrays, states
from bitreplay_host import reference
from hypothesis import given
from hypothesis import strategies as st


@given(st.lists(st.integers(1, 9), min_size=1, max_size=9), st.integers(1, 40), states())
def test_draw_balanced(sizes, n, rng):
    """A draw for the class, and one among its samples."""
    ends = np.array(np.cumsum(sizes) - 1, np.uint16)
    order = np.arange(sum(sizes), dtype=np.uint16)[::-1] * 7
    _, (_, _, numbers, after) = agree("draw_balanced", order, ends, np.zeros(n, np.uint16), rng)
    members = np.split(order, ends[:-1] + 1)
    for number in numbers.tolist():
        one = members[reference.random(rng, len(sizes))]
        assert number == one[reference.random(rng, len(one))]
    assert after == rng


def test_draw_balanced_of_as_many_as_there_can_be():
    order, ends, rng = np.arange(65536, dtype=np.uint16), np.array([0, 65535], np.uint16), np.array([7], np.uint32)
    _, (_, _, numbers, _) = agree("draw_balanced", order, ends, np.zeros(3000, np.uint16), rng)
    assert 1400 < (numbers == 0).sum() < 1600 and numbers.max() > 65000


@given(st.data(), st.integers(1, 20), st.integers(0, 9), st.integers(0, 9), st.integers(1, 40))
def test_gather_rows(data, n, first, second, size):
    first += first + second == 0
    rows = data.draw(arrays(np.uint8, (first + second) * size))
    numbers = data.draw(arrays(np.uint16, n, 0, first + second - 1))
    a, b = rows[: first * size], rows[first * size :]
    _, (*_, out) = agree("gather_rows", numbers, a, b, np.zeros(n * size, np.uint8))
    np.testing.assert_array_equal(out.reshape(n, size), rows.reshape(-1, size)[numbers])
