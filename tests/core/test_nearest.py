"""nearest."""

import numpy as np
from agreement import agree, arrays
from hypothesis import given
from hypothesis import strategies as st


@given(st.data(), st.integers(1, 40), st.integers(1, 100))
def test_nearest(data, words, n):
    x, rows = data.draw(arrays(np.uint32, words)), data.draw(arrays(np.uint32, n * words))
    _, (*_, (index, distance)) = agree("nearest", x, rows, np.zeros(2, np.uint32))
    differ = [bin(int(a) ^ int(b)).count("1") for a, b in zip(rows, np.tile(x, n), strict=True)]
    sums = np.reshape(differ, (n, words)).sum(axis=1).tolist()
    assert distance == min(sums) and index == sums.index(distance)


def test_of_equal_ones_the_first(n=70):
    x, rows = np.full(300, 0xFFFFFFFF, np.uint32), np.zeros(300 * n, np.uint32)
    _, (*_, found) = agree("nearest", x, rows, np.zeros(2, np.uint32))
    assert found.tolist() == [0, 9600]
    rows[35 * 300] = rows[66 * 300] = 1
    _, (*_, found) = agree("nearest", x, rows, np.zeros(2, np.uint32))
    assert found.tolist() == [35, 9599]
