"""bitreplay.logmel: its tables are those of docs/numbers.md, and boards make the same pictures as CPython."""

import math
from array import array

import bitreplay
import numpy as np
import pytest
from bitreplay import sound


@pytest.mark.parametrize("n", [256, 512])
def test_tables_of_a_transform(n):
    """They are integers, made of integers: what doubles round to."""
    window, cosine = sound._circle(n)
    assert np.array_equal(window, np.rint(32767 * np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2))
    assert np.array_equal(cosine, np.rint(16384 * np.cos(2 * np.pi * np.arange(n + n // 4) / n)))
    assert sum(window) <= n << 14


def test_table_of_logarithms():
    assert np.array_equal(list(sound._logarithm()), np.rint(256 * np.log2(1 + np.arange(256) / 256)))


@pytest.mark.parametrize("count", [16, 32, 40, 64])
@pytest.mark.parametrize("rate", [8000, 16000])
def test_bands_are_triangles(rate, count):
    n = 8 * rate // 250
    ends = 700 * (np.exp(np.linspace(math.log(1 + 60 / 700), math.log(1 + 4000 / 700), count + 2)) - 1)
    low, middle, high = (ends[i : i + count, None] for i in range(3))
    bins = np.arange(n // 2 + 1) * rate / n
    expected = np.rint(1024 * np.minimum((bins - low) / (middle - low), (high - bins) / (high - middle)).clip(0))
    spans, weights = sound._bands(count, n // 2 + 1, 32 * rate // n)
    found, position = np.zeros_like(expected), 0
    for band, (first, bins) in enumerate(np.reshape(spans, (count, 2))):
        assert bins
        found[band, first : first + bins] = weights[position : position + bins]
        position += bins
    assert np.array_equal(found, expected) and position == len(weights)
    assert found.sum(axis=1).max() < 1 << (13 if count > 16 else 14)


def tone(rate, seconds=1.2):
    t = np.arange(int(rate * seconds)) / rate
    return np.rint(9000 * np.sin(2 * np.pi * (300 * t + 900 * t * t))).astype(np.int16)


def test_a_stream_is_as_a_recording():
    """add() with each hop, and of() of the whole."""
    sound = bitreplay.logmel(8000, 1)
    samples = array("h", tone(8000).tolist())[: 31 * sound.hop + sound.frame]
    expected = bytes(sound.of(samples))
    stream = bitreplay.logmel(8000, 1)
    stream.samples[-8:] = samples[:8]
    for start in range(8, len(samples), stream.hop):
        stream.add(samples[start : start + stream.hop])
    assert bytes(stream.image()) == expected and max(expected) == 255
    assert stream.loudness() == max(stream.columns[-32:]) / 256


def test_a_wider_picture_has_the_columns_of_a_narrow_one():
    """And others before and after them; of() takes the middle."""
    narrow, wide = [np.array(bitreplay.logmel(8000, 1, 40, n).of(tone(8000))).reshape(40, n) for n in (20, 24)]
    assert np.array_equal(wide[:, 2:22] > 0, narrow > 0) and narrow.any()


def test_both_rates_see_the_same():
    """A tone is in the same rows, but for its edges."""
    pictures = [np.array(bitreplay.logmel(rate, 1).of(tone(rate, 0.9)), int).reshape(32, 32) for rate in (8000, 16000)]
    loud = pictures[0] > 128
    assert abs(pictures[0] - pictures[1])[loud].mean() < 8 and loud.sum() > 60


BOARD = """
import sys
from array import array
import bitreplay, binascii
sound = bitreplay.logmel(*[int(n) for n in sys.argv[2:]])
with open(sys.argv[1], "rb") as file:
    samples = array("h", file.read())
print(binascii.hexlify(sound.of(samples)).decode())
"""


@pytest.mark.parametrize("kind", [(8000,), (16000,), (16000, 1, 40, 48)])
def test_boards_make_the_same_picture(micropython, tmp_path, kind):
    samples = tone(kind[0], 0.7)
    (tmp_path / "samples").write_bytes(samples.tobytes())
    assert bytes.fromhex(micropython(BOARD, tmp_path / "samples", *kind)) == bytes(bitreplay.logmel(*kind).of(samples))


REFUSED = """
import sys
from array import array
import bitreplay
sound = bitreplay.logmel()
for call in (
    lambda: bitreplay.logmel(44100), lambda: bitreplay.logmel(8000, 17), lambda: bitreplay.logmel(bands=65),
    lambda: bitreplay.logmel(columns=0), lambda: sound.add(array("h", bytes(20))),
    lambda: sound.add(bytearray(248)), lambda: sound.of(None), lambda: sound.of([1, 2]),
    lambda: sound.add(array("H", bytes(496))), lambda: sound.of(array("H", bytes(496))),
):
    try:
        print("taken", call())
    except (ValueError, TypeError) as error:
        print(error)
"""


@pytest.mark.parametrize("port", ["micropython", "cpython"])
def test_what_is_refused(request, port):
    lines = request.getfixturevalue(port)(REFUSED).splitlines()
    kind = 'samples: must be signed integers of 16 bits, such as array("h"), got '
    assert lines == [
        "rate: must be 8000 or 16000, got 44100",
        "channels: must be an integer, 1..16, got 17",
        "bands: must be an integer, 16..64, got 65",
        "columns: must be an integer, 1..256, got 0",
        "samples: must be 248, the hop from one column to the next, got 10",
        *(kind + name for name in ("bytearray", "NoneType", "list", "array('H')", "array('H')")),
    ]


def test_nothing_and_silence_are_black():
    assert not any(bitreplay.logmel().of(array("h"))) and not any(bitreplay.logmel().of(array("h", bytes(9000))))
