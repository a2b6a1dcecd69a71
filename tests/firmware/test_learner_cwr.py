"""CWR* against the published formula in floating point."""

import math

import numpy as np
import pytest
from bitreplay import Learner, checks, fixed
from bitreplay.head import Head
from bitreplay.learning import FEW
from bitreplay.replay import contrast
from hypothesis import given
from hypothesis import strategies as st
from learners import learned
from synthetic import teach

# CWR*: Lomonaco, Maltoni and Pellegrini 2020. tests/host/experiments/test_avalanche.py compares with Avalanche itself.


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
        tw = np.frombuffer(self.head.tw, np.int16 if self.config["head_bits"] == 16 else np.int32)
        tw = tw.reshape(len(self.head.past), -1) / (1 if self.config["head_bits"] == 16 else 65536)
        self.trained, self.present = tw, {c: n for c, n in enumerate(present) if n}
        super()._consolidate(present, absorb)


def consolidated(me):
    return np.frombuffer(me.head.cw, np.int16).reshape(len(me.head.past), -1).astype(float)


@pytest.mark.parametrize("replay, bits", [(0, 16), (0, 32), (12, 16)])
def test_consolidation_is_the_published_one(net, synthetic, replay, bits):
    me = Watched(net, replay=replay, head_bits=bits)
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
        for c in range(len(me.head.past)):
            assert np.abs(consolidated(me)[c] - exact[c]).max() <= (2 if c in me.present else 0)
        # And from the start in floating point: rounding must not add up.
        cw, past = published(cw, me.trained, past, me.present)
        assert all(np.abs(consolidated(me)[c] - cw[c]).max() < 6 for c in cw)
        assert [me.head.past[c] for c in range(len(me.head.past))] == [
            past.get(c, 0) for c in range(len(me.head.past))
        ]
    assert max(np.abs(cw[c]).max() for c in cw) > 200


def test_training_weights_start_from_the_consolidated_ones_of_classes_that_are_here(net, synthetic):
    me = learned(net, synthetic, (0, 1, 2), replay=0)
    me.fresh.n = 0
    teach(me, synthetic, (1, 4), 3)
    before = consolidated(me)
    me.head.begin(len(me.labels), me._classes())
    tw = np.frombuffer(me.head.tw, np.int16).reshape(len(me.head.past), -1)
    assert np.array_equal(tw[1], before[1]) and before[1].any()
    assert not tw[[0, 2, 3]].any()


@pytest.mark.parametrize("bits", [16, 32])
def test_new_classes_start_from_what_sets_their_samples_apart(net, synthetic, bits):
    me = learned(net, synthetic, (0, 1, 2), head_bits=bits)
    teach(me, synthetic, (4, 7), 5)
    classes, size = me._classes(), np.abs(consolidated(me)[:3]).sum(axis=1).astype(int).sum() // 3
    me._begin(classes)
    tw = np.frombuffer(me.head.tw, np.int16 if bits == 16 else np.int32).reshape(len(me.head.past), -1)
    assert np.array_equal(tw[:3] >> (bits - 16), consolidated(me)[:3])
    for c in (3, 4):
        f, features = np.zeros(net.features, np.int64), bytearray(net.features)
        for i, weight in contrast(classes, c):
            me.above.features(me._latent(i), features)
            f += weight * np.frombuffer(features, np.int8).astype(int)
        assert np.array_equal(tw[c], f * (int(size) << (bits - 16)) // np.abs(f).sum())
        me.head.classify(features, me._e_rows[0])
        assert (classes[i] == c) == (max(me.head.scores) == me.head.scores[c])
    assert not tw[5:].any()


@pytest.mark.parametrize(
    ("settings", "samples"), [({"replay": 0}, 5), ({"replay": 0, "cwr": False}, 5), ({"fresh": 300}, FEW + 1)]
)
def test_classes_start_from_0_without_replay_and_with_many_samples(net, synthetic, settings, samples):
    me = learned(net, synthetic, (0, 1, 2), **settings)
    teach(me, synthetic, (4,), samples)
    me._begin(me._classes())
    assert not np.frombuffer(me.head.tw, np.int16).reshape(len(me.head.past), -1)[3].any()


@pytest.mark.parametrize(("replayed", "starts"), [(20, True), (21, False)])
def test_where_each_class_is_drawn_little_many_samples_start_from_them_too(net, synthetic, replayed, starts):
    """257 samples of a new class beside twenty known ones: 31 or 33 samples of an epoch for each class."""
    me = Learner(net, classes=21, replay=500, fresh=500)
    teach(me, synthetic, range(20), replayed)
    me.learn(1, progress=False)
    teach(me, synthetic, (20,), FEW + 1)
    me._begin(me._classes())
    assert np.frombuffer(me.head.tw, np.int16).reshape(len(me.head.past), -1)[20].any() == starts


def test_without_cwr_the_weights_go_on(net, synthetic):
    me = learned(net, synthetic, cwr=False)
    assert bytes(me.head.cw) == bytes(me.head.tw)
    me.learn(1, progress=False)
    assert bytes(me.head.cw) == bytes(me.head.tw)


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
    assert abs(Head._alpha(None, past, present) / 32768 - w / (w + 1)) < 1 / 16384
