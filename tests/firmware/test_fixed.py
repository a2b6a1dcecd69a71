"""Numbers of the package that no float decides."""

import pytest
from bitreplay.fixed import decayed
from hypothesis import given
from hypothesis import strategies as st


@given(st.integers(8, 15), st.integers(-30, 10), st.integers(1, 5000), st.data())
def test_a_rate_falls_in_a_straight_line_to_a_tenth(mantissa, exponent, steps, data):
    step = data.draw(st.integers(0, steps - 1))
    found = decayed(mantissa, exponent, step, steps)
    assert 1 <= found[0] <= 15
    expected = mantissa * (1 - 0.9 * step / steps)
    assert found[0] * 2.0 ** (found[1] - exponent) == pytest.approx(expected, rel=1 / 8)
    assert step or found[0] * 2.0 ** (found[1] - exponent) == mantissa


def test_a_rate_stays_without_steps():
    assert decayed(9, -4, 3, 0) == (9, -4)
