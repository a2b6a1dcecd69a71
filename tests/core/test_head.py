"""dense, softmax, head_backward, head_update, head_quantize, head_begin, head_add, head_sum, consolidate."""

import numpy as np
import pytest
from agreement import agree, arrays, states
from hypothesis import given
from hypothesis import strategies as st

MASTER = {16: np.int16, 32: np.int32}
BITS = st.sampled_from((16, 32))
ONE = 1 << 14  # of probabilities and errors
EXPONENTS = np.array([999, -7], np.int16)


@st.composite
def actives(draw, classes, at_least=0):
    """Flags of classes, at least so many of them 1."""
    active = draw(arrays(np.uint8, classes, 0, 1))
    active[draw(st.permutations(range(classes)))[:at_least]] = 1
    return active


@given(st.data(), st.integers(1, 100), st.integers(1, 9))
def test_dense(data, n, classes):
    x, weight = data.draw(arrays(np.int8, n)), data.draw(arrays(np.int8, classes * n))
    shift = data.draw(arrays(np.int8, classes, -16, 6))
    _, (*_, y) = agree("dense", x, weight, shift, np.zeros(classes, np.int32))
    acc = weight.reshape(classes, n).astype(float) @ x
    np.testing.assert_array_equal(y, np.floor(acc * 2.0**shift))


def test_dense_largest():
    """1024 features: the sum of 2^24 shifted by 6 fits."""
    x, shift = np.full(1024, -128, np.int8), np.array([6], np.int8)
    _, (*_, y) = agree("dense", x, np.full(1024, -128, np.int8), shift, np.zeros(1, np.int32))
    assert y == 1 << 30


@given(st.data(), st.integers(1, 20))
def test_softmax(data, classes):
    z, active = data.draw(arrays(np.int32, classes)), data.draw(actives(classes, 1))
    label = data.draw(st.sampled_from((-1, *np.flatnonzero(active).tolist())))
    best, _ = agree("softmax", z, active, label, np.zeros(classes, np.int16))
    assert active[best] and z[best] == z[active > 0].max() and not (active[:best] & (z[:best] == z[best])).any()


@given(st.data(), st.integers(1, 20), st.sampled_from((1 << 10, 1 << 13, 1 << 16)))
def test_softmax_is_softmax(data, classes, spread):
    z, active = data.draw(arrays(np.int32, classes, -spread, spread)), data.draw(actives(classes, 1))
    label = data.draw(st.sampled_from((-1, *np.flatnonzero(active).tolist())))
    _, (*_, e) = agree("softmax", z, active, label, np.zeros(classes, np.int16))
    x = np.where(active, np.exp((z - z[active > 0].max()) / 1024), 0)
    x /= x.sum()
    if label >= 0:
        x[label] -= 1
    assert abs(e / ONE - x).max() < 2e-3
    assert (e[active == 0] == 0).all()
    assert -classes < e.sum() - (ONE if label < 0 else 0) <= 0  # each class is floored


@given(st.data(), st.integers(1, 40), st.integers(1, 70), BITS, st.integers(1, 4))
def test_head_backward(data, classes, n, bits, copies):
    e, weight = data.draw(arrays(np.int16, classes)), data.draw(arrays(MASTER[bits], classes * n))
    _, (*_, df, (k, other)) = agree("head_backward", e, weight, bits, np.zeros(copies * n, np.int16), EXPONENTS)
    assert other == EXPONENTS[1]
    assert (df.reshape(copies, n) == df[:n]).all()
    df = df[:n]
    sums = e.astype(np.int64) @ (weight.astype(np.int64) >> (bits - 16)).reshape(classes, n)
    sums = np.clip(sums.astype(np.int32), -(2**30), 2**30).astype(np.int64)
    assert k == int(abs(sums).max()).bit_length() - 15
    error = abs(df * 2.0**k - sums)
    assert ((error <= 2.0**k / 2) | (df == 32767)).all()


