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


PANEL = """
import json
import bitreplay, buttons

class Panel:
    def __init__(self, held):
        self.held, self.shown = iter(held), []
    def pressed(self):
        for number in self.held:
            return number
        raise KeyboardInterrupt
    def show(self, number):
        self.shown.append(number)

def source():
    return bytes([20 if panel.shown[-1:] == [0] else 200]) * 3072

net = bitreplay.load("models/backbone.safetensors")
"""

TRAINER = """
me = buttons.remembered(net, sys.argv[1], fresh=8)
panel = Panel([0] * 3 + [1] * 3 + [None] * 3 + [1] * 8 + [None])
trainer = buttons.Trainer(me, panel, source, ["dark", "light"], patience=3, path=sys.argv[1])
steps = []
for _ in range(18):
    trainer.step()
    steps.append(me.experiences)
again = buttons.remembered(net, sys.argv[1])
print(json.dumps([steps, panel.shown, again.digest() == me.digest()]))
"""


@pytest.fixture
def teach(micropython):
    """A function: runs a script with buttons; returns the lines of the program, and what the script prints, JSON."""

    def run(script, *arguments):
        shown = micropython(
            f"import sys; sys.path.append({str(EXAMPLES)!r})\n{PANEL}{script}", *arguments
        ).splitlines()
        return [line for line in shown if line.startswith("buttons:")] + [json.loads(shown[-1])]

    return run


def test_buttons_start_learning(teach, tmp_path):
    """When the last was let go for a while, or when no more samples can be kept; what was learned is saved."""
    path = tmp_path / "me.safetensors"
    steps, leds, remembered = teach(TRAINER, path)[-1]
    assert steps == [0] * 8 + [1] * 8 + [2] * 2
    assert leds[:7] == [0] * 3 + [1] * 3 + [None] and leds[7:16] == [1] * 8 + [None]
    assert remembered


# Teaches "dark" and "light", and saves; then what was saved goes on, with the labels and presses of the arguments.
AGAIN = """
path, labels, held = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
first = bitreplay.Learner(net, fresh=8, classes=3)
for value, label in ((20, "dark"), (200, "light")) * 4:
    first.see(bytes([value]) * 3072, label)
first.learn(progress=False)
first.save(path)
saved = first.digest()
me = buttons.remembered(net, path)
panel = Panel(held)
values = iter(json.loads(sys.argv[4]))
source = lambda: bytes([next(values)]) * 3072
buttons.Trainer(me, panel, source, labels, patience=1, path=path).run(0)
print(json.dumps([panel.shown, bitreplay.Learner.load(net, path).digest() == saved, me.labels, me.experiences]))
"""
TOLD = [0, None, 1, None] * 3  # by two LEDs


@pytest.mark.parametrize("labels", [["dark", "bright"], ["bright", "dim"]], ids=["one renamed", "all renamed"])
def test_a_learner_with_labels_that_no_button_has_is_told_and_kept(teach, tmp_path, labels):
    """It goes on: a prediction of such a label lights no LED, other labels can be taught, the file is not touched."""
    lines = teach(AGAIN, tmp_path / "me.safetensors", json.dumps(labels), "[null, null, 0, null]", "[200, 20, 20]")
    told, again, (leds, kept, known, experiences) = lines
    assert told == again and "which no button has" in told and "'light'" in told
    assert leds == TOLD + [None, 0 if labels[0] == "dark" else None, 0, None] + TOLD + [None]
    assert kept and experiences == 2 and known == list(dict.fromkeys(["dark", "light", labels[0]]))


def test_a_learner_with_a_label_that_was_removed_is_told_and_kept(teach, tmp_path):
    told, (leds, kept, _, _) = teach(AGAIN, tmp_path / "me.safetensors", '["dark"]', "[null, null]", "[200, 20]")
    assert "the learner knows ['light']" in told
    assert leds == [0, None] * 3 + [None, 0, None] and kept


def test_labels_in_another_order_light_their_leds(teach, tmp_path):
    """And are saved, with one that is new."""
    labels = '["light", "dark", "grey"]'
    leds, kept, known, experiences = teach(
        AGAIN, tmp_path / "me.safetensors", labels, "[null, null, 2, null]", "[200, 20, 110]"
    )[0]
    assert leds == [0, 1, 2, None, None] and not kept
    assert known == ["dark", "light", "grey"] and experiences == 2


def test_a_step_that_fails_is_told_and_the_next_follows(teach, tmp_path):
    """More labels than the learner takes, a button without one."""
    labels, held = '["dark", "light", "grey", "red"]', "[2, 3, 4, null, null]"
    capacity, button, (leds, kept, known, experiences) = teach(
        AGAIN, tmp_path / "me.safetensors", labels, held, "[110, 250, 200]"
    )
    assert "would be class 4, but classes=3" in capacity and "button 4 has no label" in button
    assert known == ["dark", "light", "grey"] and experiences == 2 and not kept and leds[-2:] == [1, None]


WAITING = """
first = bitreplay.Learner(net, fresh=4)
for value, label in ((20, "dark"), (200, "light")) * 2:
    first.see(bytes([value]) * 3072, label)
first.save(sys.argv[1])
me = buttons.remembered(net, sys.argv[1])
panel = Panel(json.loads(sys.argv[2]))
buttons.Trainer(me, panel, source, ["dark", "light"], patience=2, path=sys.argv[1]).run(0)
again = bitreplay.Learner.load(net, sys.argv[1])
print(json.dumps([panel.shown, again.experiences, again.fresh.n, me.fresh.n]))
"""


def test_samples_that_were_saved_are_learned_first(teach, tmp_path):
    """Where no more can be kept, a button that is held is seen after that."""
    leds, *numbers = teach(WAITING, tmp_path / "me.safetensors", "[1, 1, 1]")[-1]
    assert leds == [None, 1, 1, None] and numbers == [1, 0, 2]


UNLOADED = """
panel = Panel([0, 1, None, None])
before = open(sys.argv[1], "rb").read()
me = buttons.remembered(net, sys.argv[1], fresh=8)
buttons.Trainer(me, panel, source, ["dark", "light"], patience=1, path=sys.argv[1]).run(0)
print(json.dumps([panel.shown[:-2], open(sys.argv[1], "rb").read() == before, me.experiences]))
"""


def test_a_file_that_cannot_be_loaded_is_told_and_kept(teach, tmp_path):
    (tmp_path / "me.safetensors").write_bytes((ROOT / "models" / "small.safetensors").read_bytes()[:5000])
    reason, told, again, (leds, kept, experiences) = teach(UNLOADED, tmp_path / "me.safetensors")
    assert "me.safetensors" in reason and "has another learner: nothing is saved" in told and told == again
    assert leds == TOLD + [0, 1, None] + TOLD and kept and experiences == 1


FULL = """
path = sys.argv[1] + "/missing/me.safetensors"
panel = Panel([0, None, None])
me = buttons.remembered(net, path, fresh=8)
buttons.Trainer(me, panel, source, ["dark", "light"], patience=1, path=path).run(0)
print(json.dumps([panel.shown, me.experiences]))
"""


def test_a_save_that_fails_is_told_and_the_learner_goes_on(teach, tmp_path):
    told, (leds, experiences) = teach(FULL, tmp_path)
    assert "could not be written; check its folder and the free space" in told
    assert leds == [0, None] + TOLD + [0, None] and experiences == 1


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
