"""Bad arguments: an exception that tells what to do, and a learner that is as it was."""

import deep
import numpy as np
import pytest
from bitreplay import Learner, load
from learners import learned, run

import models


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
        ({"cwr": 1}, "cwr: must be True or False, got 1"),
        ({"q_f": 1}, "q_f: must be an integer, 2..8"),
        ({"q_b": 17}, "q_b: must be an integer, 2..16"),
        ({"head_bits": 16.0}, "head_bits: must be 16 or 32"),
        ({"head_bits": 8}, "head_bits: must be 16 or 32"),
        ({"rounding": {}}, "rounding: must be 'stochastic' or 'nearest'"),
        ({"rate": 0}, "rate: must be a number, 0.00001..100, got 0"),
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


TRAIN = 'train: must be "head", "all" or how many binary layers from the top, got '


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"train": -1}, TRAIN + "-1"),
        ({"train": "some"}, TRAIN + "'some'"),
        ({"train": True}, TRAIN + "True"),
        ({"train": 1.0}, TRAIN + "1.0"),
        ({"train": None}, TRAIN + "None"),
        ({"train": b"all"}, TRAIN + "bytes"),
        ({"train": ["all"]}, TRAIN + "list"),
        ({"train": "x" * 1000}, TRAIN + "'xxx"),
        ({"train": 4}, "train: the model has 3 binary layers above its latent, got 4"),
        ({"train": 10**30}, "train: the model has 3 binary layers above its latent, got 1000"),
        ({"channels": 0}, "channels: must be a number above 0 and at most 1, got 0"),
        ({"channels": 2}, "channels: must be a number above 0 and at most 1, got 2"),
        ({"channels": -0.5}, "channels: must be a number above 0"),
        ({"channels": True}, "channels: must be"),
        ({"channels": float("nan")}, "channels: must be"),
        ({"channels": "half"}, "channels: must be a number above 0 and at most 1, got 'half'"),
        (
            {"train": 1, "channels": 0.001},
            "channels: 0.001 of the 64 channels of bconv2d6 is less than one; give more",
        ),
        (
            {"train": "all", "channels": 0.01},
            "channels: 0.01 of the 32 channels of bconv2d1 is less than one; give more",
        ),
    ],
    ids=str,
)
def test_layers_and_channels_that_cannot_be_trained(deep_net, settings, message):
    with pytest.raises(ValueError) as caught:
        Learner(deep_net, **settings)
    assert str(caught.value).startswith(message) and len(str(caught.value)) < 120


def test_the_smallest_share_that_leaves_a_channel(deep_net):
    me = Learner(deep_net, train="all", channels=1 / 64)
    assert [list(part.channels) for part in me.trainer.parts] == [[0], [0], [0]]
    with pytest.raises(ValueError, match="channels: 0.015 of the 32 channels of bconv2d1 is less than one"):
        Learner(deep_net, train="all", channels=0.015)
    # Of what is not trained no channel is missed.
    Learner(deep_net, channels=0.001)


@pytest.mark.parametrize(
    "name, reached, layers, stop",
    [
        ("signs", 2, 3, ", as no gradient passes the bconv2d_sign bconv2d_sign3"),
        ("maximum", 1, 2, ", as no gradient passes the max_pool"),
        ("pooled bits", 2, 3, ", as no gradient passes the max_pool_bits"),
    ],
)
def test_layers_that_no_gradient_reaches(tmp_path, name, reached, layers, stop):
    net = load(models.save(tmp_path / "model.safetensors", deep.deep(name)))
    message = rf"^train: of {layers} binary layers only the upper {reached} can be trained{stop} \(docs/learning.md\)$"
    for train in ("all", reached + 1):
        with pytest.raises(ValueError, match=message):
            Learner(net, train=train)
    Learner(net, train=reached)


def test_a_model_without_binary_layers(tmp_path):
    net = load(models.tiny_model(tmp_path / "model.safetensors", trainable=False))
    with pytest.raises(ValueError, match="train: the model has 0 binary layers above its latent, got 1"):
        Learner(net, train=1)
    with pytest.raises(ValueError, match="train: the model has no binary layers above its latent"):
        Learner(net, train="all")
    Learner(net)


