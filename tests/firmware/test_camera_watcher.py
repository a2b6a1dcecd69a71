"""examples/camera_watcher.py on the unix port, with CIFAR-10's pictures; and what all examples may be called.

No camera, button or chip is here, and none is emulated: recorded data comes in through the interfaces that the
examples document for them (a camera, a panel, a sensor), and through the programs' own adapters for files and keys.
"""

import re

import numpy as np
import pytest
from example_data import EXAMPLES, pictures

FRAME = 120, 160  # height, width of a camera's


def rgb565(picture):
    """A frame as a camera sends it, high byte first, with a picture in its middle."""
    rows = np.arange(FRAME[0]) * 32 // FRAME[0]
    frame = np.zeros((*FRAME, 3), np.uint16)
    frame[:, 20:140] = picture[rows][:, rows]
    r, g, b = (frame >> np.array([3, 2, 3], np.uint16)).transpose(2, 0, 1)
    return (r << 11 | g << 5 | b).astype(">u2").tobytes()


# Modules in C that boards have: of MicroPython's ports, of micropython-camera-API, of OpenMV's cameras. They win the
# import over a file with that name.
BUILT_IN = """
alif array asyncio binascii ble bluetooth board btree builtins cmath collections cryptolib deflate errno esp esp32
espnow ffi framebuf gc hashlib heapq io json lwip machine marshal math microbit micropython mimxrt music network nrf
onewire openamp os platform pyb random re renesas rp2 samd select socket spiflash ssl stm struct sys termios time tls
uctypes vfs webrepl websocket wipy zephyr zsensor
acamera camera audio crc cpufreq display fir gif image imu lcd ml mjpeg omv sensor tof tv
"""


def test_no_example_has_the_name_of_a_built_in_module():
    names = {path.stem for path in EXAMPLES.iterdir()}
    assert "buttons" in names and not names & set(BUILT_IN.split())


WATCHER = """
import json, camera_watcher
watcher = camera_watcher.Watcher(None, camera_watcher.FileCamera([sys.argv[1]]))
"""


@pytest.mark.parametrize(("ending", "depth"), [("rgb565", 2), ("grey", 1)])
def test_frame_is_scaled(call_example, tmp_path, ending, depth):
    """Each pixel is the mean of those of the square in the middle that it covers, rounded down, of 255."""
    raw = np.random.default_rng(depth).integers(0, 256, (*FRAME, depth), np.uint8)
    (tmp_path / f"0.{ending}").write_bytes(raw.tobytes())
    found = call_example(
        WATCHER + "print(json.dumps(list(watcher.look())))",
        tmp_path / f"0.{ending}",
    )
    wide = raw[:, 20:140].astype(int)
    if ending == "rgb565":
        wide = wide[..., 0] << 8 | wide[..., 1]
        wide = np.stack([wide >> 11, wide >> 5 & 63, wide & 31], axis=-1)
    edges = np.arange(33) * 120 // 32
    expected = [
        sums * 255 // top // count
        for y0, y1 in zip(edges, edges[1:])
        for x0, x1 in zip(edges, edges[1:])
        for count in [(y1 - y0) * (x1 - x0)]
        for sums, top in zip(
            wide[y0:y1, x0:x1].sum((0, 1)).repeat(3 // wide.shape[2]),
            (31, 63, 31) if ending == "rgb565" else (255, 255, 255),
        )
    ]
    assert found == expected


def test_image_passes_unchanged(call_example, tmp_path):
    """What `bitreplay images` wrote."""
    (tmp_path / "cat0.rgb").write_bytes(pictures(["cat"], 1)["cat"].tobytes())
    found = call_example(WATCHER + "print(json.dumps(list(watcher.look())))", tmp_path / "cat0.rgb")
    assert bytes(found) == (tmp_path / "cat0.rgb").read_bytes()


def test_cut_off_frame_is_refused(call_example, tmp_path):
    (tmp_path / "0.grey").write_bytes(bytes(19199))
    script = """
try:
    watcher.look()
except ValueError as error:
    print(json.dumps(str(error)))
"""
    assert "19199 bytes are not 160x120 grey" in call_example(WATCHER + script, tmp_path / "0.grey")


DRIVER = """
import json

class Driver:  # the order of frames in a driver for the ESP32-S3; nothing else of it
    def __init__(self, frame_size, pixel_format, fb_count=2):
        self.free, self.full, self.kept = fb_count, [], 0
        self.fill()
    def fill(self):  # what is free is filled at once, whoever asks
        self.full += [scene] * self.free
        self.free = 0
    def capture(self):
        self.free += self.kept
        self.kept = 1
        if not self.full:
            self.fill()
        frame = self.full.pop(0)
        if not KEEPS:
            self.free, self.kept = self.free + 1, 0
        self.fill()
        return bytes([frame]) * 38400

class camera:
    Camera = Driver
    class FrameSize:
        QQVGA = 1
    class PixelFormat:
        RGB565 = 0

sys.modules["camera"] = camera
import camera_watcher
scene = 0
watcher = camera_watcher.Watcher(None, camera_watcher.Esp32Camera())
seen = []
for scene in (255, 255, 0, 255):
    seen.append(watcher.look()[0])
print(json.dumps(seen))
"""


@pytest.mark.parametrize("keeps", [True, False])
def test_a_frame_shows_what_is_there_now(call_example, keeps):
    """With drivers that keep a frame until the next is asked for, and with those that copy it and take the next."""
    assert call_example(DRIVER.replace("KEEPS", str(keeps))) == [255, 255, 0, 255]


def test_camera_learns(run_example, tmp_path, record_property):
    """40 frames with pictures of each of four classes; other 40 are recognized."""
    for label, images in pictures(["airplane", "automobile", "frog", "horse"], 80).items():
        for i, image in enumerate(images):
            (tmp_path / f"{label}{i:02}.rgb565").write_bytes(rgb565(image))
    shown = run_example("camera_watcher.py", tmp_path)
    right, total = map(int, re.search(r"right: (\d+) of (\d+) frames, 4 labels", shown).groups())
    record_property("measured", f"examples/camera_watcher.py: {right} of {total} frames right after 40 of each label")
    assert total == 160 and right >= 0.7 * total
