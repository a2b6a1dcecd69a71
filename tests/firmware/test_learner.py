"""The learner: what it learns and keeps, CWR* and gradients against floating point, Ctrl-C, memory, bad input."""

import json
import math
import os
import re
import signal
import sys
import threading
import time
from array import array
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from bitreplay import Learner, checks, fixed, heap, load
from bitreplay.replay import BATCH
from hypothesis import given
from hypothesis import strategies as st
from synthetic import Synthetic, accuracy, teach

import models

HERE = Path(__file__).parent
FIRMWARE = HERE.parents[1] / "firmware"
PRELUDE = """
import sys
sys.path.append(sys.argv[1])
import bitreplay
from synthetic import Synthetic, accuracy, show, teach

net = bitreplay.load(sys.argv[2])
synthetic = Synthetic(net.latent_bytes)
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return models.tiny_model(tmp_path_factory.mktemp("learner") / "model.safetensors")


@pytest.fixture
def net(path):
    return load(path)


@pytest.fixture
def synthetic(net):
    return Synthetic(net.latent_bytes)


def run(implementation, script, *arguments, **options):
    """The objects that a script printed."""
    return [json.loads(line) for line in implementation(PRELUDE + script, HERE, *arguments, **options).splitlines()]


def learned(net, synthetic, classes=(0, 1, 2), samples=10, **settings):
    """A learner that has learned something, and has fresh samples again."""
    me = Learner(net, **{"replay": 20, **settings})
    teach(me, synthetic, classes, samples)
    me.learn(2, progress=False)
    teach(me, synthetic, classes, 2)
    return me


# At the REPL.


def test_session_of_the_design(path, tmp_path, micropython, cpython):
    script = """
image = bytearray([250 if i & 1 else 5 for i in range(net.image_bytes)])
other = bytearray([i * 73 & 255 for i in range(net.image_bytes)])
me = bitreplay.Learner(net, replay=500, seed=1)
for i in range(10):
    image[i] = other[i] = i * 20
    me.see(image, "mug")
    me.see(other, 12)
me.learn(epochs=4)
prediction = me.predict(image)
print(prediction[0], prediction[1] > 0.5)
print(me.predict(other)[0])
me.save(sys.argv[3])
print(me)
print(bitreplay.Learner.load(net, sys.argv[3]).digest() == me.digest())
"""
    for implementation in (micropython, cpython):
        lines = implementation(PRELUDE + script, HERE, path, tmp_path / "me.safetensors").splitlines()
        assert lines[0].startswith("epoch 1/4: ") and " % of the minibatches' samples right, " in lines[0]
        assert lines[4:6] == ["mug True", "12"]
        assert lines[6].startswith("<Learner of 2/10 classes ['mug', 12], replay 20/500, fresh 0/100, experiences 1; ")
        assert lines[6].endswith(" KB in RAM>")
        assert lines[7:] == ["True"]


def test_repr_stays_short(net):
    me = Learner(net, classes=255)
    assert "0/255 classes []" in repr(me)
    for i in range(60):
        me.see_latent(bytes(16), f"label {i}")
    assert "60/255 classes ['label 0', 'label 1'" in repr(me)
    assert len(repr(me)) < 300


def test_progress_is_a_line_a_function_or_nothing(net, synthetic, capsys):
    me = Learner(net, conv=False)
    teach(me, synthetic, (0, 1), 4)
    calls = []
    me.learn(3, progress=lambda *arguments: calls.append(arguments))
    assert [call[:2] for call in calls] == [(1, 3), (2, 3), (3, 3)]
    assert all(0 <= percent <= 100 for _, _, percent in calls)
    me.learn(1, progress=False)
    me.learn(1, progress=None)
    assert capsys.readouterr().out == ""
    me.learn(1)
    assert capsys.readouterr().out.startswith("epoch 1/1: ")


def test_the_learner_is_not_used_while_it_learns(net, synthetic):
    """progress functions could: the minibatch's buffers would be overwritten."""
    me = learned(net, synthetic)
    refused = []

    def meddle(*_):
        for action in (
            lambda: me.predict(bytes(192)),
            lambda: me.predict_latent(bytes(16)),
            lambda: me.see(bytes(192), 0),
            lambda: me.see_latent(bytes(16), 0),
            lambda: me.learn(1),
        ):
            with pytest.raises(RuntimeError, match=r"learn\(\) is running"):
                action()
            refused.append(action)

    other = learned(net, Synthetic(net.latent_bytes))
    other.learn(1, progress=False)
    me.learn(1, progress=meddle)
    assert len(refused) == 5
    assert me.digest() == other.digest()
    me.predict_latent(bytes(16))


