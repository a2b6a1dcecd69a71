"""Power is cut at every erase and program of a save, whole and torn, and at random cycles: nothing is ever lost."""

import contextlib
import random
import shutil
from pathlib import Path

import bitreplay
import pytest
from mpremote.transport_serial import SerialTransport

import models

# The same on the board and here: class n is learned from latents that are made.
STEP = """
def step(me, n):
    for i in range(6):
        me.see_latent(bytes([(37 * n + 11 * i * j + j) & 255 for j in range(me.net.latent_bytes)]), n)
    me.learn(epochs=1, progress=False)
    return me.digest()
"""
START = """
import bitreplay
net = bitreplay.load("/net.safetensors")
"""
LOAD = "me = bitreplay.Learner.load(net, '/me.safetensors')\n"
MAKE = "me = bitreplay.Learner(net, replay=12, fresh=6, classes=4)\n"
SAVE = "me.save('/me.safetensors')\n"
FILL = """
import os
names = []
for size in (65536, 4096):
    try:
        while True:
            names.append("/%d" % len(names))
            with open(names[-1], "wb") as file:
                file.write(bytes(size))
    except OSError as error:
        assert error.errno == 28
"""
RANDOM_CUTS = 8
WAIT_MS = 500  # in which a command gets to the board, however busy this machine is
CYCLES_PER_MS = 125_000


@contextlib.contextmanager
def repl(pico):
    """The raw REPL of a Pico, as mpremote talks to it."""
    transport = SerialTransport(pico.port, timeout=30)
    try:
        transport.enter_raw_repl(soft_reset=False)
        yield transport
    finally:
        transport.close()


@pytest.fixture(scope="module")
def digests(tmp_path_factory):
    """The learner's digests after 1, 2, 3 and 4 experiences, by the same learner on CPython."""
    scope = {}
    exec(STEP, scope)
    net = bitreplay.load(models.tiny_model(tmp_path_factory.mktemp("host") / "net.safetensors"))
    me = bitreplay.Learner(net, replay=12, fresh=6, classes=4)
    return [scope["step"](me, n) for n in range(4)]


@pytest.fixture(scope="module")
def saved(emulator, digests, tmp_path_factory):
    """A flash with a learner after its first experience; and the erases, programs and cycles of saving the second."""
    folder = tmp_path_factory.mktemp("board")
    flash, copy = folder / "saved.bin", folder / "copy.bin"
    model = Path(models.tiny_model(folder / "net.safetensors")).read_bytes()
    with emulator(flash=flash) as pico, repl(pico) as board:
        board.fs_writefile("/net.safetensors", model)
        board.exec(STEP + START + MAKE)
        assert board.exec("print(step(me, 0))\n" + SAVE).decode().split() == [digests[0]]
    shutil.copy(flash, copy)
    with emulator(None, flash=copy) as pico, repl(pico) as board:
        board.exec(STEP + START + LOAD + "step(me, 1)")
        before = pico.stats()
        board.exec(SAVE)
        after = pico.stats()
    operations = sum(after[name] - before[name] for name in ("erases", "programs"))
    return flash, operations, after["cycles"] - before["cycles"]


def cut(emulator, flash, digests, **moment):
    """Saves the second experience, with a power cut; True if the new state was there afterwards."""
    with emulator(None, flash=flash) as pico, repl(pico) as board:
        assert board.exec(STEP + START + LOAD + "print(step(me, 1))").decode().split() == [digests[1]]
        pico.cut_power(**moment)
        board.exec_raw_no_follow(f"import time; time.sleep_ms({WAIT_MS})\n{SAVE}")
        assert pico.wait_for("cut", "stopped", timeout=60)["event"] == "cut"
        pico.power_on()
        board.enter_raw_repl(soft_reset=False)
        found = board.exec(STEP + START + LOAD + "print(me.digest())").decode().strip()
        assert found in digests[:2], moment
        # Learning goes on, and so does saving.
        n = digests.index(found) + 1
        board.exec(f"for n in range({n}, 4): last = step(me, n)\n" + SAVE)
        assert board.exec(LOAD + "print(last, me.digest())").decode().split() == [digests[3]] * 2, moment
    return n == 2


@pytest.mark.parametrize("torn", [False, True])
def test_any_operation(torn, emulator, saved, digests, tmp_path, record_property):
    flash, operations, _ = saved
    assert operations > 10
    new = []
    for operation in range(operations):
        copy = shutil.copy(flash, tmp_path / "flash.bin")
        new.append(cut(emulator, copy, digests, after_flash_ops=operation, torn=torn))
    # The new state comes with one operation and stays: before it there is the old one.
    assert new == sorted(new) and new[0] is False
    kind = "in the middle of" if torn else "before"
    record_property(
        "measured", f"power cuts {kind} each of the {operations} erases and programs of a save: all survived"
    )


def test_random_cycles(emulator, saved, digests, tmp_path, record_property):
    flash, _, cycles = saved
    rng = random.Random(1)
    for _ in range(RANDOM_CUTS):
        copy = shutil.copy(flash, tmp_path / "flash.bin")
        cut(emulator, copy, digests, after_cycles=WAIT_MS * CYCLES_PER_MS + rng.randrange(cycles))
    record_property("measured", f"power cuts at {RANDOM_CUTS} random cycles of a save: all survived")


def test_full_filesystem_loses_nothing(emulator, saved, digests, tmp_path):
    flash, _, _ = saved
    copy = shutil.copy(flash, tmp_path / "flash.bin")
    with emulator(None, flash=copy) as pico, repl(pico) as board:
        board.exec(STEP + START + LOAD + "step(me, 1)")
        board.exec(FILL)
        full = board.exec("try: me.save('/me.safetensors')\nexcept OSError as error: print(error.errno)")
        assert full.decode().strip() == "28"
        assert board.exec(LOAD + "print(me.digest())").decode().split() == [digests[0]]
        board.exec("for name in names: os.remove(name)\nstep(me, 1)\n" + SAVE)
        assert board.exec(LOAD + "print(me.digest())").decode().split() == [digests[1]]
