# Sound as images: spectrograms, whose tables and figures docs/numbers.md tells (Sound).

from array import array

import _bitreplay as kernels

from .checks import check_integer, check_one_of, is_other_array, kind

SIDE = 32  # columns, and bands of frequency, of the shipped models' images
LEAST, MOST = 16, 64  # bands: of more, some would have no bin
LOWEST, HIGHEST, BEND = 60, 4000, 700  # Hz: of the bands; where their scale turns from even to logarithmic
BITS = 40  # of the fractions that tables are made of, so that no float of a board rounds them
ONE, PI = 1 << BITS, 3454217652358  # pi * 2^40


def _rounded(value):
    return (value + (ONE >> 1)) >> BITS


def _circle(n):
    """window and cosine of frames of n samples."""
    window, cosine = array("h", bytes(2 * n)), array("h", bytes(2 * n + n // 2))
    angle = PI // n
    square = angle * angle >> BITS
    # Cosine and sine of half a step, by their series.
    c = ONE - square // 2 + (square * square >> BITS) // 24
    s = angle - (angle * square >> BITS) // 6 + ((square * square >> BITS) * angle >> BITS) // 120
    x, y = ONE, 0
    for i in range(n + n // 4):
        cosine[i] = _rounded(x << 14)
        x, y = (x * c - y * s) >> BITS, (x * s + y * c) >> BITS
        if i < n:
            window[i] = _rounded(32767 * (ONE - x) >> 1)
        x, y = (x * c - y * s) >> BITS, (x * s + y * c) >> BITS
    return window, cosine


def _ratio(bands):
    """From a corner of the triangles to the next one, on the scale that is logarithmic."""
    goal, ratio = (BEND + HIGHEST) * ONE // (BEND + LOWEST), ONE
    for bit in range(BITS - 4, -1, -1):
        product = ONE
        for _ in range(bands + 1):
            product = product * (ratio + (1 << bit)) >> BITS
        if product <= goal:
            ratio += 1 << bit
    return ratio


def _bands(bands, bins, hertz):
    """spans and weights of so many triangles over so many bins, of 1/32 Hz each."""
    ratio, corners, at = _ratio(bands), [], (BEND + LOWEST) * ONE
    for _ in range(bands + 2):
        corners.append(at - BEND * ONE)
        at = at * ratio >> BITS
    spans, weights = array("H"), array("H")
    for band in range(bands):
        low, middle, high = corners[band : band + 3]
        first = count = 0
        for k in range(bins):
            f = k * hertz * ONE // 32
            rise, fall = ((f - low) << 11) // (middle - low), ((high - f) << 11) // (high - middle)
            weight = (min(rise, fall) + 1) >> 1
            if weight > 0:
                first = first if count else k
                count += 1
                weights.append(weight)
        spans.append(first)
        spans.append(count)
    return spans, weights


def _logarithm():
    """256 times the logarithm of 1 + i/256 to the base 2."""
    table = bytearray(256)
    for i in range(256):
        v, bits = (256 + i) * (ONE >> 8), 0
        for _ in range(9):  # a bit more than is kept, to round by
            v = v * v >> BITS
            bits <<= 1
            if v >= 2 * ONE:
                v >>= 1
                bits |= 1
        table[i] = min(255, (bits + 1) >> 1)
    return table


class LogMel:
    """The last sound as a picture for a model: time from left to right, low tones at the bottom.

    rate: 8000 or 16000 samples a second. channels: how often each pixel is written. bands and columns: the picture's
    height and width. A column is `frame` samples, the next one begins `hop` samples later, after 31 ms: 32 are a
    second. To make the tables takes a board some tenths of a second.
    """

    def __init__(self, rate=8000, channels=3, bands=SIDE, columns=SIDE):
        check_one_of("rate", rate, (8000, 16000))
        check_integer("channels", channels, 1, 16)
        self.bands = check_integer("bands", bands, LEAST, MOST)
        self.width = check_integer("columns", columns, 1, 256)
        self.rate, self.channels, self.frame = rate, channels, 8 * rate // 250
        self.hop = self.frame - self.frame // 32
        self.samples, self._out = array("h", bytes(2 * self.frame)), array("H", bytes(2 * bands))
        self.columns = array("H", bytes(2 * bands * columns))  # a ring, whose oldest one is number `next`
        self.next = 0
        self.pixels = bytearray(bands * columns * channels)
        window, cosine = _circle(self.frame)
        spans, weights = _bands(bands, self.frame // 2 + 1, 32 * rate // self.frame)
        scratch = bytearray(4 * (2 * self.frame + 6))
        self._call = self.samples, window, cosine, spans, weights, _logarithm(), scratch, self._out

    def _column(self):
        kernels.logmel(*self._call)
        self.columns[self.bands * self.next : self.bands * (self.next + 1)] = self._out
        self.next = (self.next + 1) % self.width

    def add(self, samples):
        """The next `hop` samples of a stream, array("h"): the picture moves on by a column."""
        kept = self.frame - self.hop
        self._check(samples)
        if len(samples) != self.hop:
            raise ValueError(
                "samples: must be %d, the hop from one column to the next, got %d" % (self.hop, len(samples))
            )
        self.samples[:kept] = self.samples[self.hop :]
        memoryview(self.samples)[kept:] = memoryview(samples)
        self._column()

    def loudness(self):
        """Of the newest column: the logarithm of its power to the base 2, of its loudest band."""
        newest = self.bands * ((self.next - 1) % self.width)
        return max(self.columns[newest : newest + self.bands]) / 256

    def image(self):
        """The picture, a buffer that is used again."""
        kernels.logmel_image(self.columns, self.bands, self.next, self.channels, self.pixels)
        return self.pixels

    def of(self, samples):
        """The picture of a recording, array("h"): of its middle. What is shorter has silence around it."""
        self._check(samples)
        n, source, frame = len(samples), memoryview(samples), memoryview(self.samples)
        length = self.hop * (self.width - 1) + self.frame
        start = (n - length) // 2 if n > length else -((length - n) // 2)
        silence = array("h", bytes(2 * self.frame))
        for _ in range(self.width):
            first, end = min(max(0, start), n), max(0, min(n, start + self.frame))
            self.samples[:] = silence
            if first < end:
                frame[first - start : end - start] = source[first:end]
            self._column()
            start += self.hop
        return self.image()

    def _check(self, samples):
        # A slice of the right type can be assigned, and nothing else but, on MicroPython, one of another type's array.
        try:
            if is_other_array(samples, "h"):
                raise TypeError
            memoryview(self.samples)[:0] = memoryview(samples)[:0]
        except (TypeError, ValueError):
            raise TypeError('samples: must be signed integers of 16 bits, such as array("h"), got ' + kind(samples))
