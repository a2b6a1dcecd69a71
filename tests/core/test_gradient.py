"""transpose, quantize_gradient, dot_planes, dot_signs, update_weights, bconv_backward."""

import numpy as np
import pytest
from agreement import IMPLEMENTATIONS, WORD, affines, agree, arrays, fill, states, unpack
from bitreplay_host import reference
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


def decode(planes, bits):
    """The values of bit planes [bits][J/32]."""
    ones = (unpack(planes, bits, -1) + 1) // 2
    return sum(plane << t for t, plane in enumerate(ones[:-1])) - (ones[-1] << (bits - 1))


@st.composite
def gradients(draw, n):
    """g of any magnitude."""
    limit = draw(st.one_of(st.integers(0, 31).map(lambda k: 1 << k), st.integers(1, 2**31)))
    return draw(arrays(np.int32, n, max(-limit, -(2**31)), min(limit, 2**31 - 1)))


@given(st.data(), BLOCKS, BITS, st.integers(0, 1), states())
def test_quantize_gradient(data, blocks, bits, stochastic, rng):
    g = data.draw(gradients(32 * blocks))
    k, (*_, planes, after) = agree("quantize_gradient", g, bits, stochastic, np.zeros(bits * blocks, np.uint32), rng)
    largest = (1 << (bits - 1)) - 1
    clamped = np.clip(g.astype(np.int64), 1 - 2**30, 2**30 - 1)
    assert abs(clamped).max() <= largest << k and (k == 0 or abs(clamped).max() > largest << (k - 1))
    if blocks < 8:
        q = decode(planes, bits)
        error = abs((q << k) - clamped)
        assert abs(q).max() <= largest
        assert (error < 1 << k).all() if stochastic else (error <= 1 << k >> 1).all()
    assert (after == rng).all() or (stochastic and k)


def test_quantize_gradient_is_unbiased():
    g = np.full(4096, 1000, np.int32)
    g[0] = 1 << 20
    k, (*_, planes, _) = agree("quantize_gradient", g, 8, 1, np.zeros(1024, np.uint32), np.array([3], np.uint32))
    q = decode(planes, 8)[1:]
    share = 1000 / (1 << k)
    assert 0 < share < 1 and set(q) == {0, 1}
    assert abs(q.mean() - share) < 4 * (share * (1 - share) / q.size) ** 0.5


@given(st.data(), BLOCKS, BITS, st.integers(1, 40))
def test_dot_planes(data, blocks, bits, count):
    planes = data.draw(arrays(np.uint32, bits * blocks, *WORD))
    rows = data.draw(arrays(np.uint32, count * blocks, *WORD))
    agree("dot_planes", planes, bits, rows, np.zeros(count, np.int32))


@given(st.data(), BLOCKS, st.integers(1, 5))
def test_dot_signs(data, blocks, words):
    q, x = data.draw(arrays(np.int16, 32 * blocks)), data.draw(arrays(np.uint32, 32 * blocks * words, *WORD))
    _, (*_, out) = agree("dot_signs", q, x, np.zeros(32 * words, np.int32))
    if blocks < 8:
        np.testing.assert_array_equal(out, q @ unpack(x, q.size, -1))


@given(st.data(), st.integers(1, 5), st.integers(1, 4), BITS, st.integers(0, 1), states())
def test_dot_planes_is_dot_signs(data, blocks, words, bits, stochastic, rng):
    """The bit-serial product is the plain one, on the quantized gradient and transposed rows."""
    g, x = data.draw(gradients(32 * blocks)), data.draw(arrays(np.uint32, 32 * blocks * words, *WORD))
    for implementation in IMPLEMENTATIONS:
        planes, rows = np.zeros(bits * blocks, np.uint32), np.zeros(x.size, np.uint32)
        serial, plain = np.zeros(32 * words, np.int32), np.zeros(32 * words, np.int32)
        implementation.quantize_gradient(g, bits, stochastic, planes, rng)
        implementation.transpose(x, words, rows)
        implementation.dot_planes(planes, bits, rows, serial)
        implementation.dot_signs(decode(planes, bits).astype(np.int16), x, plain)
        np.testing.assert_array_equal(serial, plain)


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