# What it learns.

LEARNS = """
import json
with open(sys.argv[3]) as file:
    runs = json.load(file)
for settings in runs:
    me = bitreplay.Learner(net, **settings)
    synthetic = Synthetic(net.latent_bytes)
    teach(me, synthetic, range(4), 20)
    me.learn(10, progress=False)
    show(settings=settings, accuracy=accuracy(me, synthetic, range(4)))
"""


def test_it_learns_with_any_setting(path, tmp_path, micropython):
    runs = [
        {
            "policy": policy,
            "conv": conv,
            "cwr": cwr,
            "head_bits": head_bits,
            "q_f": q_f,
            "q_b": q_b,
            "rounding": rounding,
        }
        for policy in ("balanced", "reservoir")
        for conv in (True, False)
        for cwr in (True, False)
        for head_bits, q_f, q_b, rounding in (
            (16, 8, 4, "stochastic"),
            (32, 4, 2, "nearest"),
            (16, 4, 16, "nearest"),
            (32, 8, 8, "stochastic"),
        )
    ]
    (tmp_path / "runs.json").write_text(json.dumps(runs))
    outcomes = run(micropython, LEARNS, path, tmp_path / "runs.json")
    assert len(outcomes) == len(runs)
    for outcome in outcomes:
        assert outcome["accuracy"] > 0.95, outcome


def test_it_learns_under_cpython(net, synthetic):
    me = Learner(net)
    teach(me, synthetic, range(4), 20)
    me.learn(8, progress=False)
    assert accuracy(me, synthetic, range(4)) > 0.95


def test_it_keeps_old_classes_with_replay_and_loses_them_without(path, micropython):
    script = """
for settings in ({"replay": 120}, {"replay": 120, "conv": False}, {"replay": 120, "policy": "reservoir"},
                 {"replay": 0, "cwr": False}, {"replay": 0, "cwr": False, "conv": False}):
    me, synthetic = bitreplay.Learner(net, rate=0.02, **settings), Synthetic(net.latent_bytes)
    for classes in ((0, 1), (2, 3), (4, 5)):
        teach(me, synthetic, classes, 30)
        me.learn(6, progress=False)
    show(old=accuracy(me, synthetic, (0, 1, 2, 3)), new=accuracy(me, synthetic, (4, 5)))
"""
    *kept, naive, naive_head = run(micropython, script, path)
    for outcome in kept:
        assert outcome["old"] > 0.9 and outcome["new"] > 0.9, outcome
    for outcome in (naive, naive_head):
        assert outcome["old"] < 0.3 and outcome["new"] > 0.9, outcome


def test_the_binary_layer_learns_only_with_conv(net, synthetic):
    pretrained = bytes(net.trainable.weight)
    me = learned(net, synthetic, conv=True)
    assert bytes(me.weight) != pretrained
    assert bytes(net.trainable.weight) == pretrained
    packed = np.packbits(np.frombuffer(me.weight, np.int8) >= 0, bitorder="little")
    assert bytes(me.packed) == packed.tobytes()
    me = learned(net, synthetic, conv=False)
    assert me.weight is None and bytes(me.packed) == bytes(net.pack_signs())


def test_only_learned_classes_compete(net, synthetic):
    me = learned(net, synthetic, (0, 1))
    me.see_latent(synthetic.latent(7), "not learned")
    assert {me.predict_latent(synthetic.latent(7))[0] for _ in range(20)} <= {0, 1}
    me.learn(4, progress=False)
    assert "not learned" in me.labels and me.past[2] == 1


