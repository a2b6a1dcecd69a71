"""The learner: what it learns and keeps, CWR* and gradients against floating point, Ctrl-C, memory, bad input."""

import json
import math
import os
import signal
import sys
import threading
from pathlib import Path
from types import ModuleType, SimpleNamespace

import models
import numpy as np
import pytest
from bitreplay import Learner, learner, load, state
from bitreplay.replay import BATCH
from hypothesis import given
from hypothesis import strategies as st
from made import Made, accuracy, teach

HERE = Path(__file__).parent
FIRMWARE = HERE.parents[1] / "firmware"
PRELUDE = """
import sys
sys.path.append(sys.argv[1])
import bitreplay
from made import Made, accuracy, show, teach

net = bitreplay.load(sys.argv[2])
made = Made(net.latent_bytes)
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return models.tiny_model(tmp_path_factory.mktemp("learner") / "model.safetensors")


@pytest.fixture
def net(path):
    return load(path)


@pytest.fixture
def made(net):
    return Made(net.latent_bytes)


def run(implementation, script, *arguments, **options):
    """The objects that a script printed."""
    return [json.loads(line) for line in implementation(PRELUDE + script, HERE, *arguments, **options).splitlines()]


def learned(net, made, classes=(0, 1, 2), samples=10, **settings):
    """A learner that has learned something, and has fresh samples again."""
    me = Learner(net, **{"replay": 20, **settings})
    teach(me, made, classes, samples)
    me.learn(2, progress=False)
    teach(me, made, classes, 2)
    return me


# At the REPL.


def test_session_of_the_design(path, tmp_path, micropython, cpython):
    script = """
image = bytearray([i % 251 for i in range(net.image_bytes)])
other = bytearray([i * i % 241 for i in range(net.image_bytes)])
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
        assert lines[6].startswith("<Learner of 2/10 classes ['mug', 12], replay 20/500, fresh 0/100, 1 experiences; ")
        assert lines[6].endswith(" KB in RAM>")
        assert lines[7:] == ["True"]


def test_repr_stays_short(net):
    me = Learner(net, classes=255)
    assert "0/255 classes []" in repr(me)
    for i in range(60):
        me.see_latent(bytes(16), f"label {i}")
    assert "60/255 classes ['label 0', 'label 1'" in repr(me)
    assert len(repr(me)) < 300


def test_progress_is_a_line_a_function_or_nothing(net, made, capsys):
    me = Learner(net, conv=False)
    teach(me, made, (0, 1), 4)
    calls = []
    me.learn(3, progress=lambda *arguments: calls.append(arguments))
    assert [call[:2] for call in calls] == [(1, 3), (2, 3), (3, 3)]
    assert all(0 <= percent <= 100 for _, _, percent in calls)
    me.learn(1, progress=False)
    me.learn(1, progress=None)
    assert capsys.readouterr().out == ""
    me.learn(1)
    assert capsys.readouterr().out.startswith("epoch 1/1: ")


def test_the_learner_is_not_used_while_it_learns(net, made):
    """progress functions could: the minibatch's buffers would be overwritten."""
    me = learned(net, made)
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

    other = learned(net, Made(net.latent_bytes))
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
    made = Made(net.latent_bytes)
    teach(me, made, range(4), 20)
    me.learn(10, progress=False)
    show(settings=settings, accuracy=accuracy(me, made, range(4)))
"""


def test_it_learns_with_any_setting(path, tmp_path, micropython):
    runs = [
        {"policy": policy, "conv": conv, "cwr": cwr, "head_bits": head_bits, "q_f": q_f, "q_b": q_b, "rounding": rounding}
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


def test_it_learns_under_cpython(net, made):
    me = Learner(net)
    teach(me, made, range(4), 20)
    me.learn(8, progress=False)
    assert accuracy(me, made, range(4)) > 0.95


def test_it_keeps_old_classes_with_replay_and_loses_them_without(path, micropython):
    script = """
for settings in ({"replay": 120}, {"replay": 120, "conv": False}, {"replay": 120, "policy": "reservoir"},
                 {"replay": 0, "cwr": False}, {"replay": 0, "cwr": False, "conv": False}):
    me, made = bitreplay.Learner(net, rate=0.02, **settings), Made(net.latent_bytes)
    for classes in ((0, 1), (2, 3), (4, 5)):
        teach(me, made, classes, 30)
        me.learn(6, progress=False)
    show(old=accuracy(me, made, (0, 1, 2, 3)), new=accuracy(me, made, (4, 5)))