def test_arguments_that_were_mixed_up(net, model):
    """TypeErrors, as they are no values; a path where the model belongs is what happens most."""
    for call in (
        lambda: Learner(model),
        lambda: Learner.load(model, "me.safetensors"),
        lambda: Learner.load(model, net),
    ):
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
        (lambda me: me.see_latent(bytes(15), "new"), ValueError, "latent: expected 16 bytes"),
        (lambda me: me.see_latent([0] * 16, "new"), TypeError, ""),
        (lambda me: me.see(bytes(192), True), ValueError, LABEL),
        (lambda me: me.see(bytes(192), 1.0), ValueError, LABEL),
        (lambda me: me.see(bytes(192), None), ValueError, LABEL),
        (lambda me: me.see(bytes(192), b"mug"), ValueError, LABEL),
        (lambda me: me.see(bytes(192), ["mug"]), ValueError, LABEL),
        (lambda me: me.see(bytes(192), ""), ValueError, LABEL),
        (lambda me: me.see(bytes(192), "x" * 65), ValueError, LABEL),
        (lambda me: me.see(bytes(192), 1 << 63), ValueError, LABEL),
        (lambda me: me.see(bytes(192), "\ud800"), ValueError, LABEL + ", got half of a surrogate pair"),
        (lambda me: me.predict(bytes(100)), ValueError, "image: expected 192 bytes"),
        (lambda me: me.predict_latent(bytes(17)), ValueError, "latent: expected 16 bytes"),
        (lambda me: me.learn(0), ValueError, "epochs: must be an integer, 1..1000000, got 0"),
        (lambda me: me.learn(2.0), ValueError, "epochs: must be"),
        (lambda me: me.learn(1, 1), ValueError, "progress: must be True, False, None or a function, got 1"),
        (lambda me: me.learn(1, "yes"), ValueError, "progress: must be True, False, None or a function, got 'yes'"),
        (lambda me: me.learn(1, 0), ValueError, "progress: must be"),
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
    with pytest.raises(
        ValueError, match=r"'d' would be class 4, with room for classes=3; .*load\(net, path, classes=N\)"
    ):
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
        with pytest.raises(ValueError, match=r"nearest: nothing was seen yet; call see\(\) first"):
            predict()
    me.see_latent(bytes(16), "only one")
    me.learn(1, progress=False)
    assert me.predict_latent(bytes(16)) == ("only one", 1.0)
    # Replayed samples alone can be learned again.
    me.learn(1, progress=False)
    assert me.experiences == 2


def test_arrays_of_numpy(net):
    me, image = Learner(net, fresh=20), models.image()
    # Of the same content, however it lies in memory.
    wide = np.zeros((8, 16, 3), np.uint8)
    wide[:, ::2] = image
    for same in (image, wide[:, ::2], image[None], np.asfortranarray(image), image.tobytes(), image.reshape(-1)):
        me.see(same, np.int64(7))
    me.see_latent(np.arange(32, dtype=np.uint8)[::2], np.str_("mug"))
    assert [bytes(me.fresh.latent(i)) == bytes(me.fresh.latent(0)) for i in range(6)] == [True] * 6
    assert bytes(me.fresh.latent(6)) == bytes(range(0, 32, 2)) and me.fresh.n == 7
    assert me.labels == [7, "mug"] and [type(label) for label in me.labels] == [int, str]
    for wrong, error, message in (
        (image.transpose(2, 0, 1), ValueError, r"image: expected 192 bytes, .* got shape \(3, 8, 8\)"),
        (image.astype(np.int8), TypeError, "image: must be uint8, got a buffer of format 'b'"),
        (image.astype(np.uint16), TypeError, "image: must be uint8, got a buffer of format 'H'"),
        (5, TypeError, "image: must be a buffer of bytes, .* got int"),
    ):
        with pytest.raises(error, match=message):
            me.see(wrong, 7)
    assert me.fresh.n == 7


def test_numbers_of_numpy(net):
    ours = {"replay": 30, "seed": 2, "rate": 0.01, "conv_rate": 0.5, "cwr": True, "policy": "reservoir", "train": 0}
    numpys = {"replay": np.int64(30), "seed": np.uint32(2), "rate": np.float64(0.01), "conv_rate": np.float32(0.5)}
    me = Learner(net, cwr=np.True_, policy=np.str_("reservoir"), train=np.int8(0), **numpys)
    assert me.config == Learner(net, **ours).config and me.rng[0] == 2
    assert [type(value) for value in me.config.values()] == [
        type(value) for value in Learner(net, **ours).config.values()
    ]
    me.see(models.image(), 0)
    me.learn(np.int64(1), progress=np.False_)
    with pytest.raises(ValueError, match="replay: must be an integer"):
        Learner(net, replay=np.float64(30))


def test_wrong_buffers_under_micropython(model, micropython):
    script = """
from array import array
me = bitreplay.Learner(net)
for see, wrong in (
    (me.see, 5), (me.see, "a" * 192), (me.see, array("H", bytes(192))), (me.see, [0] * 192),
    (me.see_latent, "a" * 16), (me.see_latent, [0] * 16), (me.see_latent, array("H", bytes(16))),
    (me.see_latent, None), (me.see, array("b", bytes(192))), (me.see_latent, array("b", bytes(16))),
):
    try:
        see(wrong, 1)
        show(text="taken")
    except (TypeError, ValueError) as error:
        show(text=str(error))
show(text=str(me.fresh.n))
"""
    texts = [found["text"] for found in run(micropython, script, model)]
    assert texts.pop() == "0"
    assert [text.split(":")[0] for text in texts] == ["image"] * 4 + ["latent"] * 4 + ["image", "latent"]
