"""A learner that starts with a model's own classes."""

import numpy as np
import pytest
from bitreplay import Learner, load
from learners import run

import models


def even(model):
    """Weights that have no -128, which a head of q_f=8 does not have."""
    model.tensors["head.weight"] = np.maximum(model.tensors["head.weight"], -127)


@pytest.fixture(scope="module")
def headed(tmp_path_factory):
    """The path of a model whose head can be taken over."""
    return models.tiny_model(tmp_path_factory.mktemp("headed") / "model.safetensors", even)


def with_head(path, weight, shift):
    def edit(model):
        model.tensors["head.weight"][:], model.tensors["head.shift"][:] = weight, shift

    return load(models.tiny_model(path, edit))


def test_it_classifies_as_the_model_does(headed):
    net = load(headed)
    me = Learner(net, start=True)
    assert me.labels == net.labels and me.experiences == 0
    assert me.counts() == dict.fromkeys(net.labels, (0, 0, 500))
    for seed in range(300):
        image = models.image(seed)
        assert me.predict(image) == net.classify(image)


@pytest.mark.parametrize(
    ("weight", "shift"), [(127, 0), (1, 6), (0, 6), (-127, -8), (3, -8), (40, -1), (64, -1), (63, 0), (-1, -3)]
)
def test_scales_that_fit(tmp_path, weight, shift):
    net = with_head(tmp_path / "model.safetensors", weight, shift)
    me, image = Learner(net, start=True), models.image()
    assert me.predict(image) == net.classify(image)
    net.classify(image)
    assert list(me.head.scores)[:3] == list(net._buffers.scores)


@pytest.mark.parametrize(("weight", "shift"), [(-128, 0), (1, -9), (2, -16), (127, 1), (4, 6), (-128, -8)])
def test_scales_that_do_not_fit(tmp_path, weight, shift):
    net = with_head(tmp_path / "model.safetensors", weight, shift)
    with pytest.raises(ValueError, match=r"start: the weights of class 'mug', up to \d+, do not fit q_f=8 and"):
        Learner(net, start=True)


def test_what_cannot_start(headed, tmp_path):
    for arguments, message in (
        (
            {"classes": 2},
            "classes: the model has 3 of its own; give more, to have room for new ones, or leave start out",
        ),
        ({"q_f": 4}, "start: the weights of class 'mug', up to 116, do not fit q_f=4"),
        ({"start": 1}, "start: must be True or False, got 1"),
    ):
        with pytest.raises(ValueError, match=message):
            Learner(load(headed), **{"start": True, **arguments})
    headless = load(models.tiny_model(tmp_path / "headless.safetensors", head=False))
    with pytest.raises(ValueError, match="start: the model has no pretrained head; leave it out"):
        Learner(headless, start=True)


def test_it_is_saved_and_learns_more(headed, tmp_path):
    net, path = load(headed), tmp_path / "me.safetensors"
    me = Learner(net, start=True)
    me.save(path)
    again = Learner.load(net, path)
    assert again.digest() == me.digest()
    for seed in range(10):
        again.see(models.image(seed), "new")
        again.see(models.image(100 + seed), net.labels[0])
    again.learn(2, progress=False)
    assert again.labels == [*net.labels, "new"]
    assert again.counts()["new"] == (0, 10, 10) and again.counts()[net.labels[0]] == (0, 10, 510)


def test_the_same_everywhere(headed, micropython, cpython):
    script = """
me = bitreplay.Learner(net, start=True, train=1)
before = me.digest()
teach(me, synthetic, (0, 1), 10, lambda c: ["new", "mug"][c])
me.learn(2, progress=False)
show(before=before, after=me.digest(), told=[me.predict_latent(synthetic.latent(c)) for c in range(4)])
"""
    found = run(micropython, script, headed)
    expected = run(cpython, script, headed)
    for one in (*found, *expected):
        one["told"] = [(label, round(p, 5)) for label, p in one["told"]]
    assert found == expected
