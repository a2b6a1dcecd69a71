"""What a user does, with the real mpremote: the session of the README, and learning that survives a reset."""

import os
import pty
import select
import subprocess
import sys
import termios
import time
from pathlib import Path

import bitreplay
import numpy as np
import pytest
from bitreplay_host import paths
from bitreplay_host.datasets import registry

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "models" / "backbone.safetensors"
MPREMOTE = Path(sys.executable).parent / "mpremote"
EXPERIENCES = [("cat", "dog"), ("ship", "frog")]
IMAGES = 3  # of each class

# A module for the board, and for here.
LESSON = f"""
import bitreplay

def teach(me, path, labels):
    with open(path, "rb") as file:
        for label in labels:
            for i in range({IMAGES}):
                me.see(file.read(3072), label)
    me.learn(epochs=2, progress=False)
    return me.digest()

def make(model):
    return bitreplay.Learner(bitreplay.load(model), replay=10, fresh={2 * IMAGES}, classes=4, seed=7, train=1)

def guess(me, path):
    with open(path, "rb") as file:
        label, probability = me.predict(file.read(3072))
    return label, int(probability * 16384 + 0.5)
"""
TEACH = f"""
from lesson import *
me = make("/rom/backbone.safetensors")
print(teach(me, "/first.bin", {EXPERIENCES[0]}))
print(teach(me, "/remote/second.bin", {EXPERIENCES[1]}))
me.save("/me.safetensors")
"""
AGAIN = """
import machine
print(machine.reset_cause())
from lesson import *
me = bitreplay.Learner.load(bitreplay.load("/rom/backbone.safetensors"), "/me.safetensors")
print(me.digest())
print(guess(me, "/first.bin"))
"""
WATCHDOG = "3"  # machine.reset() is one


@pytest.fixture
def folder(tmp_path):
    """A folder with real images, those of an experience in a file, and the module."""
    if not (paths.DATA / "cifar10_test_images.npy").exists():
        pytest.fail(f"CIFAR-10 is not in {paths.DATA}: run `make data`")
    images, labels = registry.load("cifar10", "test", paths.DATA)
    names = registry.class_names("cifar10")
    folder = tmp_path / "lesson"
    folder.mkdir()
    for name, classes in zip(("first", "second"), EXPERIENCES, strict=True):
        rows = np.concatenate([np.flatnonzero(labels == names.index(label))[:IMAGES] for label in classes])
        (folder / f"{name}.bin").write_bytes(images[rows].tobytes())
    (folder / "lesson.py").write_text(LESSON)
    (folder / "teach.py").write_text(TEACH)
    (folder / "again.py").write_text(AGAIN)
    return folder


def test_learning_survives_a_reset(pico_with_model, mpremote, folder, tmp_path):
    """The same digests as here, where the kernels are NumPy's: two experiences, saved, and after a hard reset."""
    here = {}
    exec(LESSON, here)
    me = here["make"](MODEL)
    files = folder / "first.bin", folder / "second.bin"
    digests = [here["teach"](me, file, classes) for file, classes in zip(files, EXPERIENCES, strict=True)]
    guessed = here["guess"](me, files[0])

    mpremote(pico_with_model, "cp", files[0], folder / "lesson.py", ":")
    printed = mpremote(pico_with_model, "mount", folder, "run", folder / "teach.py")
    assert printed.splitlines()[-2:] == digests
    mpremote(pico_with_model, "reset")
    pico_with_model.wait_for("usb", timeout=10)
    printed = mpremote(pico_with_model, "run", folder / "again.py")
    assert printed.splitlines() == [WATCHDOG, digests[1], str(guessed)]
    mpremote(pico_with_model, "cp", ":me.safetensors", tmp_path / "me.safetensors")
    assert bitreplay.Learner.load(bitreplay.load(MODEL), tmp_path / "me.safetensors").digest() == digests[1]


