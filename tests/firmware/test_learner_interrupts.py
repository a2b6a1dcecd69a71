"""Ctrl-C and exceptions while learning: they leave a usable learner."""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

import bitreplay
import pytest
from learners import learned, run
from synthetic import Synthetic, accuracy, teach

# Ctrl-C.

INTERRUPTS = """
import json, os

path = sys.argv[3]
sent = ""
number = 0

def interrupt(seconds):
    # The test sends it, and then makes a file.
    global number, sent
    number += 1
    sent = path + ".%d" % number
    show(seconds=seconds, then=sent)

def wait():
    while True:
        try:
            os.stat(sent)
            return
        except OSError:
            pass

def learn(epochs, seconds=None):
    try:
        if seconds is not None:
            interrupt(seconds)
        me.learn(epochs, progress=False)
    except KeyboardInterrupt:
        return True
    return False

def packed(me):
    return [bytes(part.packed) for part in me.trainer.parts] if me.trainer else []

def is_usable():
    # Predicts, saves, loads and goes on learning, as the one that was loaded does.
    me.predict_latent(synthetic.latent(0))
    me.save(path)
    other = bitreplay.Learner.load(net, path)
    same = [other.digest() == me.digest(), packed(other) == packed(me)]
    for one in (me, other):
        one.see_latent(bytes(net.latent_bytes), 0)
        one.learn(1, progress=False)
    return same + [other.digest() == me.digest(), me.fresh.n == 0, not me.learning]

settings = json.loads(sys.argv[4])
me = bitreplay.Learner(net, replay=30, **settings)
teach(me, synthetic, (0, 1), 10)
me.learn(2, progress=False)
for i in range(8):
    teach(me, synthetic, (0, 1 + i), 5)
    before = me.experiences
    interrupted = learn(1000000, 0.01 * i)
    wait()
    show(step="learning", interrupted=interrupted, waiting=me.fresh.n, experiences=me.experiences - before,
         usable=is_usable())

def slow(function):
    def wrapped(*arguments):
        try:
            interrupt(0)
            wait()
        except KeyboardInterrupt:
            wait()
            raise
        return function(*arguments)
    return wrapped

# Between the beginning and the first minibatch.
teach(me, synthetic, (0, 1, 9), 5)
digest, begin = me.digest(), me.head.begin
me.head.begin = slow(begin)
interrupted = learn(5)
me.head.begin = begin
show(step="beginning", interrupted=interrupted, waiting=me.fresh.n, same=me.digest() == digest, usable=is_usable())

# In a minibatch: its gradients are lost, and in its step: all layers take it. Of all steps only the second is slow.
def in_the_second(owner, name):
    right, calls = getattr(owner, name), []

    def second(*arguments):
        calls.append(1)
        return (slow(right) if len(calls) == 2 else right)(*arguments)

    setattr(owner, name, second)
    teach(me, synthetic, (0, 1), 5)
    before = me.experiences
    interrupted = learn(5)
    setattr(owner, name, right)
    show(step=name, interrupted=interrupted, waiting=me.fresh.n, experiences=me.experiences - before,
         calls=len(calls), usable=is_usable())

in_the_second(me, "_minibatch")
for owner in (me, me.head) + ((me.trainer,) if me.trainer else ()):
    in_the_second(owner, "_step" if owner is me else "update")

# While the parts do not fit together: it comes after them.
teach(me, synthetic, (0, 1), 5)
absorb, before = me.policy.absorb, me.experiences
me.policy.absorb = slow(absorb)
interrupted = learn(1)
me.policy.absorb = absorb
show(step="end", interrupted=interrupted, waiting=me.fresh.n, experiences=me.experiences - before, usable=is_usable())

# A second one while the first is cleaned up after.
teach(me, synthetic, (0, 1), 5)
consolidate, before = me._consolidate, me.experiences
me._consolidate = slow(consolidate)

def stop(*_):
    raise KeyboardInterrupt

interrupted = False
try:
    me.learn(1000000, progress=stop)
except KeyboardInterrupt:
    interrupted = True
me._consolidate = consolidate
show(step="twice", interrupted=interrupted, waiting=me.fresh.n, experiences=me.experiences - before,
     usable=is_usable())

# While seeing.
me = bitreplay.Learner(net, fresh=30000, classes=255, **settings)
interrupted, c = False, 0
latents = [synthetic.latent(c) for c in range(250)]
try:
    interrupt(0.05)
    while True:
        me.see_latent(latents[c % 250], c % 250)
        c += 1
except (KeyboardInterrupt, ValueError) as error:
    interrupted = type(error) is KeyboardInterrupt
held = all([me.fresh.classes[i] == i % 250 and me.fresh.latent(i) == latents[i % 250] for i in range(me.fresh.n)])
show(step="seeing", interrupted=interrupted, held=held, known=0 <= len(me.labels) - max(me.fresh.classes) - 1 <= 1)
"""