"""
    *kept, naive, naive_head = run(micropython, script, path)
    for outcome in kept:
        assert outcome["old"] > 0.9 and outcome["new"] > 0.9, outcome
    for outcome in (naive, naive_head):
        assert outcome["old"] < 0.3 and outcome["new"] > 0.9, outcome


def test_the_binary_layer_learns_only_with_conv(net, made):
    pretrained = bytes(net.tail.weight)
    me = learned(net, made, conv=True)
    assert bytes(me.weight) != pretrained
    assert bytes(net.tail.weight) == pretrained
    packed = np.packbits(np.frombuffer(me.weight, np.int8) >= 0, bitorder="little")
    assert bytes(me.packed) == packed.tobytes()
    me = learned(net, made, conv=False)
    assert me.weight is None and bytes(me.packed) == bytes(net.pack_tail())


def test_only_learned_classes_compete(net, made):
    me = learned(net, made, (0, 1))
    me.see_latent(made.latent(7), "not learned")
    assert {me.predict_latent(made.latent(7))[0] for _ in range(20)} <= {0, 1}
    me.learn(4, progress=False)
    assert "not learned" in me.labels and me.past[2] == 1


# CWR*: Lomonaco, Maltoni and Pellegrini 2020, algorithm 3; Avalanche's CWRStarPlugin.consolidate_weights computes the same
# (except that it leaves `past` at 0 after the first time that a class is seen, which the paper does not).


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
def test_consolidation_is_the_published_one(net, made, replay, bits):
    me = Watched(net, replay=replay, head_bits=bits, conv=False)
    cw, past = {}, {}
    for classes, samples in (((0, 1, 2), 8), ((3, 4), 20), ((1, 3), 5), ((0,), 9), ((5, 2, 0), 3), ((1,), 1)):
        before = consolidated(me)
        replayed = set(me.replay.classes[: me.replay.n])
        teach(me, made, classes, samples, label=lambda c: f"class {c}")
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
    assert max(np.abs(cw[c]).max() for c in cw) > 500


def test_training_weights_start_from_the_consolidated_ones_of_classes_that_are_here(net, made):
    me = learned(net, made, (0, 1, 2), replay=0)
    me.fresh.n = 0
    teach(me, made, (1, 4), 3)
    before = consolidated(me)
    me._begin()
    tw = np.frombuffer(me.tw, np.int16).reshape(len(me.past), -1)
    assert np.array_equal(tw[1], before[1]) and before[1].any()
    assert not tw[[0, 2, 3]].any()


def test_without_cwr_the_weights_go_on(net, made):
    me = learned(net, made, cwr=False, conv=False)
    assert bytes(me.cw) == bytes(me.tw)
    me.learn(1, progress=False)
    assert bytes(me.cw) == bytes(me.tw)


@given(st.integers(0, 1 << 62))
def test_square_root(n):
    assert learner._isqrt(n) == math.isqrt(n)


@given(st.floats(1e-5, 1000))
def test_rates_keep_four_bits(x):
    rate, exponent = learner._fixed(x)
    assert 8 <= rate <= 15
    assert abs(rate * 2.0**exponent / x - 1) <= 1 / 16


@given(st.integers(0, state.MOST), st.integers(1, 65536))
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
    slope = np.frombuffer(net.tail.slope, np.int16).reshape(n, 2) / 2.0**net.tail.shift
    acc = x @ sign.T
    local = np.where(acc < 0, slope[:, 1], slope[:, 0])
    stream = net.expand_value * x + acc * local + np.frombuffer(net.tail.bias, np.int32) / 2.0**net.tail.shift
    features = np.clip(stream, -128, 127).mean(axis=1) / 16
    head = np.frombuffer(me.tw, np.int16).reshape(-1, n) * 2.0**-14
    scores = (features @ head.T)[:, : len(me.labels)]
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    e = p / p.sum(axis=1, keepdims=True)
    e[np.arange(BATCH), [me.fresh.classes[i] for i in range(BATCH)]] -= 1
    upstream = (e @ head[: len(me.labels)])[:, None, :] / positions * local * (np.abs(stream) <= 128)
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
    tail, head = by_hand(me, net)
    # Large steps, so that what is measured is not the rounding of the weights.
    rate = 2.0 ** math.floor(math.log2(60 / np.abs(tail).max() * BATCH / 128))
    me.config["conv_rate"], me.config["rate"] = rate, 0.05
    me._set_hyper()
    me._minibatch(range(BATCH))
    step = (before - np.frombuffer(me.weight, np.int8)).reshape(tail.shape)
    assert 20 < np.abs(step).max() < 87
    assert cosine(step, tail) > least
    # The rate has a meaning: weights are in units of 1/128, the gradient is the mean over the minibatch.
    if q_b == 16:
        assert (step * tail).sum() / (tail * tail).sum() == pytest.approx(rate * 128 / BATCH, rel=0.05)
    step = (tw_before - tw)[: head.size].reshape(-1, net.features)[:4]
    assert cosine(step, head[:4]) > 0.99
    assert (step * head[:4]).sum() / (head[:4] ** 2).sum() == pytest.approx(0.05 * 2**14 / BATCH, rel=0.05)