class Terminal:
    """`mpremote repl` in a terminal."""

    def __init__(self, port):
        self.screen, slave = pty.openpty()
        self.process = subprocess.Popen([MPREMOTE, "connect", port, "repl"], stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        self.read_to("exit this shell")
        # What is typed before mpremote has the terminal would not get to the board.
        deadline = time.monotonic() + 30
        while termios.tcgetattr(self.screen)[3] & termios.ICANON:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.write(self.screen, b"print('rea' + 'dy')\r")
        self.read_to("ready\r\n>>> ")

    def read_to(self, end):
        text = ""
        while not text.endswith(end):
            assert select.select([self.screen], [], [], 30)[0], text
            text += os.read(self.screen, 1).decode()
        return text

    def type(self, line):
        """What the board says to a line: all before the next prompt."""
        os.write(self.screen, line.encode() + b"\r")
        self.read_to("\n")  # the echo
        return self.read_to(">>> ").removesuffix(">>> ").strip()

    def close(self):
        os.write(self.screen, b"\x1d")
        self.process.wait(10)
        os.close(self.screen)


@pytest.fixture
def terminal(pico_with_model):
    terminal = Terminal(pico_with_model.port)
    yield terminal
    terminal.process.kill()
    terminal.process.wait()


def test_the_session_of_the_readme(terminal, pico_with_model, mpremote):
    assert terminal.type("import bitreplay") == ""
    assert terminal.type('net = bitreplay.load("/rom/backbone.safetensors")') == ""
    assert terminal.type("me = bitreplay.Learner(net, replay=500, fresh=100, classes=10, seed=1)") == ""
    assert terminal.type("image, other = bytes(3072), bytes([200]) * 3072") == ""
    assert terminal.type('me.see(image, "mug"); me.see(other, "cup")') == ""
    *progress, last = terminal.type("me.learn(epochs=4)").splitlines()
    assert len(progress) == 3 and last.startswith("epoch 4/4: 100.0 % ")
    label, probability = eval(terminal.type("me.predict(image)"))
    assert label == "mug" and 0.5 < probability <= 1
    assert terminal.type('me.save("/me.safetensors")') == ""
    assert "soft reboot" in terminal.type("import machine; machine.soft_reset()")
    assert terminal.type("import bitreplay") == ""
    assert terminal.type('net = bitreplay.load("/rom/backbone.safetensors")') == ""
    assert terminal.type('me = bitreplay.Learner.load(net, "/me.safetensors")') == ""
    assert "2/10 classes ['mug', 'cup'], replay 2/500" in terminal.type("me")
    terminal.close()
    files = mpremote(pico_with_model, "exec", "import os; print(sorted(os.listdir('/')))")
    assert files == "['me.safetensors', 'rom']"


FULL = """
import bitreplay
def full(path):
    net = bitreplay.load(path)
    me = bitreplay.Learner(net, replay=600, fresh=600, classes=4, seed=3)
    for i in range(600):
        me.see_latent(bytes([(37 * i * j + j) & 255 for j in range(net.latent_bytes)]), i % 4)
    me.learn(epochs=1, progress=False)
    return net, me
"""
MOUNTED = """
from full import full
net, me = full("/remote/small.safetensors")
me.save("/remote/me.safetensors")
digest = me.digest()
del me
import bitreplay
print(digest, bitreplay.Learner.load(net, "/remote/me.safetensors").digest())
"""


def test_model_and_a_full_replay_memory_in_a_mounted_folder(pico, mpremote, tmp_path):
    """38 KB of latents are written and read again, through the serial port."""
    model = ROOT / "models" / "small.safetensors"
    (tmp_path / model.name).write_bytes(model.read_bytes())
    (tmp_path / "full.py").write_text(FULL)
    (tmp_path / "main.py").write_text(MOUNTED)
    scope = {}
    exec(FULL, scope)
    digest = scope["full"](model)[1].digest()
    assert mpremote(pico, "mount", tmp_path, "run", tmp_path / "main.py").splitlines()[-1] == f"{digest} {digest}"
    net = bitreplay.load(model)
    assert bitreplay.Learner.load(net, tmp_path / "me.safetensors").digest() == digest
