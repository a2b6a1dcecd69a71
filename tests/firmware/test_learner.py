"""The learner at the REPL, and what it learns and keeps."""

import json

import numpy as np
import pytest
from bitreplay import Learner
from learners import HERE, PRELUDE, learned, run
from synthetic import Synthetic, accuracy, teach


def test_session_of_the_design(model, tmp_path, micropython, cpython):
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
        lines = implementation(PRELUDE + script, HERE, model, tmp_path / "me.safetensors").splitlines()
        assert lines[0].startswith("epoch 1/4: ") and " % of the minibatches' samples right, " in lines[0]
        assert lines[4:6] == ["mug True", "12"]
        assert lines[6].startswith(
            "<Learner of 2/10 classes ['mug', 12], replay 20/500, fresh 0/100, trains the head, experiences 1; "
        )
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
    me = Learner(net)
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
            lambda: me.save("/tmp/never"),
            me.digest,
            # Others on the same network work in the same scratch.
            lambda: other.predict_latent(bytes(16)),
            lambda: net.latent(bytes(192), bytearray(16)),
            lambda: net.classify(bytes(192)),
        ):
            with pytest.raises(RuntimeError, match="the network is in use"):
                action()
            refused.append(action)

    other = learned(net, Synthetic(net.latent_bytes))
    other.learn(1, progress=False)
    me.learn(1, progress=meddle)
    assert len(refused) == 10
    assert me.digest() == other.digest()
    me.predict_latent(bytes(16))


# What it learns.

LEARNS = """
import json
with open(sys.argv[3]) as file:
    runs = json.load(file)
for settings in runs:
    me = bitreplay.Learner(net, rate=0.02, **settings)
    synthetic = Synthetic(net.latent_bytes)
    teach(me, synthetic, range(4), 20)
    me.learn(10, progress=False)
    show(settings=settings, accuracy=accuracy(me, synthetic, range(4)))
"""


def test_it_learns_with_any_setting(model, tmp_path, micropython):
    runs = [
        {
            "policy": policy,
            "train": train,
            "cwr": cwr,
            "head_bits": head_bits,
            "q_f": q_f,
            "q_b": q_b,
            "rounding": rounding,
        }
        for policy in ("balanced", "reservoir")
        for train in ("all", "head")
        for cwr in (True, False)
        for head_bits, q_f, q_b, rounding in (
            (16, 8, 4, "stochastic"),
            (32, 4, 2, "nearest"),
            (16, 4, 16, "nearest"),
            (32, 8, 8, "stochastic"),
        )
    ]
    (tmp_path / "runs.json").write_text(json.dumps(runs))
    outcomes = run(micropython, LEARNS, model, tmp_path / "runs.json")
    assert len(outcomes) == len(runs)
    for outcome in outcomes:
        assert outcome["accuracy"] > 0.95, outcome


def test_it_learns_under_cpython(net, synthetic):
    for train in ("head", "all"):
        me = Learner(net, train=train, rate=0.02)
        teach(me, synthetic, range(4), 20)
        me.learn(8, progress=False)
        assert accuracy(me, synthetic, range(4)) > 0.95


def test_it_keeps_old_classes_with_replay_and_loses_them_without(model, micropython):
    script = """
for settings in ({"replay": 120}, {"replay": 120, "train": "all"}, {"replay": 120, "policy": "reservoir"},
                 {"replay": 0, "cwr": False}, {"replay": 0, "train": 1}):
    me, synthetic = bitreplay.Learner(net, rate=0.02, **settings), Synthetic(net.latent_bytes)
    for classes in ((0, 1), (2, 3), (4, 5)):
        teach(me, synthetic, classes, 30)
        me.learn(6, progress=False)
    show(old=accuracy(me, synthetic, (0, 1, 2, 3)), new=accuracy(me, synthetic, (4, 5)))
"""
    *kept, naive_head, naive = run(micropython, script, model)
    for outcome in kept:
        assert outcome["old"] > 0.9 and outcome["new"] > 0.9, outcome
    for outcome in (naive_head, naive):
        assert outcome["old"] < 0.3 and outcome["new"] > 0.9, outcome


def packed_signs(weight):
    """The bits of latent weights."""
    return np.packbits(np.frombuffer(weight, np.int8) >= 0, bitorder="little").tobytes()


@pytest.mark.parametrize("train, layers", [("head", 0), (1, 1), (2, 2), ("all", 3), (3, 3)])
def test_the_layers_that_train_names_learn(deep_net, train, layers):
    found = [i for i, layer in enumerate(deep_net.above) if layer.op == "bconv2d"]
    pretrained = [bytes(deep_net.above[i].weight) for i in found]
    me = learned(deep_net, Synthetic(deep_net.latent_bytes), train=train, conv_rate=0.1)
    parts = me.trainer.parts if me.trainer else []
    assert [part.index for part in parts] == found[3 - layers :] and me.config["train"] == layers
    for part in parts:
        assert bytes(part.packed) == packed_signs(part.weight) != bytes(part.layer.weight)
        assert part.packed is me.trainer.packed[part.index]
    # The model is as it was.
    assert [bytes(deep_net.above[i].weight) for i in found] == pretrained
    assert "trains the head" + {0: "", 1: " and 1 binary layer"}.get(layers, f" and {layers} binary layers") in repr(
        me
    )


def test_only_a_share_of_the_channels_learns(deep_net):
    me = learned(deep_net, Synthetic(deep_net.latent_bytes), train="all", channels=0.25, conv_rate=0.1)
    for part in me.trainer.parts:
        cout = part.layer.shape[2]
        # One in four, from every group.
        assert list(part.channels) == list(range(0, cout, 4))
        packed, file = [np.frombuffer(data, np.uint8).reshape(cout, -1) for data in (part.packed, part.layer.weight)]
        changed = (packed != file).any(1)
        assert changed[list(part.channels)].any() and not np.delete(changed, part.channels).any()
        assert packed_signs(part.weight) == packed[list(part.channels)].tobytes()
    assert "trains the head and 3 binary layers (0.25 of their channels)" in repr(me)


def test_a_learner_starts_with_the_features_of_the_file(deep_net):
    """Latent weights of one small size, whose signs are the file's."""
    me, features, other = Learner(deep_net, train="all"), bytearray(deep_net.features), bytearray(deep_net.features)
    latent = Synthetic(deep_net.latent_bytes).latent(0)
    me.above.features(latent, features)
    Learner(deep_net).above.features(latent, other)
    assert features == other
    for part in me.trainer.parts:
        assert {*np.abs(np.frombuffer(part.weight, np.int8))} == {13}
        assert packed_signs(part.weight) == bytes(part.layer.weight)
    me.trainer.pack()
    me.above.features(latent, features)
    assert features == other


def test_cwr_is_for_heads_on_features_that_stay(deep_net):
    assert [Learner(deep_net, train=train).config["cwr"] for train in ("head", 1, "all")] == [True, False, False]
    assert [Learner(deep_net, train=2, cwr=cwr).config["cwr"] for cwr in (True, False)] == [True, False]


def test_only_learned_classes_compete(net, synthetic):
    me = learned(net, synthetic, (0, 1))
    me.see_latent(synthetic.latent(7), "not learned")
    assert {me.predict_latent(synthetic.latent(7))[0] for _ in range(20)} <= {0, 1}
    me.learn(4, progress=False)
    assert "not learned" in me.labels and me.head.past[2] == 1