@pytest.mark.parametrize("e", (-32768, 32767))
def test_head_backward_largest(e):
    """A sum of 2^30 is taken as it is, and what is larger as 2^30."""
    for classes, bits in ((1, 16), (1, 32), (2, 16), (3, 32)):
        weight = np.full(classes, np.iinfo(MASTER[bits]).min, MASTER[bits])
        errors, df = np.full(classes, e, np.int16), np.zeros(1, np.int16)
        _, (*_, df, (k, _)) = agree("head_backward", errors, weight, bits, df, EXPONENTS)
        # Twice 2^30 is -2^31 modulo 2^32.
        wrapped = (classes * e * -32768 + 2**31) % 2**32 - 2**31
        assert abs(df[0] * 2.0**k - min(max(wrapped, -(2**30)), 2**30)) <= 2.0**k / 2


@st.composite
def updates(draw):
    bits, samples = draw(BITS), draw(st.one_of(st.integers(1, 8), st.just(64)))
    classes, n = draw(st.integers(1, 7)), draw(st.integers(1, 50))
    hyper = np.array(
        [
            bits,
            draw(st.integers(1, 15)),
            draw(st.integers(-31, 15)),
            draw(st.integers(0, 31)),
            draw(st.integers(0, 31)),
        ],
        np.int8,
    )
    weight, velocity = (draw(arrays(MASTER[bits], classes * n)) for _ in range(2))
    e, f = draw(arrays(np.int16, samples * classes)), draw(arrays(np.int8, samples * n))
    return e, f, draw(actives(classes)), weight, velocity, hyper, draw(states())


@given(updates())
def test_head_update(arguments):
    _, (_, _, active, weight, velocity, _, _) = agree("head_update", *arguments)
    for before, after in zip(arguments[3:5], (weight, velocity), strict=True):
        idle = active == 0
        np.testing.assert_array_equal(after.reshape(active.size, -1)[idle], before.reshape(active.size, -1)[idle])


@pytest.mark.parametrize("momentum", (0, 1, 3))
@pytest.mark.parametrize("decay", (0, 6))
def test_head_update_is_sgd(momentum, decay):
    """40 steps with 32 bits are float SGD up to the floors of the shifts."""
    random = np.random.default_rng(5)
    classes, n, samples = 4, 9, 8
    weight, velocity = random.integers(-(2**28), 2**28, classes * n).astype(np.int32), np.zeros(classes * n, np.int32)
    rng, active = np.array([1], np.uint32), np.ones(classes, np.uint8)
    w, v = weight.astype(float), velocity.astype(float)
    keep = 1 - 2.0**-momentum if momentum else 0
    for _ in range(40):
        e, f = (
            random.integers(-ONE, ONE, samples * classes, np.int16),
            random.integers(-128, 128, samples * n, np.int8),
        )
        hyper = np.array([32, 5, -4, momentum, decay], np.int8)
        _, (_, _, _, weight, velocity, _, _) = agree("head_update", e, f, active, weight, velocity, hyper, rng)
        gradient = e.reshape(samples, classes).astype(float).T @ f.reshape(samples, n)
        v = keep * v + (gradient * 5 / 16).ravel()
        w = w - v - (w * 2.0**-decay if decay else 0)
    assert abs(w).max() < 2**31
    assert abs(weight - w).max() < 40 * 40
    assert abs(weight - w).max() / abs(w).max() < 1e-5


