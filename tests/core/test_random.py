"""random, and the generator."""

import library
import numpy as np
import pytest
from agreement import IMPLEMENTATIONS, agree, states
from bitreplay_host.reference.random import draws
from hypothesis import given
from hypothesis import strategies as st


@given(states(), st.one_of(st.integers(1, 65536), st.sampled_from((1, 2, 65535, 65536))))
def test_random(rng, n):
    result, _ = agree("random", rng, n)
    assert 0 <= result < n


@given(states(), st.integers(0, 2500))
def test_draws(rng, n):
    """Many draws at once are the draws one after another."""
    one_by_one, at_once = rng.copy(), rng.copy()
    expected = [library.call("draw", one_by_one, returns=library.ctypes.c_uint32) for _ in range(n)]
    assert draws(at_once, n).tolist() == expected
    assert at_once == one_by_one


def test_generator_is_xorshift32():
    """Marsaglia's published triple (13, 17, 5), from state 1, by hand."""
    rng = np.array([1], np.uint32)
    assert draws(rng, 3).tolist() == [270369, 67634689, 2647435461]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_random_is_uniform(implementation):
    rng = np.array([42], np.uint32)
    counts = np.bincount([implementation.random(rng, 10) for _ in range(10000)], minlength=10)
    assert ((counts - 1000) ** 2 / 1000).sum() < 27.9  # chi-square, 9 degrees of freedom, p = 0.001