# CWR*: Lomonaco, Maltoni and Pellegrini 2020. Avalanche's CWRStarPlugin.consolidate_weights computes the same, except
# that it leaves `past` at 0 after the first time that a class is seen, which the paper does not.


def published(cw, tw, past, cur):
    """The consolidation in floating point; the dictionaries are by class, cur those in the batch."""
    average = np.mean([tw[c] for c in cur])
    cw, past = dict(cw), dict(past)
    for c in cur:
        w = np.sqrt(past.get(c, 0) / cur[c])
        cw[c] = (cw.get(c, 0) * w + tw[c] - average) / (w + 1)
        past[c] = past.get(c, 0) + cur[c]
    return cw, past


class Watched(Learner):
    """Notes training weights and samples when they are consolidated."""

    def _consolidate(self, present, absorb):
        tw = np.frombuffer(self.tw, np.int16 if self.config["head_bits"] == 16 else np.int32)
        tw = tw.reshape(len(self.past), -1) / (1 if self.config["head_bits"] == 16 else 65536)
        self.trained, self.present = tw, {c: n for c, n in enumerate(present) if n}
        super()._consolidate(present, absorb)


def consolidated(me):
    return np.frombuffer(me.cw, np.int16).reshape(len(me.past), -1).astype(float)


@pytest.mark.parametrize("replay, bits", [(0, 16), (0, 32), (12, 16)])
def test_consolidation_is_the_published_one(net, synthetic, replay, bits):
    me = Watched(net, replay=replay, head_bits=bits, conv=False)
    cw, past = {}, {}
    for classes, samples in (((0, 1, 2), 8), ((3, 4), 20), ((1, 3), 5), ((0,), 9), ((5, 2, 0), 3), ((1,), 1)):
        before = consolidated(me)
        replayed = set(me.replay.classes[: me.replay.n])
        teach(me, synthetic, classes, samples, label=lambda c: f"class {c}")
        me.learn(3, progress=False)
        here = [me.labels.index(f"class {c}") for c in classes]
        assert set(me.present) == {*here, *replayed}
        # From the integers that were there before this step: what is left is rounding, of w too.
        exact, _ = published(dict(enumerate(before)), me.trained, past, me.present)
        for c in range(len(me.past)):
            assert np.abs(consolidated(me)[c] - exact[c]).max() <= (2 if c in me.present else 0)
        # And from the start in floating point: rounding must not add up.
        cw, past = published(cw, me.trained, past, me.present)
        assert all(np.abs(consolidated(me)[c] - cw[c]).max() < 6 for c in cw)
        assert [me.past[c] for c in range(len(me.past))] == [past.get(c, 0) for c in range(len(me.past))]
    assert max(np.abs(cw[c]).max() for c in cw) > 200


def test_training_weights_start_from_the_consolidated_ones_of_classes_that_are_here(net, synthetic):
    me = learned(net, synthetic, (0, 1, 2), replay=0)
    me.fresh.n = 0
    teach(me, synthetic, (1, 4), 3)
    before = consolidated(me)
    me._begin()
    tw = np.frombuffer(me.tw, np.int16).reshape(len(me.past), -1)
    assert np.array_equal(tw[1], before[1]) and before[1].any()
    assert not tw[[0, 2, 3]].any()


def test_without_cwr_the_weights_go_on(net, synthetic):
    me = learned(net, synthetic, cwr=False, conv=False)
    assert bytes(me.cw) == bytes(me.tw)
    me.learn(1, progress=False)
    assert bytes(me.cw) == bytes(me.tw)


@given(st.integers(0, 1 << 62))
def test_square_root(n):
    assert fixed.isqrt(n) == math.isqrt(n)


@given(st.floats(1e-5, 1000))
def test_rates_keep_a_mantissa_of_four_bits(x):
    mantissa, exponent = fixed.fixed(x)
    assert 8 <= mantissa <= 15
    assert abs(mantissa * 2.0**exponent / x - 1) <= 1 / 16


@given(st.integers(0, checks.MAX_COUNT), st.integers(1, 65536))
def test_weight_of_the_past(past, present):
    w = math.sqrt(past / present)
    assert abs(Learner._alpha(None, past, present) / 32768 - w / (w + 1)) < 1 / 16384


