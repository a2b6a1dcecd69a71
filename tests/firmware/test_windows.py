"""bitreplay.window: readings of sensors as images."""

from array import array

import bitreplay
import numpy as np
import pytest
from bitreplay_host.datasets import hapt


def readings(count, seed=3):
    rng = np.random.default_rng(seed)
    found = rng.integers(-32768, 32768, (count, 6)).astype(np.int16)
    found[-9:-5] = [
        [-32768] * 6,
        [32767] * 6,
        [-16385, -129, -1, -16385, -16384, -1],
        [0, 255, 256, 16383, 16384, 127],
    ]
    return found


@pytest.mark.parametrize("count", [128, 129, 200, 256, 300])
def test_an_image_is_as_in_pretraining(count):
    """The last 128 readings, wherever the ring begins."""
    window, all_readings = bitreplay.window(), readings(count)
    for reading in all_readings:
        window.add(array("h", reading.tolist()))
    assert bytes(window.image()) == hapt.to_images(all_readings[None, -128:]).tobytes()


def test_a_picture_is_due_after_a_window_and_then_every_hop():
    window = bitreplay.window(samples=100, hop=30)
    due = [i for i in range(1, 300) if window.add([0] * 6)]
    assert due == list(range(100, 300, 30)) and set(window.image()) == {128}


def test_units_may_be_fractions():
    """A CSV file in g and degrees per second: the same picture."""
    exact, parsed = bitreplay.window(), bitreplay.window(units=(1 / 64, 128 / 65.5))
    for reading in readings(128):
        g, turns = reading[:3] / 16384, reading[3:] / 65.5
        exact.add(reading.tolist())
        parsed.add([*g.tolist(), *turns.tolist()])
    # A turn by a whole number of levels may be the one below, in floating point.
    difference = np.frombuffer(exact.image(), np.uint8).astype(int) - np.frombuffer(parsed.image(), np.uint8)
    assert abs(difference).max() <= 1 and not difference[:1536].any()


@pytest.mark.parametrize("sensors", [1, 2, 4])
def test_each_sensor_has_its_rows(sensors):
    window = bitreplay.window(units=[1] * sensors, samples=96)
    for _ in range(96):
        window.add([sensor for sensor in range(sensors) for _ in range(3)])
    rows = np.frombuffer(window.image(), np.uint8).reshape(sensors, -1)
    assert (rows == 128 + np.arange(sensors)[:, None]).all()


SCRIPT = """
import bitreplay
nan, inf = float("nan"), float("inf")
window = bitreplay.window()
for call in (
    lambda: bitreplay.window(units=256), lambda: bitreplay.window(units=(1, 0)), lambda: bitreplay.window((1, 1, 1)),
    lambda: bitreplay.window((nan, 1)), lambda: bitreplay.window((1, inf)), lambda: bitreplay.window((1, 10**400)),
    lambda: bitreplay.window((1, "1")),
    lambda: bitreplay.window(samples=46), lambda: bitreplay.window(hop=129), lambda: window.add([1, 2, 3]),
):
    try:
        print("taken", call())
    except ValueError as error:
        print(error)
for i in range(150):
    window.add([(i * 7919 * axis) % 65536 - 32768 for axis in range(1, 7)])
print(sum([i * v for i, v in enumerate(window.image())]))
"""


def test_boards_and_cpython_agree(micropython, cpython):
    lines = micropython(SCRIPT).splitlines()
    assert lines == cpython(SCRIPT).splitlines()
    units = "units: must be a tuple of 1, 2 or 4 numbers above 0, at most 1e30, one for each sensor"
    assert lines[:-1] == [
        *7 * [units],
        "samples: must be an integer, 47..4096, got 46",
        "hop: must be an integer, 1..128, got 129",
        "values: must be 6 numbers, got 3",
    ]


WRONG = """
import bitreplay
nan, inf = float("nan"), float("inf")
window = bitreplay.window(samples=47, hop=1)
for i in range(46):
    window.add([256 * i] * 6)
before = bytes(window.image()), [bytes(ring) for ring in window.rings]
for wrong in (nan, inf, -inf, "9", None):
    try:
        print("taken", window.add([9999, 9999, 0, 0, 0, wrong]))
    except ValueError as error:
        print(error)
print((bytes(window.image()), [bytes(ring) for ring in window.rings]) == before)
print(window.add([1e30, -1e30, 10**40, -(10**40), 127 * 128, -128 * 128]))
print(list(window.rings[0][138:141]), list(window.rings[1][138:141]))
"""


@pytest.mark.parametrize("port", ["micropython", "cpython"])
def test_a_reading_that_is_refused_leaves_no_trace(request, port):
    *refused, same, due, rings = request.getfixturevalue(port)(WRONG).splitlines()
    assert refused == [
        "values: must be finite numbers, got " + wrong for wrong in ("nan", "inf", "-inf", "'9'", "NoneType")
    ]
    assert (same, due, rings) == ("True", "True", "[255, 0, 255] [0, 255, 0]")


def test_a_value_too_large_for_an_integer():
    """1e308 of a small unit is infinite; of a unit that is a fraction 10**400 is no float."""
    window = bitreplay.window((1e-5, 1))
    window.add([1e308, -1e308, 0, 0, 0, 0])
    assert list(window.rings[0][:3]) == [255, 0, 128]
    with pytest.raises(ValueError, match="^values: must be finite numbers"):
        window.add([10**400, 0, 0, 0, 0, 0])
