"""Power is cut at every erase and program of a save, whole and torn, and at random cycles: no deep learner is lost."""

import contextlib
import random
from pathlib import Path

import bitreplay
import pytest
import serial
from deep import deep
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
MAKE = "me = bitreplay.Learner(net, replay=12, fresh=6, classes=4, train='all', channels=0.125)\n"
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
# The board waits for a byte, and a snapshot is taken: from there it saves, again and again.
WAIT = f"""
import sys
print("ready")
if sys.stdin.read(1) == "s":
    {SAVE}    print("saved")
"""


@pytest.fixture(scope="module")
def digests(tmp_path_factory):
    """The learner's digests after 1, 2, 3 and 4 experiences, by the same learner on CPython."""
    scope = {}
    exec(STEP, scope)
    net = bitreplay.load(models.save(tmp_path_factory.mktemp("host") / "net.safetensors", deep()))
    me = bitreplay.Learner(net, replay=12, fresh=6, classes=4, train="all", channels=0.125)
    return [scope["step"](me, n) for n in range(4)]


@pytest.fixture(scope="module")
def saving(emulator, digests, tmp_path_factory):
    """A Pico that has saved its first experience and is about to save its second, whenever it is wanted."""
    model = Path(models.save(tmp_path_factory.mktemp("board") / "net.safetensors", deep())).read_bytes()
    with emulator() as pico:
        yield Saving(pico, model, digests)


@contextlib.contextmanager
def repl(pico):
    """The raw REPL of a Pico, as mpremote talks to it."""
    transport = SerialTransport(pico.port, timeout=30)
    try:
        transport.enter_raw_repl(soft_reset=False)
        yield transport
    finally:
        transport.close()


class Saving:
    def __init__(self, pico, model, digests):
        self.pico, self.digests = pico, digests
        self.went_on = set()
        with repl(pico) as board:
            board.fs_writefile("/net.safetensors", model)
            board.exec(STEP + START + MAKE)
            assert board.exec("print(step(me, 0))\n" + SAVE).decode().split() == [digests[0]]
            # From flash, as after a reset.
            board.exec_raw_no_follow(STEP + START + LOAD + "print(step(me, 1))\n" + WAIT)
            assert board.read_until(1, b"ready\r\n").decode().split() == [digests[1], "ready"]
            pico.take_snapshot()
            before = pico.stats()
            board.serial.write(b"s")
            board.read_until(1, b"saved\r\n")
            after = pico.stats()
        self.operations = sum(after[name] - before[name] for name in ("erases", "programs"))
        self.cycles = after["cycles"] - before["cycles"]

    def answer(self, byte):
        with serial.Serial(self.pico.port) as port:
            port.write(byte)
            port.flush()

    def cut(self, **moment):
        """Saves the second experience, with a power cut; True if the new state was there afterwards."""
        pico, digests = self.pico, self.digests
        pico.restore()
        pico.cut_power(**moment)
        self.answer(b"s")
        assert pico.wait_for("cut", "stopped", timeout=60)["event"] == "cut"
        pico.power_on()
        with repl(pico) as board:
            found = board.exec(STEP + START + LOAD + "print(me.digest())").decode().strip()
            assert found in digests[:2], moment
            n = digests.index(found) + 1
            # Learning goes on, and so does saving: from the old and the new state, after each kind of cut.
            kind = n, moment.get("torn")
            if kind not in self.went_on:
                board.exec(f"for n in range({n}, 4): last = step(me, n)\n" + SAVE)
                assert board.exec(LOAD + "print(last, me.digest())").decode().split() == [digests[3]] * 2, moment
                self.went_on.add(kind)
        return n == 2


@pytest.mark.parametrize("torn", [False, True])
def test_any_operation(torn, saving, record_property):
    assert saving.operations > 10
    new = [saving.cut(after_flash_ops=operation, torn=torn) for operation in range(saving.operations)]
    # The new state comes with one operation and stays: before it there is the old one.
    assert new == sorted(new) and new[0] is False
    kind = "in the middle of" if torn else "before"
    record_property(
        "measured", f"power cuts {kind} each of the {saving.operations} erases and programs of a save: all survived"
    )


def test_random_cycles(saving, record_property):
    rng = random.Random(1)
    for _ in range(RANDOM_CUTS):
        saving.cut(after_cycles=rng.randrange(saving.cycles))
    record_property("measured", f"power cuts at {RANDOM_CUTS} random cycles of a save: all survived")


def test_full_filesystem_loses_nothing(saving, digests):
    saving.pico.restore()
    saving.answer(b"-")  # it does not save, and is at its prompt
    with repl(saving.pico) as board:
        board.exec(FILL)
        full = board.exec("try: me.save('/me.safetensors')\nexcept OSError as error: print(error.errno)")
        assert full.decode().strip() == "28"
        assert board.exec(LOAD + "print(me.digest())").decode().split() == [digests[0]]
        board.exec("for name in names: os.remove(name)\nstep(me, 1)\n" + SAVE)
        assert board.exec(LOAD + "print(me.digest())").decode().split() == [digests[1]]