# Gradients.


def by_hand(me, net):
    """The float gradient of the loss by the layer's latent weights, through a straight-through sign."""
    positions, n = 4, net.features
    bits = np.unpackbits(np.frombuffer(me.x, np.uint8), bitorder="little").reshape(BATCH, positions, n)
    x = bits * 2.0 - 1
    sign = np.where(np.frombuffer(me.weight, np.int8).reshape(n, n) >= 0, 1.0, -1.0)
    slope = np.frombuffer(net.trainable.slope, np.int16).reshape(n, 2) / 2.0**net.trainable.shift
    acc = x @ sign.T
    local = np.where(acc < 0, slope[:, 1], slope[:, 0])
    stream = (
        net.expand_value * x + acc * local + np.frombuffer(net.trainable.bias, np.int32) / 2.0**net.trainable.shift
    )
    features = np.clip(stream, -128, 127).mean(axis=1) / 16
    head = np.frombuffer(me.tw, np.int16).reshape(-1, n) * 2.0**-14
    scores = (features @ head.T)[:, : len(me.labels)]
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    e = p / p.sum(axis=1, keepdims=True)
    e[np.arange(BATCH), [me.fresh.classes[i] for i in range(BATCH)]] -= 1
    upstream = (e @ head[: len(me.labels)])[:, None, :] / positions * local / 16 * (np.abs(stream) <= 128)
    return np.einsum("bpo,bpi->oi", upstream, x), np.einsum("bc,bf->cf", e, features)


def cosine(a, b):
    return (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())


@pytest.mark.parametrize("rounding", ["stochastic", "nearest"])
@pytest.mark.parametrize("q_b, least", [(16, 0.99), (8, 0.99), (4, 0.9), (2, 0.5)])
def test_gradients_have_the_direction_of_those_in_floating_point(net, q_b, least, rounding):
    me, rng = Learner(net, q_b=q_b, rounding=rounding), np.random.default_rng(0)
    for i in range(BATCH):
        me.see_latent(rng.bytes(net.latent_bytes), i % 4)
    me._begin()
    tw = np.frombuffer(me.tw, np.int16)
    tw[:] = rng.integers(-6000, 6000, tw.size)
    me._quantize(me.tw, 16)
    # No latent weight may reach its limit.
    np.frombuffer(me.weight, np.int8)[:] = rng.integers(-40, 40, len(me.weight))
    me.pack()
    before, tw_before = np.frombuffer(me.weight, np.int8).astype(int), tw.astype(int)
    for row in range(BATCH):
        me.x_rows[row][:] = me.fresh.latent(row)
    layer, head = by_hand(me, net)
    # Large steps, so that what is measured is not the rounding of the weights.
    rate = 2.0 ** math.floor(math.log2(60 / np.abs(layer).max() * BATCH / 128))
    me.config["conv_rate"], me.config["rate"] = rate, 0.05
    me._set_hyper()
    me._minibatch(range(BATCH))
    step = (before - np.frombuffer(me.weight, np.int8)).reshape(layer.shape)
    assert 20 < np.abs(step).max() < 87
    assert cosine(step, layer) > least
    # The rate has a meaning: weights are in units of 1/128, the gradient is the mean over the minibatch.
    if q_b == 16:
        assert (step * layer).sum() / (layer * layer).sum() == pytest.approx(rate * 128 / BATCH, rel=0.05)
    step = (tw_before - tw)[: head.size].reshape(-1, net.features)[:4]
    assert cosine(step, head[:4]) > 0.99
    assert (step * head[:4]).sum() / (head[:4] ** 2).sum() == pytest.approx(0.05 * 2**14 / BATCH, rel=0.05)


# Ctrl-C.

