"""examples/movement.py on the unix port, with HAPT's movements."""

import re

import numpy as np
import pytest
from bitreplay_host.datasets import hapt
from example_data import DATA


@pytest.fixture(scope="module")
def movements():
    return hapt.load(DATA)


SENSOR = """
import json, movement

class Bus:  # sends a recording as an MPU-6050 would; nothing else of that chip
    written = []
    def writeto_mem(self, address, register, data):
        self.written.append([address, register, data[0]])
    def readfrom_mem_into(self, address, register, buffer):
        assert (address, register, len(buffer)) == (0x68, 0x3B, 14)
        file.readinto(buffer)

file = open(sys.argv[1], "rb")
window = movement.Window(movement.Mpu6050(Bus()))
for _ in range(256):
    window.add()
print(json.dumps([list(window.window.image()), Bus.written]))
"""


def test_sensor_is_read(call_example, movements, tmp_path):
    """Byte order, signs and units of the registers; the last 128 of 256 samples are the window."""
    rows = np.flatnonzero(movements["labels"] == 0)[[3, 9]]
    both = movements["windows"][rows].reshape(-1, 6)
    registers = np.insert(both, 3, 1000, axis=1)  # the temperature
    (tmp_path / "registers").write_bytes(registers.astype(">i2").tobytes())
    found, written = call_example(SENSOR, tmp_path / "registers")
    assert bytes(found) == hapt.to_images(both[None, 128:]).tobytes()
    assert [0x68, 0x6B, 1] in written and [0x68, 0x1B, 8] in written


@pytest.mark.exhaustive
def test_imu_learns(run_example, movements, record_property):
    """Three people whom the network never saw: learned from one recording, tested on another.

    With the sensor as in pretraining, and turned (the recordings' axes are exchanged), which the pretrained classes
    cannot know.
    """
    for turned, floor in ([], 0.9), (["turned"], 0.75):
        counts = []
        for person in ("21", "25", "29"):
            shown = run_example("movement.py", DATA, person, *turned)
            counts.append(
                re.search(r"(\d+) windows: pretrained (\d+) right, after learning (\d+) right", shown).groups()
            )
        total, before, after = np.array(counts, int).sum(0)
        name = " ".join(["examples/movement.py", *turned])
        text = f"{name}: of {total} windows pretrained {before}, after learning {after} right"
        record_property("measured", text)
        assert after >= floor * total
    assert after > 2 * before
