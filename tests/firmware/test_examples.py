"""The examples on the unix port, on recorded data: CIFAR-10's pictures and HAPT's movements.

No camera, button or chip is here, and none is emulated: recorded data comes in through the interfaces that the
examples document for them (a camera, a panel, a sensor), and through the programs' own adapters for files and keys.
"""

import json
import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from bitreplay_host import paths
from bitreplay_host.datasets import hapt, registry

ROOT = Path(__file__).resolve().parents[2]
FIRMWARE = ROOT / "firmware"
EXAMPLES = FIRMWARE / "examples"
DATA = paths.DATA
FRAME = 120, 160  # height, width of a camera's


@pytest.fixture
def run_example(micropython):
    """A function: runs an example as a user would, with these arguments and lines of input; returns its output."""
    binary = os.environ.get("BITREPLAY_MICROPYTHON", ROOT / "build" / "unix" / "micropython")

    def run(name, *arguments, lines=""):
        environment = {**os.environ, "MICROPYPATH": str(FIRMWARE)}
        command = [binary, EXAMPLES / name, *arguments]
        done = subprocess.run(command, cwd=ROOT, env=environment, input=lines, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture
def call_example(micropython):
    """A function: runs a script that imports an example; returns what it prints last, as JSON."""

    def call(script, *arguments):
        return json.loads(micropython(f"import sys; sys.path.append({str(EXAMPLES)!r})\n{script}", *arguments))

    return call


def pictures(labels, count):
    """{label: so many training images of CIFAR-10}."""
    images, classes = registry.load("cifar10", "train", DATA)
    names = registry.class_names("cifar10")
    return {label: images[np.flatnonzero(classes == names.index(label))[:count]] for label in labels}


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


def test_buttons_learn(run_example, tmp_path, record_property):
    """20 presses of each of three buttons, in turns; then nobody presses, and the LEDs tell."""
    labels = ["ship", "frog", "horse"]
    for button, images in enumerate(pictures(labels, 40).values()):
        for i, image in enumerate(images):
            (tmp_path / f"{i:02}{button}.rgb").write_bytes(image.tobytes())
    # After the presses one line without a button, at which learning starts.
    lines = "0\n1\n2\n" * 20 + "\n" + "\n" * 60
    leds = re.findall(r"^LED (\w+)$", run_example("buttons.py", tmp_path, *labels, lines=lines), re.M)
    assert leds[:60] == ["0", "1", "2"] * 20 and leds[60] == leds[-1] == "off" and len(leds) == 122
    right = sum(led == expected for led, expected in zip(leds[61:121], "012" * 20))
    record_property("measured", f"examples/buttons.py: {right} of 60 pictures right after 20 presses of each button")
    assert right >= 45


TRAINER = """
import json
import bitreplay, buttons

class Panel:
    shown = []
    def __init__(self, held):
        self.held = iter(held)
    def pressed(self):
        return next(self.held)
    def show(self, number):
        self.shown.append(number)

net = bitreplay.load("models/backbone.safetensors")
me = buttons.remembered(net, sys.argv[1], fresh=8)
panel = Panel([0] * 3 + [1] * 3 + [None] * 3 + [1] * 8 + [None])
source = lambda: bytes([20 if panel.shown[-1:] == [0] else 200]) * 3072
trainer = buttons.Trainer(me, panel, source, ["dark", "light"], patience=3, path=sys.argv[1])
steps = []
for _ in range(18):
    trainer.step()
    steps.append(me.experiences)
again = buttons.remembered(net, sys.argv[1])
print(json.dumps([steps, panel.shown, again.digest() == me.digest()]))
"""


def test_buttons_start_learning(micropython, tmp_path):
    """When the last was let go for a while, or when no more samples can be kept; what was learned is saved."""
    path = tmp_path / "me.safetensors"
    shown = micropython(f"import sys; sys.path.append({str(EXAMPLES)!r})\n{TRAINER}", path)
    steps, leds, remembered = json.loads(shown.splitlines()[-1])
    assert steps == [0] * 8 + [1] * 8 + [2] * 2
    assert leds[:7] == [0] * 3 + [1] * 3 + [None] and leds[7:16] == [1] * 8 + [None]
    assert remembered


@pytest.fixture(scope="module")
def movements():
    return hapt.load(DATA)


LAY_OUT = """
import json, movement
window = movement.Window(None)
with open(sys.argv[1], "rb") as file:
    file.readinto(window.samples)
window.next = int(sys.argv[2])
print(json.dumps(list(window.picture())))
"""


@pytest.mark.parametrize("oldest", [0, 1, 77])
def test_window_is_as_in_pretraining(call_example, movements, tmp_path, oldest):
    """The board's picture of a ring of samples is the host's of the window."""
    window = movements["windows"][1234].copy()
    window[:4] = [[-32768] * 6, [32767] * 6, [-16385, -129, -1, -16385, -16384, -1], [0, 255, 256, 16383, 16384, 127]]
    (tmp_path / "ring").write_bytes(np.roll(window, oldest, axis=0).tobytes())
    found = call_example(LAY_OUT, tmp_path / "ring", oldest)
    assert bytes(found) == hapt.to_images(window[None]).tobytes()


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
print(json.dumps([list(window.picture()), Bus.written]))
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
