"""What predict(), nearest() and scores() say, before and after learning."""

import pytest
from bitreplay import Learner
from learners import learned

import models


def test_the_nearest_sample_needs_no_learning(net, synthetic):
    me = Learner(net)
    for call in (me.nearest_latent, me.predict_latent):
        with pytest.raises(ValueError, match=r"nearest: nothing was seen yet; call see\(\) first"):
            call(bytes(net.latent_bytes))
    latents = [bytearray(synthetic.latent(c)) for _ in range(5) for c in range(3)]
    for i, latent in enumerate(latents):
        me.see_latent(latent, f"class {i % 3}")
    latent = latents[10]
    assert me.nearest_latent(latent) == ("class 1", 0, 10)
    latent[0] ^= 3
    assert me.nearest_latent(latent) == ("class 1", 2, 10)
    assert me.predict_latent(latent) == ("class 1", 1 - 2 / (8 * net.latent_bytes))


def test_fresh_and_replayed_samples_are_searched(net, synthetic):
    me = learned(net, synthetic)
    for samples, first in ((me.fresh, 0), (me.replay, me.fresh.n)):
        for i in range(samples.n):
            label, distance, index = me.nearest_latent(bytes(samples.latent(i)))
            assert distance == 0 and index <= first + i
            assert label == me.labels[samples.classes[i]] or index < first + i


def test_an_image_and_its_latent_agree(net, synthetic):
    me, image, latent = learned(net, synthetic), models.image(), bytearray(net.latent_bytes)
    net.latent(image, latent)
    assert me.nearest(image) == me.nearest_latent(latent)
    me.see(image, "this")
    assert me.nearest(image) == ("this", 0, me.fresh.n - 1)


def test_scores_are_all_probabilities(net, synthetic):
    me, image = learned(net, synthetic), models.image()
    me.see(image, "new")
    scores = me.scores(image)
    assert scores[0] == me.predict(image)
    assert sorted(label for label, _ in scores) == [0, 1, 2]
    assert [p for _, p in scores] == sorted((p for _, p in scores), reverse=True)
    assert sum(p for _, p in scores) == pytest.approx(1, abs=0.001)
    with pytest.raises(ValueError, match="scores: nothing is learned yet"):
        Learner(net).scores(image)
