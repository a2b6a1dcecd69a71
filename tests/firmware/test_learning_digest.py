"""The whole learner after a training run: the same, bit for bit, under CPython with NumPy and under MicroPython."""

import hashlib
import json
from pathlib import Path

import deep
import pytest
from bitreplay import Learner

import models

HERE = Path(__file__).parent

RUNS = {
    "defaults": {},
    "one layer": {"train": 1},
    "reservoir": {"policy": "reservoir"},
    "32-bit head": {"head_bits": 32, "q_f": 2},
    "2-bit gradient": {"train": 1, "q_b": 2},
    "8-bit gradient to nearest": {"train": 1, "q_b": 8, "rounding": "nearest"},
    "16-bit gradient, 32-bit head": {
        "train": 1, "q_b": 16, "head_bits": 32, "rounding": "nearest", "policy": "reservoir",
    },
    "16-bit gradient": {"train": 1, "q_b": 16, "q_f": 4},
    "one layer and CWR*": {"train": 1, "cwr": True},
    "no CWR*": {"cwr": False},
    "no CWR*, reservoir": {"cwr": False, "policy": "reservoir", "head_bits": 32},
    "naive": {"train": 1, "replay": 0},
    "CWR* alone": {"replay": 0},
    "large rates": {"train": 1, "rate": 100, "conv_rate": 100},
    "small rates": {"train": 1, "rate": 0.00001, "conv_rate": 0.00001},
    "two groups": {"model": "mixed", "train": 1},
    "no binary layer": {"model": "nothing"},
    "deep": {"model": "blocks", "train": "all"},
    "deep, the head": {"model": "blocks"},
    "deep, a share of the channels": {"model": "blocks", "train": "all", "channels": 0.3},
    "deep, one layer": {"model": "blocks", "train": 1},
    "deep, two layers": {"model": "blocks", "train": 2, "head_bits": 32},
    "deep, 16-bit gradient": {"model": "blocks", "train": "all", "q_b": 16, "policy": "reservoir"},
    "deep, 2-bit gradient": {"model": "blocks", "train": "all", "q_b": 2, "channels": 0.5},
    "deep, to nearest": {"model": "blocks", "train": "all", "rounding": "nearest", "cwr": True},
    "deep, large steps": {"model": "blocks", "train": "all", "conv_rate": 100, "rate": 0.2},
    "deep, small steps": {"model": "blocks", "train": "all", "conv_rate": 0.00001, "replay": 0},
    "strides": {"model": "strided", "train": "all"},
    "strides, a share": {"model": "strided", "train": "all", "channels": 0.1, "q_b": 3},
    "single features": {"model": "flat", "train": "all"},
    "single features, two layers to nearest": {"model": "flat", "train": 2, "rounding": "nearest", "q_b": 16},
    "rectangular": {"model": "deep", "train": "all", "q_b": 8},
    "rectangular, a share": {"model": "deep", "train": 2, "channels": 0.2},
    "above a maximum, flattened": {"model": "plain", "train": 1},
    "two readers": {"model": "twice", "train": "all"},
    "above a layer of signs": {"model": "signs", "train": 2},
    "above a maximum": {"model": "maximum", "train": 1},
    "oblong kernels": {"model": "oblong", "train": "all"},
    "oblong kernels, a share": {"model": "oblong", "train": 2, "channels": 0.3, "q_b": 16},
    "flipped channels": {"model": "flipped", "train": "all"},
    "flipped channels, 8 bits to nearest": {"model": "flipped", "train": 2, "q_b": 8, "rounding": "nearest"},
    "above a maximum of bits": {"model": "pooled bits", "train": 2},
    "a column of sensors": {"model": "sensors", "train": "all"},
}  # fmt: skip