INTERRUPTS = """
import os

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

def is_usable():
    # Predicts, saves, loads and goes on learning, as the one that was loaded does.
    me.predict_latent(synthetic.latent(0))
    me.save(path)
    other = bitreplay.Learner.load(net, path)
    same = [other.digest() == me.digest(), bytes(other.packed) == bytes(me.packed)]
    for one in (me, other):
        one.see_latent(bytes(net.latent_bytes), 0)
        one.learn(1, progress=False)
    return same + [other.digest() == me.digest(), me.fresh.n == 0, not me.learning]

me = bitreplay.Learner(net, replay=30)
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
digest, set_hyper = me.digest(), me._set_hyper
me._set_hyper = slow(set_hyper)
interrupted = learn(5)
me._set_hyper = set_hyper
show(step="beginning", interrupted=interrupted, waiting=me.fresh.n, same=me.digest() == digest, usable=is_usable())

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
me = bitreplay.Learner(net, fresh=30000, classes=255, conv=False)
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


@pytest.mark.parametrize("implementation", ["micropython", "cpython"])
def test_ctrl_c_leaves_a_usable_learner(path, tmp_path, request, implementation):
    def answer(process, line):
        if line.startswith('{"seconds"'):
            asked = json.loads(line)
            time.sleep(asked["seconds"])
            process.send_signal(signal.SIGINT)
            time.sleep(0.02)
            Path(asked["then"]).touch()

    implementation = request.getfixturevalue(implementation)
    outcomes = run(implementation, INTERRUPTS, path, tmp_path / "me.safetensors", answer=answer)
    outcomes = [outcome for outcome in outcomes if "step" in outcome]
    steps = [outcome.pop("step") for outcome in outcomes]
    assert steps == ["learning"] * 8 + ["beginning", "end", "twice", "seeing"]
    for outcome in outcomes:
        assert outcome.pop("interrupted")
        assert all(outcome.pop("usable", ()))
    learning, (beginning, end, twice, seeing) = outcomes[:8], outcomes[8:]
    # What was seen waits for another learn().
    assert all(outcome == {"waiting": 10, "experiences": 0} for outcome in learning)
    assert beginning == {"waiting": 15, "same": True}
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
        assert [me.past[c] for c in range(4)] == [10, 10, 1, 1]
    # Its classes are known already.
    assert accuracy(me, synthetic, (2, 3), 20) > 0.5
    me.learn(8, progress=False)
    assert [me.past[c] for c in range(4)] == [20, 20, 21, 21]
    assert me.experiences == 2 and me.fresh.n == 0
    assert accuracy(me, synthetic, (0, 1, 2, 3), 20) > 0.9


@pytest.mark.parametrize("where", ["progress", "_minibatch", "_begin", "absorb"])
def test_other_exceptions_leave_a_usable_learner_too(net, synthetic, where):
    me = learned(net, synthetic)

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
    assert (me.digest() == before) == (where in ("_begin", "_minibatch"))
    assert any(me.past[3:]) is False
    assert (me.fresh.n, me.replay.n, me.experiences) == (6, 20, 1)
    me.predict_latent(synthetic.latent(0))
    me.learn(1, progress=False)
    assert (me.fresh.n, me.experiences) == (0, 2)


def test_learning_works_in_another_thread(net, synthetic):
    me = learned(net, synthetic)
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
    source = (FIRMWARE / "bitreplay" / "interrupts.py").read_text()
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "micropython", micropython)
        patch.setattr(sys, "implementation", SimpleNamespace(name="micropython"))
        patch.setattr(sys, "platform", "rp2")
        names = {}
        exec(source, names)
    names["held"](calls.append, "inside")
    with pytest.raises(ZeroDivisionError):
        names["held"](lambda: 1 / 0)
    assert calls == ([-1, "inside", 3, -1, 3] if has_ctrl_c else ["inside"])


# Memory.


def buffers(thing):
    """The distinct buffers that an object owns; views are none."""
    found = {id(value): value for value in vars(thing).values() if type(value) in (bytearray, array)}
    return sum(len(memoryview(value).cast("B")) for value in found.values())


@pytest.mark.parametrize(
    "model, settings",
    [
        ({}, {}),
        ({}, {"conv": False}),
        ({}, {"head_bits": 32, "q_b": 16, "classes": 255}),
        ({}, {"replay": 0, "fresh": 1, "classes": 2, "q_b": 2}),
        ({"trainable": False}, {"conv": False, "replay": 1000}),
        (None, {"q_b": 3}),
    ],
    ids=str,
)
def test_memory_formula_is_what_is_allocated(tmp_path, model, settings):
    model = models.mixed() if model is None else models.tiny(**model)
    net = load(models.save(tmp_path / "model.safetensors", model))
    me = Learner(net, **settings)
    budget = me.memory()
    assert buffers(me.replay) == budget["replay"] and buffers(me.fresh) == budget["fresh"]
    assert buffers(me) == budget["weights"] + budget["gradients"]
    for name, size in me.buffers().items():
        part, buffer = name.split(".")
        assert memoryview(getattr(getattr(me, part, me), buffer)).nbytes == size, name
    assert budget["activations"] == net.scratch_bytes
    assert budget["total"] == sum(budget.values()) - budget["total"]
    assert f"{budget['total'] / 1024:.1f} KB of RAM" in repr(me)


def test_memory_formula_is_what_the_heap_measures(path, micropython):
    script = """