@pytest.mark.parametrize("settings", [{}, {"train": "all"}, {"train": 2, "channels": 0.3, "cwr": True}], ids=str)
@pytest.mark.parametrize("implementation", ["micropython", "cpython"])
def test_ctrl_c_leaves_a_usable_learner(deep_model, tmp_path, request, implementation, settings):
    def answer(process, line):
        if line.startswith('{"seconds"'):
            asked = json.loads(line)
            time.sleep(asked["seconds"])
            process.send_signal(signal.SIGINT)
            time.sleep(0.02)
            Path(asked["then"]).touch()

    implementation = request.getfixturevalue(implementation)
    outcomes = run(
        implementation, INTERRUPTS, deep_model, tmp_path / "me.safetensors", json.dumps(settings), answer=answer
    )
    outcomes = [outcome for outcome in outcomes if "step" in outcome]
    steps = [outcome.pop("step") for outcome in outcomes]
    in_minibatches = ["_minibatch", "_step", "update"] + (["update"] if settings else [])
    assert steps == ["learning"] * 8 + ["beginning", *in_minibatches, "end", "twice", "seeing"]
    for outcome in outcomes:
        assert outcome.pop("interrupted")
        assert all(outcome.pop("usable", ()))
    learning, (beginning, *during, end, twice, seeing) = outcomes[:8], outcomes[8:]
    # What was seen waits for another learn().
    assert all(outcome == {"waiting": 10, "experiences": 0} for outcome in learning)
    assert beginning == {"waiting": 15, "same": True}
    # No other minibatch comes after the one with the interrupt.
    assert all(outcome == {"waiting": 10, "experiences": 0, "calls": 2} for outcome in during)
    assert end == {"waiting": 0, "experiences": 1}
    assert twice == {"waiting": 10, "experiences": 0}
    assert seeing == {"held": True, "known": True}


def test_an_interrupted_experience_is_learned_in_the_end(net, synthetic):
    me = learned(net, synthetic, (0, 1), rate=0.02)
    me.fresh.n = 0
    teach(me, synthetic, (2, 3), 20)

    def stop(epoch, *_):
        if epoch == 4:
            raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            me.learn(5, progress=stop)
        assert [me.head.past[c] for c in range(4)] == [10, 10, 1, 1]
    # Its classes are known already.
    assert accuracy(me, synthetic, (2, 3), 20) > 0.5
    me.learn(8, progress=False)
    assert [me.head.past[c] for c in range(4)] == [20, 20, 21, 21]
    assert me.experiences == 2 and me.fresh.n == 0
    assert accuracy(me, synthetic, (0, 1, 2, 3), 20) > 0.9


@pytest.mark.parametrize("train", ["head", "all"])
@pytest.mark.parametrize("where", ["progress", "_minibatch", "_begin", "_set_rates", "absorb"])
def test_other_exceptions_leave_a_usable_learner_too(deep_net, where, train):
    synthetic = Synthetic(deep_net.latent_bytes)
    me = learned(deep_net, synthetic, train=train)

    def fail(*_):
        raise MemoryError("no room")

    arguments, restore = {"progress": False}, lambda: None
    if where == "progress":
        arguments["progress"] = fail
    elif where == "absorb":
        absorb, me.policy.absorb = me.policy.absorb, fail
        restore = lambda: setattr(me.policy, "absorb", absorb)  # noqa: E731
    else:
        setattr(me, where, fail)
        restore = lambda: delattr(me, where)  # noqa: E731
    before = me.digest()
    with pytest.raises(MemoryError, match="no room"):
        me.learn(1, **arguments)
    restore()
    # What was learned is consolidated, and nothing else has changed but the generator.
    assert (me.digest() == before) == (where in ("_begin", "_minibatch", "_set_rates"))
    assert any(me.head.past[3:]) is False
    assert (me.fresh.n, me.replay.n, me.experiences) == (6, 20, 1)
    me.predict_latent(synthetic.latent(0))
    me.learn(1, progress=False)
    assert (me.fresh.n, me.experiences) == (0, 2)


@pytest.mark.parametrize("train", ["head", "all"])
def test_learning_works_in_another_thread(net, synthetic, train):
    me = learned(net, synthetic, train=train)
    thread = threading.Thread(target=me.learn, args=(1, False))
    thread.start()
    thread.join()
    assert me.experiences == 2


def test_ctrl_c_is_held_with_any_handler(monkeypatch):
    from bitreplay.interrupts import held

    calls = []
    for handler in (signal.SIG_IGN, lambda *_: calls.append("handled")):
        monkeypatch.setattr(signal, "getsignal", signal.getsignal)
        previous = signal.signal(signal.SIGINT, handler)
        held(lambda: (os.kill(os.getpid(), signal.SIGINT), calls.append("held")))
        assert signal.signal(signal.SIGINT, previous) is handler
    assert calls == ["held", "held", "handled"]
    # One that was not set by Python cannot be put back, and is left alone.
    monkeypatch.setattr(signal, "getsignal", lambda _: None)
    monkeypatch.setattr(signal, "signal", None)
    held(calls.append, "called")
    assert calls[-1] == "called"


@pytest.mark.parametrize("has_ctrl_c", [True, False])
def test_ctrl_c_is_held_on_a_board(monkeypatch, has_ctrl_c):
    calls = []
    micropython = ModuleType("micropython")
    if has_ctrl_c:
        micropython.kbd_intr = calls.append
    source = Path(bitreplay.__file__).with_name("interrupts.py").read_text()
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "micropython", micropython)
        patch.setattr(sys, "implementation", SimpleNamespace(name="micropython"))
        patch.setattr(sys, "platform", "rp2")
        names = {}
        exec(source, names)
        names["held"](calls.append, "inside")
        with pytest.raises(ZeroDivisionError):
            names["held"](lambda: 1 / 0)
        # What a program set by ctrl_c() is what is put back.
        names["ctrl_c"](-1)
        names["held"](calls.append, "binary")
    expected = [-1, "inside", 3, -1, 3, -1, -1, "binary", -1]
    assert calls == (expected if has_ctrl_c else ["inside", "binary"])


def test_ctrl_c_of_a_program_is_set(micropython):
    bitreplay.ctrl_c(3)
    assert micropython("import bitreplay\nbitreplay.ctrl_c(-1)\nbitreplay.ctrl_c(3)\nprint(1)") == "1\n"
