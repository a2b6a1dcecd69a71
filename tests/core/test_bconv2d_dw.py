"""bconv2d_dw."""

import numpy as np
import pytest
from agreement import IMPLEMENTATIONS, WORD, agree, arrays, fill, outputs, states, unpack, windows
from bitreplay_host import reference
from bitreplay_host.onboard.kernel_arguments import square
from bitreplay_host.reference.gradient import quantize
from hypothesis import given
from hypothesis import strategies as st
from test_bconv2d_dx import layers, weights

SCRATCH = (9,)  # its position
NOISE = np.random.default_rng(0)


def sizes(geometry, samples):
    """Output positions of all samples, and that rounded up to a multiple of 32."""
    used = samples * int(np.prod(outputs(geometry)))
    return used, -(-used // 32) * 32


def arguments(geometry, x, g, shifts, slope, channels, weight, packed, hyper, rng):
    words = reference.bconv2d_dw_scratch(geometry, shifts.size, channels.size)
    scratch, square = fill(NOISE, "random", np.int32, words), fill(NOISE, "random", np.int32, 2)
    return geometry, x, g, shifts, slope, channels, weight, packed, hyper, scratch, rng, square


@st.composite
def calls(draw, **shapes):
    geometry = draw(layers(**shapes))
    height, width, cin, cout, *_ = (int(v) for v in geometry)
    samples = draw(st.one_of(st.integers(1, 9), st.just(32)))
    _, padded = sizes(geometry, samples)
    count, fan_in = draw(st.sampled_from((1, 3, 16, cout))), weights(geometry)
    channels = np.array(sorted(draw(st.permutations(range(cout)))[:count]), np.uint16)
    limit = draw(st.sampled_from((2, 300, 2**15)))
    g, shifts = draw(arrays(np.int16, count * padded, -limit, limit - 1)), draw(arrays(np.uint8, samples, 0, 31))
    x, slope = draw(arrays(np.uint32, samples * height * width * cin // 32, *WORD)), draw(arrays(np.int16, 2 * cout))
    weight, packed = draw(arrays(np.int8, count * fan_in)), draw(arrays(np.uint32, cout * fan_in // 32, *WORD))
    exponent = draw(st.one_of(st.integers(-128, 127), st.integers(-50, -25)))
    hyper = (
        draw(st.integers(2, 16)),
        draw(st.integers(0, 1)),
        draw(st.integers(1, 15)),
        exponent,
        draw(st.integers(0, 1)),
    )
    return arguments(geometry, x, g, shifts, slope, channels, weight, packed, np.array(hyper, np.int8), draw(states()))


@given(calls())
def test_bconv2d_dw(call):
    _, after = agree("bconv2d_dw", *call, scratch=SCRATCH)
    if not call[8][4]:
        for i in (6, 7):
            np.testing.assert_array_equal(after[i], call[i])


def products(q, geometry, samples, x, o):
    """dW of channel o, tap by tap [kernel_h, kernel_w, cin/groups]: q [samples, oh, ow]."""
    height, width, cin, cout, kernel_h, kernel_w, *_, groups = (int(v) for v in geometry)
    inputs = cin // groups
    first = o // (cout // groups) * inputs
    x = unpack(x, samples, height, width, cin)[..., first : first + inputs]
    dw = np.zeros((kernel_h, kernel_w, inputs), np.int64)
    for row, column, i, j, r, c in windows(geometry):
        dw[i, j] += q[:, row, column] @ x[:, r, c]
    return dw


def add_square(total, dw, exponent):
    """(M, X) with the squares of a row."""
    h = max(0, int(abs(dw).max()).bit_length() - 8)
    added, at = sum((abs(int(v)) >> h) ** 2 for v in dw), 2 * (h + exponent)
    m, x = total
    if added == 0:
        return total
    if m == 0:
        m, x = added, at
    elif x < at:
        m, x = (m >> min(31, at - x)) + added, at
    else:
        m += added >> min(31, x - at)
    while m >= 2**30:
        m, x = m >> 1, x + 1
    return m, x


def by_parts(implementation, call):
    """(weight, packed, numbers, rng, square) by what it is made of, with sums tap by tap; and the exact square."""
    geometry, x, g, shifts, slope, channels, weight, packed, hyper, _, rng, _ = call
    _, _, cin, cout, kernel_h, kernel_w, *_, groups = (int(v) for v in geometry)
    bits, stochastic, mantissa, exponent, update = (int(v) for v in hyper)
    samples, inputs, (oh, ow) = shifts.size, cin // groups, outputs(geometry)
    used, padded = sizes(geometry, samples)
    s, left, weight, packed = rng.copy(), g.copy(), weight.copy(), packed.copy()
    rows, exponents = [], []
    for t, o in enumerate(channels.tolist()):
        v = np.zeros(padded, np.int64)
        for j in range(used):
            v[j] = (int(g[t * padded + j]) << 14) >> int(shifts[j // (oh * ow)])
        q, k = quantize(v, bits, stochastic, s)
        left[t * padded : (t + 1) * padded] = q
        rows.append(products(q[:used].reshape(samples, oh, ow), geometry, samples, x, o).reshape(-1, inputs))
        exponents.append(k + max(abs(int(v)) for v in slope[2 * o : 2 * o + 2]).bit_length())
    square, exact, weights = (0, 0), 0, weight.reshape(channels.size, -1, inputs)
    signs = packed.reshape(cout, -1, inputs // 32)
    for tap in range(kernel_h * kernel_w):
        for t, o in enumerate(channels.tolist()):
            dw = rows[t][tap].astype(np.int32)
            square = add_square(square, dw, exponents[t])
            exact += int((dw.astype(np.int64) ** 2).sum()) << 2 * exponents[t]
            if update:
                e = max(-31, min(8, exponent + exponents[t]))
                implementation.update_weights(weights[t, tap], dw, mantissa, e, signs[o, tap], s)
    return (weight, packed, left, s, np.array(square, np.int32)), exact


@given(calls(words=(1,), couts=(1,), sides=3, kernels=3))
def test_bconv2d_dw_is_its_parts(call):
    _, after = agree("bconv2d_dw", *call, scratch=SCRATCH)
    for implementation in IMPLEMENTATIONS:
        expected, exact = by_parts(implementation, call)
        for one, other in zip(expected, (after[i] for i in (6, 7, 2, 10, 11)), strict=True):
            np.testing.assert_array_equal(one, other)
    m, x = (int(v) for v in after[11])
    assert 0 <= m < 2**30 and m * 2.0**x <= exact


MEANT = (
    square(1, 1, 32, 4, 1, 1, 0, 1),
    square(4, 3, 32, 5, 3, 1, 1, 1),
    square(5, 4, 64, 4, 3, 2, 1, 2),
    square(4, 4, 32, 32, 2, 2, 0, 1),
    square(2, 3, 32, 3, 5, 2, 4, 1),
    square(3, 3, 96, 6, 1, 1, 0, 3),
    (9, 1, 32, 5, 5, 1, 2, 1, 2, 0, 1),
    (3, 5, 64, 6, 2, 3, 1, 2, 0, 2, 2),
)


@pytest.mark.parametrize("shape", MEANT)
def test_bconv2d_dw_is_a_gradient(shape):
    """With 16 bits nothing is rounded, so the step is exact: each weight gets its part of d(sum of g * acc)/dw."""
    random, geometry, samples = np.random.default_rng(4), np.array(shape, np.uint16), 7
    (height, width, cin, cout), fan_in = shape[:4], weights(shape)
    used, padded = sizes(geometry, samples)
    x = random.integers(*WORD, samples * height * width * cin // 32, np.uint32)
    # One of the largest in each row, so that k is 14, and nothing else: dW has multiples of 2^14 - 1.
    g = random.integers(-1, 2, (cout, padded)).astype(np.int16) * np.int16(2**14 - 1)
    g[:, 0] = 2**14 - 1
    weight = random.integers(-20, 20, cout * fan_in, np.int8)
    slope, channels = np.ones(2 * cout, np.int16), np.arange(cout, dtype=np.uint16)
    packed = np.packbits(weight >= 0, bitorder="little").view(np.uint32)
    # e = 13 + 1: q is 2 * g; the step is half of dW / 2^14, in units of the weights.
    hyper, shifts = np.array([16, 0, 1, -14 - 15, 1], np.int8), np.zeros(samples, np.uint8)
    call = arguments(geometry, x, g.ravel(), shifts, slope, channels, weight, packed, hyper, np.array([5], np.uint32))
    _, after = agree("bconv2d_dw", *call, scratch=SCRATCH)
    total = 0
    for o in range(cout):
        dw = products(g[o, :used].astype(int).reshape(samples, *outputs(geometry)), geometry, samples, x, o).ravel()
        total += (dw.astype(float) ** 2).sum()
        step = dw / 2**14
        moved = weight[o * fan_in : (o + 1) * fan_in] - np.array(after[6][o * fan_in : (o + 1) * fan_in], float)
        assert (abs(moved - step) < 1.01).all() and step.any()
    m, x = (int(v) for v in after[11])
    # Of values that the exponents tell: dW * 2^14 * 2^(bit length of a slope).
    assert 0.97 < m * 2.0**x / (total * 2.0**30) <= 1
    np.testing.assert_array_equal(unpack(after[7], -1) > 0, after[6] >= 0)


@pytest.mark.parametrize("bits", (2, 3, 4))
@pytest.mark.parametrize("channels", (1, 2, 4, 7, 64))
@pytest.mark.parametrize("exponent", range(-48, -21, 2))
def test_bconv2d_dw_of_a_small_minibatch(bits, channels, exponent):
    """Sums fit bytes, and steps are of all sizes; weights are at their limits, too, and beyond."""
    random, samples = np.random.default_rng(-exponent), 8
    geometry = np.array(square(2, 2, 64, 64, 1, 1, 0, 2), np.uint16)
    g, shifts = random.integers(-900, 900, channels * 32, np.int16), random.integers(0, 3, samples, np.uint8)
    x, slope = random.integers(*WORD, samples * 4 * 2, np.uint32), np.ones(128, np.int16)
    trained = np.sort(random.permutation(64)[:channels]).astype(np.uint16)
    weight = random.choice(np.array([-128, -127, -126, -97, -96, -1, 0, 1, 95, 96, 126, 127], np.int8), channels * 32)
    packed = random.integers(*WORD, 64, np.uint32)
    hyper = np.array([bits, 1, 9, exponent, 1], np.int8)
    call = arguments(geometry, x, g, shifts, slope, trained, weight, packed, hyper, np.array([5], np.uint32))
    _, after = agree("bconv2d_dw", *call, scratch=SCRATCH)
    for one, other in zip(by_parts(reference, call)[0], (after[i] for i in (6, 7, 2, 10, 11)), strict=True):
        np.testing.assert_array_equal(one, other)


LARGE = (
    (square(16, 16, 64, 128, 3, 2, 1, 1), 64, 4),
    (square(8, 8, 128, 128, 3, 1, 1, 1), 8, 8),
    (square(4, 4, 256, 256, 1, 1, 0, 2), 256, 4),
    (square(4, 4, 256, 64, 3, 1, 1, 1), 33, 16),
    ((64, 1, 64, 128, 7, 1, 2, 1, 3, 0, 1), 33, 4),
)


@pytest.mark.parametrize(("shape", "samples", "bits"), LARGE)
def test_bconv2d_dw_shapes(shape, samples, bits):
    random, geometry = np.random.default_rng(4), np.array(shape, np.uint16)
    (height, width, cin, cout), fan_in = shape[:4], weights(shape)
    count = cout // 2
    _, padded = sizes(geometry, samples)
    x = random.integers(*WORD, samples * height * width * cin // 32, np.uint32)
    g, shifts = random.integers(-32768, 32768, count * padded, np.int16), random.integers(0, 9, samples, np.uint8)
    slope, channels = random.integers(-500, 500, 2 * cout, np.int16), np.arange(0, cout, 2, np.uint16)
    weight = random.integers(-127, 128, count * fan_in, np.int8)
    packed = random.integers(*WORD, cout * fan_in // 32, np.uint32)
    hyper = np.array([bits, 1, 9, -40, 1], np.int8)
    call = arguments(geometry, x, g, shifts, slope, channels, weight, packed, hyper, np.array([5], np.uint32))
    _, after = agree("bconv2d_dw", *call, scratch=SCRATCH)
    assert (after[6] != weight).mean() > 0.1


@pytest.mark.parametrize("sign", (-1, 1))
def test_bconv2d_dw_largest(sign):
    """4096 positions of the largest numbers, all of one sign."""
    geometry, samples = np.array(square(8, 8, 1024, 32, 1, 1, 0), np.uint16), 64
    x, g = np.full(4096 * 32, 2**32 - 1, np.uint32), np.full(32 * 4096, sign * 32767, np.int16)
    slope, channels = np.full(64, -32768, np.int16), np.arange(32, dtype=np.uint16)
    weight, packed = np.zeros(32 * 1024, np.int8), np.zeros(32 * 32, np.uint32)
    hyper = np.array([16, 0, 1, -30 - 27, 1], np.int8)
    call = arguments(
        geometry, x, g, np.zeros(samples, np.uint8), slope, channels, weight, packed, hyper, np.array([5], np.uint32)
    )
    _, after = agree("bconv2d_dw", *call, scratch=SCRATCH)
    exact = float(32767 * 4096) ** 2 * weight.size * 2.0**60
    assert 0.98 < int(after[11][0]) * 2.0 ** int(after[11][1]) / exact <= 1