import gc
from array import array

def live():
    gc.collect()
    return gc.mem_alloc()

before = live()
me = bitreplay.Learner(net, replay=400, fresh=300, classes=30)
learner_bytes = live() - before
teach(me, synthetic, (0, 1), 100)
me.learn(1, progress=False)
teach(me, synthetic, (2, 3), 100)
after_learning = live() - before
me._begin()
batch = array("H", range(32))
me._minibatch(batch)
live()
gc.disable()
start = gc.mem_alloc()
me._minibatch(batch)
minibatch = gc.mem_alloc() - start
start = gc.mem_alloc()
me._begin()
begin = gc.mem_alloc() - start
start = gc.mem_alloc()
me.policy.absorb(me.replay, me.fresh, me.past, 2, me.rng)
absorb = gc.mem_alloc() - start
memory = me.memory()
show(formula=memory["total"] - memory["activations"], learner=learner_bytes, after=after_learning, minibatch=minibatch,
     begin=begin, absorb=absorb)
"""
    (found,) = run(micropython, script, path)
    # Python's objects are the rest: views of rows, mostly. Those of 64 bits are twice those of a board.
    assert 0 <= found["learner"] - found["formula"] < 12000
    assert found["after"] - found["learner"] < 2000
    # Garbage of a step, which the collector takes.
    assert found["minibatch"] < 4000 and found["begin"] < 4000 and found["absorb"] < 200 * 300


def test_the_largest_free_block_is_found(micropython):
    script = """
import bitreplay
holes = [bytearray(1000) for _ in range(1500)]
for i in range(0, 1000, 2):
    holes[i] = None
for i in range(1200, 1300):
    holes[i] = None
found = bitreplay.heap()
print(found["block"], found["free"] + found["used"])
again = bitreplay.heap()
assert all(abs(again[key] - found[key]) < 1000 for key in found)
try:
    bytearray(found["block"] + 1000)
except MemoryError:
    print("no more than that")
got = bytearray(found["block"])
print(bitreplay.heap()["used"] - found["used"])
"""
    block, no_more, used = micropython("# " + "-" * 60 + script, heap="2m").splitlines()
    block, both = [int(n) for n in block.split()]
    assert no_more == "no more than that"
    assert 100_000 < block < 500_000 < both < 2 << 20
    assert block <= int(used) < block + 1000


def test_a_loaded_model_leaves_a_large_block(path, micropython):
    """A heap that its parser had left in pieces would have no room for a replay memory."""
    script = """
gc.collect()
before = bitreplay.heap()
other = bitreplay.load(sys.argv[2])
after = bitreplay.heap()
show(used=after["used"] - before["used"], block=before["block"] - after["block"])
"""
    (lost,) = run(micropython, "import gc" + script, path, heap="1m")
    assert lost["block"] < lost["used"] + 16000


def test_no_heap_to_measure_under_cpython():
    assert heap() == {}


def test_too_little_memory_is_told_before_and_the_rest_goes_on(path, micropython):
    script = """
show(text=bitreplay.heap()["free"])
for settings in ({"replay": 30000}, {"replay": 0, "fresh": 30000}, {"replay": 9000, "classes": 255, "head_bits": 32}):
    try:
        bitreplay.Learner(net, **settings)
    except MemoryError as error:
        show(text=str(error))