@st.composite
def backwards(
    draw, groups=(1, 2, 3), words=(1, 2, 4), shapes=((1, 1, 32), (2, 2, 8), (4, 4, 4), (4, 4, 6), (8, 2, 2))
):
    groups, words = draw(st.sampled_from(groups)), draw(st.sampled_from(words))
    height, width, samples = draw(st.sampled_from(shapes))
    channels, fan_in, positions = 32 * words * groups, 32 * words, samples * height * width
    geometry = np.array([height, width, channels, channels, 1, 1, 0, groups], np.uint16)
    x = draw(arrays(np.uint32, positions * channels // 32, *WORD))
    xt = np.zeros_like(x)
    IMPLEMENTATIONS[0].transpose(x, channels // 32, xt)
    classes, head_bits = draw(st.integers(1, 5)), draw(st.sampled_from((16, 32)))
    limit = draw(st.sampled_from((300, 2**15)))
    e = draw(arrays(np.int16, samples * classes, -limit, limit - 1))
    head = draw(arrays({16: np.int16, 32: np.int32}[head_bits], classes * channels))
    weight = draw(arrays(np.int8, channels * fan_in))
    packed = np.packbits(weight >= 0, bitorder="little").view(np.uint32)
    slope, bias, shift = draw(affines(channels))
    value, bits, stochastic = draw(st.integers(1, 127)), draw(BITS), draw(st.integers(0, 1))
    exponent = draw(st.one_of(st.integers(-64, 8), st.integers(-32, -12)))
    hyper = np.array([shift, value, bits, stochastic, draw(st.integers(1, 15)), exponent, head_bits], np.int8)
    words = reference.bconv_scratch(geometry, samples, bits)
    scratch = fill(np.random.default_rng(0), "random", np.int32, words)
    return geometry, x, xt, e, head, weight, packed, slope, bias, hyper, scratch, draw(states())


@given(backwards())
def test_bconv_backward(arguments):
    _, (_, _, _, _, _, weight, packed, *_) = agree("bconv_backward", *arguments, scratch=(10,))
    np.testing.assert_array_equal(unpack(packed, -1) > 0, weight >= 0)


@pytest.mark.parametrize("samples", (64, 256))
def test_bconv_backward_layer(samples):
    """A layer as models have it: 256 channels in 2 groups at 4 x 4; a minibatch of 64, and as many as there may be."""
    random = np.random.default_rng(6)
    geometry, positions = np.array([4, 4, 256, 256, 1, 1, 0, 2], np.uint16), 16 * samples
    x = random.integers(0, 2**32, positions * 8, np.uint32)
    xt = np.zeros_like(x)
    IMPLEMENTATIONS[0].transpose(x, 8, xt)
    e, head = random.integers(-2000, 2000, samples * 10, np.int16), random.integers(-2000, 2000, 10 * 256, np.int16)
    weight = random.integers(-127, 128, 256 * 128, np.int8)
    packed = np.packbits(weight >= 0, bitorder="little").view(np.uint32)
    slope, bias = random.integers(100, 400, 512, np.int16), random.integers(-2000, 2000, 256, np.int32)
    hyper, scratch = (
        np.array([8, 16, 8, 1, 3, -20, 16], np.int8),
        np.zeros(reference.bconv_scratch(geometry, samples, 8), np.int32),
    )
    rng = np.array([11], np.uint32)
    arguments = geometry, x, xt, e, head, weight, packed, slope, bias, hyper, scratch, rng
    _, (_, _, _, _, _, after, *_) = agree("bconv_backward", *arguments, scratch=(10,))
    assert (after != weight).mean() > 0.1


@given(backwards(groups=(1, 2), words=(1,), shapes=((2, 2, 8), (4, 8, 1))))
def test_bconv_backward_is_its_parts(arguments):
    """Row by row with the public kernels, and the gradient position by position in Python's integers."""
    geometry, x, xt, e, head, weight, packed, slope, bias, hyper, _, rng = arguments
    _, (_, _, _, _, _, expected_weight, expected_packed, *_, expected_rng) = agree(
        "bconv_backward", *arguments, scratch=(10,)
    )
    height, width, channels, *_, groups = (int(v) for v in geometry)
    shift, value, bits, stochastic, mantissa, exponent, head_bits = (int(v) for v in hyper)
    area, words = height * width, channels // groups // 32
    positions = x.size // (channels // 32)
    signs, row_of = unpack(x, positions, groups, -1), xt.reshape(groups, -1)
    for implementation in IMPLEMENTATIONS:
        w, p, s = weight.copy().reshape(channels, -1), packed.copy().reshape(channels, -1), rng.copy()
        for o in range(channels):
            group = o // (channels // groups)
            row = unpack(p[o], -1)
            g, df = np.zeros(positions, np.int32), np.zeros(positions // area, np.int16)
            implementation.head_backward(e, head, head_bits, o, df)
            for j in range(positions):
                acc = int(signs[j, group] @ row)
                local = int(slope[2 * o + (acc < 0)])
                total = acc * local + int(bias[o]) + (1 << (shift - 1))
                total = (total + 2**31) % 2**32 - 2**31
                t = (total >> shift) + value * int(signs[j].ravel()[o])
                g[j] = int(df[j // area]) * local if -128 <= t <= 127 else 0
            planes, dw = np.zeros(bits * positions // 32, np.uint32), np.zeros(32 * words, np.int32)
            k = implementation.quantize_gradient(g, bits, stochastic, planes, s)
            implementation.dot_planes(planes, bits, row_of[group], dw)
            implementation.update_weights(w[o], dw, mantissa, max(-31, min(8, exponent + k)), p[o], s)
        np.testing.assert_array_equal(w.ravel(), expected_weight)
        np.testing.assert_array_equal(p.ravel(), expected_packed)
        assert s == expected_rng
