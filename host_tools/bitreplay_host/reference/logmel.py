"""Spectrograms: the power of sound in bands of frequency, as logarithms, and an image of them."""

from functools import lru_cache

import numpy as np

from .arguments import MAX_FIRST_CIN, MAX_FRAME, MAX_SIDE, counted, in_range, input_buffer, output_buffer, wrap32

LOUDEST = 4432  # 12 nepers of power, in 1/256 of an octave


def logmel(samples, window, cosine, spans, weights, logarithm, scratch, out):
    """A column of a spectrogram: the logarithms of a frame's power in bands of frequency, in 1/256 of an octave.

    samples i16[n], n a multiple of 4, at most 512; window i16[n], in 1/2^15; cosine i16[n + n/4], in 1/2^14, a turn
    and a quarter; spans u16[2*B], the first bin of each band and how many; weights u16[all of them], in 1/2^10;
    logarithm u8[256], of 1 + i/256 to the base 2, in 1/256; scratch u32[2*n + 6]; out u16[B].
    ValueError for a size or range that differs.
    """
    n = 4 * counted("samples", samples, 8, MAX_FRAME // 4)
    count = counted("out", out, 2, MAX_SIDE)
    samples = input_buffer("samples", samples, np.int16, n).astype(np.int64)
    window = input_buffer("window", window, np.int16, n)
    cosine = input_buffer("cosine", cosine, np.int16, n + n // 4).astype(np.int64)
    spans = input_buffer("spans", spans, np.uint16, 2 * count).reshape(count, 2).astype(np.int64)
    for first, bins in spans:
        in_range("spans: first bin", first, 0, n // 2)
        in_range("spans: bins", bins, 1, n // 2 + 1 - first)
    starts = np.cumsum(spans[:, 1]) - spans[:, 1]
    weights = input_buffer("weights", weights, np.uint16, spans[:, 1].sum()).astype(np.uint64)
    if weights.max() > 1024:
        raise ValueError("weights: must be 0..1024")
    logarithm = input_buffer("logarithm", logarithm, np.uint8, 256)
    output_buffer("scratch", scratch, np.uint32, 2 * n + 6)
    out = output_buffer("out", out, np.uint16, count)
    powers = _powers((samples * window + (1 << 14)) >> 15, cosine)
    terms = powers[np.concatenate([np.arange(first, first + bins) for first, bins in spans])] * weights
    out[:] = [_log2(int(v), logarithm) for v in np.add.reduceat(terms, starts)]


def _powers(x, cosine):
    """Of the bins 0..n/2. Samples whose cosines differ in their signs alone are added up before the product."""
    n = len(x)
    half, quarter = n // 2, n // 4
    i = np.arange(quarter + 1)
    a, b, c, d = x[i], x[half - i] * (i < quarter), x[(half + i) % n] * (i > 0) * (i < quarter), x[-i] * (i > 0)
    even = a + d + b + c, a - d - b + c
    odd = a + d - b - c, a - d + b - c
    at, is_even = _angles(n)
    power = 0
    for part, start in ((0, 0), (1, quarter)):
        products = wrap32(np.where(is_even, even[part], odd[part]) * cosine[at + start])
        power += ((products.sum(1) + (1 << 13)) >> 14) ** 2
    return power.astype(np.uint64)


@lru_cache
def _angles(n):
    """[n/2 + 1][n/4 + 1]: where a bin has a sample's cosine; [n/2 + 1][1]: whether the bin is even."""
    bins = np.arange(n // 2 + 1)[:, None]
    return bins * np.arange(n // 4 + 1) % n, bins % 2 == 0


def _log2(value, logarithm):
    """In 1/256, of the nine highest bits; 0 of 0."""
    if value == 0:
        return 0
    e = value.bit_length() - 1
    return 256 * e + int(logarithm[(value << 8 >> e) & 255])


def logmel_image(x, bands, first, channels, y):
    """Columns of a spectrogram as an image: 255 is the highest value, 0 what is 12 nepers below it or less.

    x u16[T*bands], a ring of T columns, T and bands at most 256, the oldest of which is number `first`;
    y u8[bands*T*channels], the last band first, channels 1..16, all equal.
    ValueError for a size or range that differs.
    """
    bands = in_range("bands", bands, 1, MAX_SIDE)
    columns = counted("x", x, 2 * bands, MAX_SIDE)
    first = in_range("first", first, 0, columns - 1)
    channels = in_range("channels", channels, 1, MAX_FIRST_CIN)
    x = input_buffer("x", x, np.uint16, columns * bands).reshape(columns, bands).astype(np.int64)
    y = output_buffer("y", y, np.uint8, columns * bands * channels)
    floor = max(int(x.max()) - LOUDEST, 0)
    pixels = np.roll((x - floor).clip(0) * 255 // LOUDEST, -first, axis=0)
    y[:] = pixels.T[::-1].repeat(channels, axis=None)