me = bitreplay.Learner(net, replay=500)
teach(me, synthetic, (0, 1), 20)
me.learn(4, progress=False)
try:
    me = bitreplay.Learner(net, replay=30000)
except MemoryError as error:
    show(text=str(error))
show(text=accuracy(me, synthetic, (0, 1)) > 0.95)
"""
    free_before, *errors, alive = [outcome["text"] for outcome in run(micropython, script, path, heap="256k")]
    assert len(errors) == 4 and alive
    assert errors[0].startswith("Learner: needs 518652 bytes of RAM (replay 510000, fresh 1700, weights ")
    assert "replay 0, fresh 510000" in errors[1]
    for error, block in zip(errors, (480000, 480000, 144000, 480000)):
        found = rf"\), {block} of them in one block; (\d+) are free, (\d+) of them in one block; make replay or fresh"
        free, largest = re.search(found, error).groups()
        # What failed has left nothing behind.
        assert 50000 < int(free) < 256000 and int(largest) <= min(int(free), block), error
    assert 0 <= free_before - int(re.search(r"(\d+) are free", errors[0])[1]) < 4000


# Bad input: an exception that tells what to do, and a learner that is as it was.


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"replay": -1}, "replay: must be an integer, 0..32768, got -1"),
        ({"replay": 32769}, "replay: must be"),
        ({"replay": 10.0}, "replay: must be"),
        ({"replay": True}, "replay: must be"),
        ({"replay": "9"}, "replay: must be an integer, 0..32768, got '9'"),
        ({"fresh": 0}, "fresh: must be"),
        ({"fresh": None}, "fresh: must be"),
        ({"classes": 1}, "classes: must be an integer, 2..255"),
        ({"classes": 256}, "classes: must be"),
        ({"seed": 0}, "seed: must be"),
        ({"seed": 1 << 32}, "seed: must be"),
        ({"policy": "best"}, "policy: must be 'balanced' or 'reservoir', got 'best'"),
        ({"policy": ["balanced"]}, "policy: must be"),
        ({"conv": 1}, "conv: must be True or False, got 1"),
        ({"cwr": None}, "cwr: must be"),
        ({"q_f": 1}, "q_f: must be an integer, 2..8"),
        ({"q_b": 17}, "q_b: must be an integer, 2..16"),
        ({"head_bits": 16.0}, "head_bits: must be 16 or 32"),
        ({"head_bits": 8}, "head_bits: must be 16 or 32"),
        ({"rounding": {}}, "rounding: must be 'stochastic' or 'nearest'"),
        ({"rate": 0}, "rate: must be a number, 0.00001..1000, got 0"),
        ({"rate": float("nan")}, "rate: must be"),
        ({"rate": float("inf")}, "rate: must be"),
        ({"rate": -0.1}, "rate: must be"),
        ({"rate": 1e-6}, "rate: must be"),
        ({"rate": 10**400}, "rate: must be"),
        ({"rate": "fast"}, "rate: must be"),
        ({"conv_rate": 1001}, "conv_rate: must be"),
        ({"conv_rate": True}, "conv_rate: must be"),
    ],
    ids=str,
)
def test_bad_settings(net, settings, message):
    with pytest.raises(ValueError) as caught:
        Learner(net, **settings)
    assert str(caught.value).startswith(message)


def test_a_model_without_binary_layer_needs_conv_false(tmp_path):
    net = load(models.tiny_model(tmp_path / "model.safetensors", trainable=False))
    with pytest.raises(ValueError, match="conv: the model has no trainable layer; use conv=False"):
        Learner(net)
    Learner(net, conv=False)


def test_arguments_that_were_mixed_up(net, path):
    """TypeErrors, as they are no values; a path where the model belongs is what happens most."""
    for call in (lambda: Learner(path), lambda: Learner.load(path, "me.safetensors"), lambda: Learner.load(path, net)):
        with pytest.raises(TypeError, match=r"net: must be a Network, which bitreplay.load\(path\) returns, got str"):
            call()
    for call in (lambda: Learner.load("me.safetensors"), lambda: Learner.load(net)):
        with pytest.raises(TypeError, match=r"path: is missing; call Learner.load\(net, path\)"):
            call()


LABEL = "label: must be a str of 1..64 characters or an int of 64 bits"


@pytest.mark.parametrize(
    "see, error, message",
    [
        (lambda me: me.see(bytes(191), "new"), ValueError, "image: expected 192 bytes"),
        (lambda me: me.see(bytes(193), "new"), ValueError, "image: expected 192 bytes"),
        (lambda me: me.see(b"", "new"), ValueError, "image: expected 192 bytes"),
        (lambda me: me.see(None, "new"), TypeError, ""),
        (lambda me: me.see([0] * 192, "new"), TypeError, ""),
        (lambda me: me.see_latent(bytes(15), "new"), ValueError, "latent: expected 16 bytes, got 15"),
        (lambda me: me.see_latent([0] * 16, "new"), TypeError, ""),
        (lambda me: me.see(bytes(192), True), ValueError, LABEL),
        (lambda me: me.see(bytes(192), 1.0), ValueError, LABEL),
        (lambda me: me.see(bytes(192), None), ValueError, LABEL),
        (lambda me: me.see(bytes(192), b"mug"), ValueError, LABEL),
        (lambda me: me.see(bytes(192), ["mug"]), ValueError, LABEL),
        (lambda me: me.see(bytes(192), ""), ValueError, LABEL),
        (lambda me: me.see(bytes(192), "x" * 65), ValueError, LABEL),
        (lambda me: me.see(bytes(192), 1 << 63), ValueError, LABEL),
        (lambda me: me.see(bytes(192), "\ud800"), ValueError, ""),
        (lambda me: me.predict(bytes(100)), ValueError, "image: expected 192 bytes"),
        (lambda me: me.predict_latent(bytes(17)), ValueError, "latent: expected 16 bytes, got 17"),
        (lambda me: me.learn(0), ValueError, "epochs: must be an integer, 1..1000000, got 0"),
        (lambda me: me.learn(2.0), ValueError, "epochs: must be"),
    ],
)
def test_bad_input_leaves_the_learner_as_it_was(net, synthetic, see, error, message):
    me = learned(net, synthetic, classes=(0, 1, 2))
    before = me.digest(), repr(me), me.predict_latent(bytes(16))
    with pytest.raises(error) as caught:
        see(me)
    assert str(caught.value).startswith(message)
    assert (me.digest(), repr(me), me.predict_latent(bytes(16))) == before
    me.learn(1, progress=False)


def test_too_many_classes_and_too_many_samples(net):
    me = Learner(net, classes=3, fresh=4)
    for label in ("a", 1, "1"):
        me.see_latent(bytes(16), label)
    before = me.digest()
    with pytest.raises(ValueError, match="label: 'd' would be class 4, but classes=3 was fixed when"):
        me.see_latent(bytes(16), "d")
    assert me.digest() == before
    me.see_latent(bytes(16), "a")
    before = me.digest()
    for see in (me.see, me.see_latent):
        with pytest.raises(ValueError, match=r"see: 4 fresh samples are waiting; call learn\(\), or .* fresh=8"):
            see(bytes(192), "a")
    assert me.digest() == before
    me.learn(1, progress=False)
    me.see_latent(bytes(16), 1)
    assert me.labels == ["a", 1, "1"]


def test_nothing_to_learn_or_to_predict(net):
    me = Learner(net)
    with pytest.raises(ValueError, match=r"learn: no samples; call see\(\) first"):
        me.learn()
    for predict in (lambda: me.predict(bytes(192)), lambda: me.predict_latent(bytes(16))):
        with pytest.raises(ValueError, match=r"predict: nothing is learned yet; call see\(\) and learn\(\) first"):
            predict()
    me.see_latent(bytes(16), "only one")
    me.learn(1, progress=False)
    assert me.predict_latent(bytes(16)) == ("only one", 1.0)
    # Replayed samples alone can be learned again.
    me.learn(1, progress=False)
    assert me.experiences == 2
