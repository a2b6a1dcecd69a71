"""What predict(image, unknown=SHARE) refuses, and by which rule."""

from array import array

import numpy as np
import pytest
from bitreplay import Learner, strange
from bitreplay.replay import Samples
from learners import learned, run
from synthetic import teach

import models


def by_hand(samples, latent, leave=-1):
    """The strangeness as docs/learning.md has it."""
    latents = np.frombuffer(samples.latents, np.uint8).reshape(samples.capacity, -1)[: samples.n]
    distances = np.unpackbits(latents ^ np.frombuffer(latent, np.uint8), axis=1).sum(axis=1, dtype=int)
    classes, kept = np.frombuffer(samples.classes, np.uint8)[: samples.n], np.arange(samples.n) != leave
    means = []
    for c in np.unique(classes[kept]):
        near = np.sort(distances[kept & (classes == c)])[: strange.NEAR]
        means.append(6 * int(near.sum()) // len(near))
    return min(means) * len(means) * strange.ONE // sum(means)


def work(classes):
    return array("i", bytes(4 * strange.NEAR * classes)), array("I", [0, 0])


def test_strangeness_is_that_of_the_nearest_class(synthetic):
    rng, samples = np.random.default_rng(1), Samples(30, synthetic.size)
    for c in (0, 2, 2, 0, 3, 2, 2, 0, 3, 3, 0, 2):
        samples.write(samples.n, synthetic.latent(c), c)
        samples.n += 1
    for _ in range(20):
        latent = rng.integers(0, 256, synthetic.size, dtype=np.uint8).tobytes()
        assert strange.strangeness(samples, latent, *work(5)) == by_hand(samples, latent)
    for i in range(samples.n):
        latent = bytes(samples.latent(i))
        assert strange.strangeness(samples, latent, *work(5), i) == by_hand(samples, latent, i)


def test_it_tells_strangers(net, synthetic):
    me = learned(net, synthetic, samples=20, replay=60)
    counted = []
    for classes in ((0, 1, 2), (7, 8, 9)):
        latents = [synthetic.latent(c) for _ in range(30) for c in classes]
        counted.append(sum(me.predict_latent(latent, unknown=0.05)[0] is None for latent in latents))
    assert counted[0] <= 15 and counted[1] >= 75
    image = models.image()
    label, probability = me.predict(image)
    assert me.predict(image, unknown=1)[1] == probability and me.predict(image, unknown=None) == (label, probability)


def test_the_share_is_of_the_replayed_samples():
    told = array("H", range(100))
    for share, refused in ((1, 0), (9, 0), (50, 5), (999, 99), (1000, 99)):
        assert sum(strange.is_strange(value, told, share) for value in told) == refused


def test_the_limit_follows_what_is_kept(net, synthetic):
    me = learned(net, synthetic)
    latent = synthetic.latent(5)
    me.predict_latent(latent, unknown=0.1)
    assert me._strange is not None
    before = me._strange
    me.see_latent(latent, "new")
    me.predict_latent(latent, unknown=0.1)
    assert me._strange is before
    me.forget(1)
    assert me._strange is None
    me.predict_latent(latent, unknown=0.1)
    me.learn(1, progress=False)
    assert me._strange is None


def test_what_cannot_be_told(net, synthetic):
    me, latent = Learner(net), synthetic.latent(0)
    needs = r"unknown: needs two classes with two replayed samples each; call see\(\) and learn\(\) first"
    with pytest.raises(ValueError, match=needs):
        me.predict_latent(latent, unknown=0.05)
    teach(me, synthetic, (0,), 5)
    me.learn(1, progress=False)
    with pytest.raises(ValueError, match=needs):
        me.predict_latent(latent, unknown=0.05)
    teach(me, synthetic, (1,), 5)
    me.learn(1, progress=False)
    for wrong in (0, 1.5, -1, "0.05", True):
        with pytest.raises(ValueError, match="unknown: must be a number above 0 and at most 1"):
            me.predict_latent(latent, unknown=wrong)
    assert me.predict_latent(latent, unknown=np.float32(0.05)) == me.predict_latent(latent)


def test_asking_changes_nothing(net, synthetic):
    me = learned(net, synthetic)
    before = me.digest()
    me.predict_latent(synthetic.latent(9), unknown=0.5)
    assert me.digest() == before


def test_the_same_everywhere(deep_model, micropython, cpython):
    script = """
me = bitreplay.Learner(net, replay=40, fresh=40, classes=5)
teach(me, synthetic, (0, 1, 2), 13)
me.learn(2, progress=False)
told = [me.predict_latent(synthetic.latent(c), unknown=u)[0] for c in range(5) for u in (0.05, 0.3, 1)]
show(told=told, known=list(me._strange))
"""
    found = run(micropython, script, deep_model)
    assert found == run(cpython, script, deep_model)
    assert None in found[0]["told"] and len(set(found[0]["told"])) > 1
