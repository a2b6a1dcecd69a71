"""Callbacks of timers, and interrupts, that predict while the program sees and learns: nothing is overwritten."""

import json
from pathlib import Path

import pytest

import models

SESSION = """
import json, micropython, time, bitreplay
from machine import Timer
micropython.alloc_emergency_exception_buf(100)
net = bitreplay.load("/net.safetensors")
images = [bytes([(7 * i * (k + 3) + k) & 255 for i in range(net.image_bytes)]) for k in range(4)]
latents = [bytearray(net.latent_bytes) for _ in images]
for image, latent in zip(images, latents):
    net.latent(image, latent)
beside = bitreplay.Learner(net, replay=4, fresh=8, classes=4)
for k in range(4):
    beside.see(images[k], k)
beside.learn(2, progress=False)
right = [beside.predict(image) for image in images]
counts = {"right": 0, "wrong": 0, "RuntimeError": 0, "MemoryError": 0, "other": 0, "turn": 0}
out = bytearray(net.latent_bytes)
net.latent(images[3], out)

def meddle(_):
    counts["turn"] = turn = (counts["turn"] + 1) & 3
    try:
        if turn & 1:
            counts["right" if beside.predict(images[turn]) == right[turn] else "wrong"] += 1
        else:
            net.latent(images[3], out)
            counts["right" if out == latents[3] else "wrong"] += 1
    except RuntimeError:
        counts["RuntimeError"] += 1
    except MemoryError:
        counts["MemoryError"] += 1
    except Exception:
        counts["other"] += 1

def session(me):
    for i in range(40):
        me.see(images[i % 3], i % 3)
    seen = all([me.fresh.latent(i) == latents[i % 3] for i in range(40)])
    me.learn(2, progress=False)
    return seen, [me.predict(image) for image in images[:3] * 10], me.digest()

def learner():
    return bitreplay.Learner(net, replay=20, fresh=40, classes=4)

expected = session(learner())
"""
# What ticks, and calls meddle(), by kind.
KINDS = {
    "timer": "tick = Timer(period=1, callback=meddle)\nstop = tick.deinit",
    "schedule": """
def ask(_):
    try:
        micropython.schedule(meddle, None)
    except RuntimeError:
        pass  # the queue is full
tick = Timer(period=1, callback=ask)
stop = tick.deinit
""",
    # MicroPython 1.25 has no hard timers on a Pico, but its state machines interrupt at any instruction.
    "hard": """
import rp2
@rp2.asm_pio()
def program():
    irq(rel(0))[31]
tick = rp2.StateMachine(0, program, freq=20011)
tick.irq(meddle, hard=True)
tick.active(1)
def stop():
    tick.active(0)
""",
}
TAIL = """
me = learner()
%s
result = session(me)
time.sleep_ms(50)
stop()
print(json.dumps([result == expected, result[0], counts]))
"""


@pytest.mark.parametrize("kind", KINDS)
def test_calls_that_come_in_the_middle_of_others(pico, mpremote, tmp_path, kind):
    model = Path(models.tiny_model(tmp_path / "net.safetensors"))
    script = tmp_path / "script.py"
    script.write_text(SESSION + TAIL % KINDS[kind])
    mpremote(pico, "cp", model, ":/net.safetensors")
    same, seen, counts = json.loads(mpremote(pico, "run", script).splitlines()[-1])
    assert same and seen
    assert counts["wrong"] == counts["other"] == 0
    # A hard handler cannot allocate, so that there every call that is not refused fails before its first kernel.
    assert counts["RuntimeError"] > 20
    assert counts["MemoryError" if kind == "hard" else "right"] > 0