# Three experiences of new and old classes, more samples than the memory holds, labels of all kinds.
SCRIPT = """
import hashlib, json, sys
sys.path.append(sys.argv[1])
import bitreplay
from synthetic import Synthetic, show

labels = ["mug", 7, "Tür \\u00fc", -1, 'a "b"\\\\']
folder = sys.argv[2]
with open(folder + "/runs.json") as file:
    runs = json.load(file)
for name, config in runs.items():
    net = bitreplay.load(folder + "/" + config.pop("model", "tiny") + ".safetensors")
    settings = {"replay": 20, "classes": 6}
    settings.update(config)
    me = bitreplay.Learner(net, **settings)
    synthetic = Synthetic(net.latent_bytes)
    digests = []
    for classes in ((0, 1), (2, 3, 1), (4, 0)):
        for i in range(24):
            c = classes[i % len(classes)]
            if i % 4:
                me.see_latent(synthetic.latent(c), labels[c])
            else:
                me.see(synthetic.image(c, net.image_bytes), labels[c])
        digests.append(me.digest())
        me.learn(2, progress=False)
        digests.append(me.digest())
    path = folder + "/" + sys.implementation.name + ".safetensors"
    me.save(path)
    with open(path, "rb") as file:
        digests.append(hashlib.sha256(file.read()).digest().hex())
    me = bitreplay.Learner.load(net, path)
    me.see_latent(synthetic.latent(5), "new")
    me.learn(1, progress=False)
    digests.append(me.digest())
    show(name=name, digests=digests, predictions=[me.predict_latent(synthetic.latent(c)) for c in range(5)])
"""


@pytest.fixture(scope="module")
def outcomes(cpython, micropython, tmp_path_factory):
    """What the script says of each run under both implementations."""
    folder = tmp_path_factory.mktemp("digest")
    models.tiny_model(folder / "tiny.safetensors")
    models.tiny_model(folder / "nothing.safetensors", trainable=False)
    models.save(folder / "deep.safetensors", models.deep())
    models.save(folder / "plain.safetensors", models.plain())
    models.save(folder / "sensors.safetensors", models.sensors())
    for name in deep.LAYERS:
        models.save(folder / f"{name}.safetensors", deep.deep(name))
    models.save(folder / "mixed.safetensors", models.mixed())
    (folder / "runs.json").write_text(json.dumps(RUNS))
    lines = [map(json.loads, run(SCRIPT, HERE, folder).splitlines()) for run in (cpython, micropython)]
    return [{line["name"]: line for line in of_one} for of_one in lines]


@pytest.mark.parametrize("name", RUNS)
def test_learner_is_the_same_in_every_bit(outcomes, name):
    here, there = outcomes[0][name], outcomes[1][name]
    assert here["digests"] == there["digests"]
    assert here["predictions"] == there["predictions"]


def test_every_step_and_every_setting_matters(outcomes):
    """Or else equal digests would say little."""
    digests = [line["digests"] for line in outcomes[0].values()]
    # Before learning only the model, and what is trained of it, matter.
    kinds = {(run.get("model", "tiny"), run.get("train"), run.get("channels")) for run in RUNS.values()}
    # tiny and nothing differ in a layer that is not trained.
    assert len({one[0] for one in digests}) == len(kinds) - 1
    # With two classes the mean that CWR* takes away is 0: the first experience can be the same with and without it.
    later = [digest for one in digests for digest in one[3:]]
    assert len(set(later)) == len(later)


def test_digest_depends_on_each_part(deep_net):
    net = deep_net
    me = Learner(net, replay=4, fresh=4, seed=9, train=2)
    for i in range(3):
        me.see_latent(bytes([i] * net.latent_bytes), "abc"[i])
    me.learn(1, progress=False)
    me.see_latent(bytes(net.latent_bytes), "a")
    digests = [me.digest()]
    assert digests[0] == me.digest()
    buffers = [me.rng, me.head.past, me.head.cw, *[part.weight for part in me.trainer.parts]]
    for buffer in (*buffers, me.replay.latents, me.replay.classes, me.fresh.classes):
        buffer[0] ^= 1
        digests.append(me.digest())
    me.labels[0] = "A"
    digests.append(me.digest())
    me.experiences += 1
    digests.append(me.digest())
    assert len(set(digests)) == len(digests)
    assert all(len(digest) == len(hashlib.sha256().hexdigest()) for digest in digests)