def test_head_update_rounding_is_unbiased():
    """16 bits: a step of 0.3 of a unit is taken by 30 % of the weights, and so is its velocity."""
    classes, n = 64, 1024
    weight, velocity = np.full(classes * n, 100, np.int16), np.zeros(classes * n, np.int16)
    delta = round(0.3 * 65536)
    e, f = np.full(classes, delta // 32, np.int16), np.full(n, 32, np.int8)
    hyper, active = np.array([16, 1, 0, 0, 0], np.int8), np.ones(classes, np.uint8)
    arguments = e, f, active, weight, velocity, hyper, np.array([9], np.uint32)
    _, (_, _, _, weight, velocity, _, _) = agree("head_update", *arguments)
    bound = 4 * (0.3 * 0.7 / weight.size) ** 0.5
    assert abs(weight.mean() - 99.7) < bound and abs(velocity.mean() - 0.3) < bound
    assert abs(np.corrcoef(weight, velocity)[0, 1]) < 4 / weight.size**0.5  # one draw, independent halves


@given(st.data(), st.integers(1, 8), st.integers(1, 60), BITS, st.integers(2, 8))
def test_head_quantize(data, classes, n, bits, q_f):
    limit = data.draw(st.sampled_from((1, 5, 127, 128, 1000, 2**15))) << (bits - 16)
    weight = data.draw(arrays(MASTER[bits], classes * n, -limit, limit - 1))
    out, shift = np.zeros(classes * n, np.int8), np.zeros(classes, np.int8)
    _, (*_, out, shift) = agree("head_quantize", weight, bits, q_f, out, shift)
    assert abs(out.astype(int)).max() < 1 << (q_f - 1) and shift.min() >= -8
    step = 2.0 ** (shift.astype(float) + 8)[:, None]
    weight = weight.reshape(classes, n) >> (bits - 16)
    # Half a step, but a whole one where the largest magnitude rounds up to a power of two and is clamped.
    assert (abs(out.reshape(classes, n) * step - weight) <= step).all()


@given(st.data(), st.integers(1, 9), st.integers(1, 40), BITS)
def test_head_begin(data, classes, n, bits):
    cw, here = data.draw(arrays(np.int16, classes * n)), data.draw(arrays(np.uint8, classes, 0, 1))
    weight, velocity = (data.draw(arrays(MASTER[bits], classes * n)) for _ in range(2))
    _, (*_, weight, velocity) = agree("head_begin", cw, here, bits, weight, velocity)
    np.testing.assert_array_equal(weight >> (bits - 16), cw * here.repeat(n))
    assert not velocity.any()


@given(st.data(), st.integers(1, 200), BITS, st.one_of(st.integers(-32767, 32767), st.integers(-32, 32)))
def test_head_add(data, n, bits, factor):
    f, weight = data.draw(arrays(np.int8, n)), data.draw(arrays(MASTER[bits], n))
    _, (*_, after) = agree("head_add", f, factor, bits, weight)
    limits = np.iinfo(MASTER[bits])
    np.testing.assert_array_equal(after, np.clip(weight + f.astype(np.int64) * factor, limits.min, limits.max))


@given(st.data(), st.one_of(st.integers(1, 300), st.just(65536)), BITS)
def test_head_sum(data, n, bits):
    weight = data.draw(arrays(MASTER[bits], n))
    total, _ = agree("head_sum", weight, bits)
    assert total == (weight >> (bits - 16)).sum(dtype=np.int64)


@given(st.data(), st.integers(1, 200), BITS, st.integers(-32768, 32767), st.integers(0, 1 << 15))
def test_consolidate(data, n, bits, mean, alpha):
    cw, tw = data.draw(arrays(np.int16, n)), data.draw(arrays(MASTER[bits], n))
    agree("consolidate", cw, tw, bits, mean, alpha)


@given(st.data(), st.integers(1, 200), BITS, st.integers(-1000, 1000), st.floats(0, 100))
def test_consolidate_is_cwr(data, n, bits, mean, past):
    """cw = (cw * w + (tw - g)) / (w + 1), with w = sqrt(past/cur)."""
    cw, tw = data.draw(arrays(np.int16, n)), data.draw(arrays(MASTER[bits], n))
    alpha = round(past / (past + 1) * 2**15)
    _, (result, *_) = agree("consolidate", cw, tw, bits, mean, alpha)
    new = np.clip((tw >> (bits - 16)).astype(float) - mean, -32768, 32767)
    assert abs(result - (cw * past + new) / (past + 1)).max() <= 0.5 + 65535 * 0.5 / 2**15 + 1e-6
