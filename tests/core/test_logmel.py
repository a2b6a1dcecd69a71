"""logmel and logmel_image."""

import math

import numpy as np
import pytest
from agreement import agree, arrays
from hypothesis import given
from hypothesis import strategies as st


def sine_tables(n):
    """window and cosine of a frame of n samples."""
    window = np.rint(32767 * np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2)
    return window.astype(np.int16), np.rint(16384 * np.cos(2 * np.pi * np.arange(n + n // 4) / n)).astype(np.int16)


LOGARITHM = np.rint(256 * np.log2(1 + np.arange(256) / 256)).astype(np.uint8)


def run(samples, window, cosine, spans, weights, logarithm=LOGARITHM):
    arguments = samples, window, cosine, np.array(spans, np.uint16).ravel(), weights, logarithm
    scratch = np.zeros(2 * samples.size + 6, np.uint32)
    _, (*_, out) = agree("logmel", *arguments, scratch, np.zeros(len(spans), np.uint16), scratch=(6,))
    return out


@st.composite
def all_spans(draw, n):
    last = n // 2
    firsts = draw(st.lists(st.integers(0, last), min_size=1, max_size=9))
    return [(first, draw(st.integers(1, last + 1 - first))) for first in firsts]


@given(st.data(), st.integers(1, 128))
def test_logmel(data, quarter):
    """Both implementations are one, whatever is in the tables, even what breaks their ranges."""
    n = 4 * quarter
    spans = data.draw(all_spans(n))
    samples, window = data.draw(arrays(np.int16, n)), data.draw(arrays(np.int16, n))
    cosine, logarithm = data.draw(arrays(np.int16, n + n // 4)), data.draw(arrays(np.uint8, 256))
    weights = data.draw(arrays(np.uint16, sum(bins for _, bins in spans), 0, 1024))
    run(samples, window, cosine, spans, weights, logarithm)


@given(st.data(), st.sampled_from((4, 12, 64, 256, 512)))
def test_it_is_a_fourier_transform(data, n):
    """With the tables of docs/numbers.md: the plain sums over all samples, each bin a band."""
    samples = data.draw(arrays(np.int16, n)).astype(np.int64)
    window, cosine = sine_tables(n)
    i, k = np.arange(n), np.arange(n // 2 + 1)[-256:]
    x = (samples * window + (1 << 14)) >> 15
    sine = np.rint(-16384 * np.sin(2 * np.pi * np.arange(n) / n)).astype(np.int64)
    angle = np.outer(k, i) % n
    powers = sum((((table[angle] * x).sum(1) + (1 << 13)) >> 14) ** 2 for table in (cosine.astype(np.int64), sine))
    out = run(samples.astype(np.int16), window, cosine, [(bin, 1) for bin in k], np.ones(k.size, np.uint16))
    for power, found in zip(powers.tolist(), out.tolist(), strict=True):
        e = max(power, 1).bit_length() - 1
        assert found == (256 * e + round(256 * math.log2(1 + (power << 8 >> e & 255) / 256)) if power else 0)


@pytest.mark.parametrize("samples", [[-32768], [32767], [-32768, 32767], [32767, 32767, -32768, -32768]])
@pytest.mark.parametrize("n", [256, 512])
def test_the_loudest(samples, n):
    """A band of all bins, with the largest weights that are allowed: within the bounds of docs/numbers.md."""
    out = run(
        np.resize(samples, n).astype(np.int16),
        *sine_tables(n),
        [(0, n // 2 + 1)] * 2,
        np.full(n + 2, 1024, np.uint16),
    )
    assert 2 * (7 + 14) + 10 <= out[0] / 256 < 61 and out[0] == out[1]


def test_what_is_below_a_bit_is_lost():
    samples = np.zeros(64, np.int16)
    assert run(samples, *sine_tables(64), [(0, 33)], np.full(33, 1024, np.uint16)) == 0
    samples[32] = 1000
    assert run(samples, *sine_tables(64), [(0, 33)], np.zeros(33, np.uint16)) == 0


@given(st.data(), st.integers(1, 40), st.integers(1, 40), st.integers(1, 16))
def test_logmel_image(data, columns, bands, channels):
    x = data.draw(arrays(np.uint16, columns * bands, 0, 16383))
    first = data.draw(st.integers(0, columns - 1))
    _, (*_, y) = agree("logmel_image", x, bands, first, channels, np.zeros(x.size * channels, np.uint8))
    floor = max(0, int(x.max()) - 4432)
    pixels = [
        max(0, int(x[(first + t) % columns * bands + bands - 1 - b]) - floor) * 255 // 4432
        for b in range(bands)
        for t in range(columns)
        for _ in range(channels)
    ]
    assert y.tolist() == pixels


def test_every_level_of_an_image():
    """The quotient is exact: one column of 0..4432, in rows of at most 256."""
    for start in range(0, 4433, 255):
        x = np.array([*range(start, min(start + 255, 4433)), 4432], np.uint16)
        _, (*_, y) = agree("logmel_image", x, x.size, 0, 1, np.zeros(x.size, np.uint8))
        assert y[::-1].tolist() == [v * 255 // 4432 for v in x.tolist()]
