"""The whole learner after a training run: the same, bit for bit, under CPython with NumPy and under MicroPython."""

import hashlib
import json
from pathlib import Path

import pytest
from bitreplay import Learner, load

import models

HERE = Path(__file__).parent

RUNS = {
    "defaults": {},
    "head alone": {"conv": False},
    "reservoir": {"policy": "reservoir"},
    "32-bit head": {"head_bits": 32, "q_f": 2},
    "2-bit gradient": {"q_b": 2},
    "8-bit gradient to nearest": {"q_b": 8, "rounding": "nearest"},
    "16-bit gradient, 32-bit head": {"q_b": 16, "head_bits": 32, "rounding": "nearest", "policy": "reservoir"},
    "16-bit gradient": {"q_b": 16, "q_f": 4},
    "2-bit gradient to nearest": {"q_b": 2, "rounding": "nearest", "cwr": False},
    "no CWR*": {"cwr": False},
    "no CWR*, head alone": {"cwr": False, "conv": False, "policy": "reservoir", "head_bits": 32},
    "naive": {"replay": 0, "cwr": False},
    "CWR* alone": {"replay": 0, "conv": False},
    "large rates": {"rate": 1000, "conv_rate": 1000},
    "small rates": {"rate": 0.00001, "conv_rate": 0.00001},
    "two groups": {"model": "mixed"},
    "no binary layer": {"model": "plain", "conv": False},
}

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
    models.tiny_model(folder / "plain.safetensors", trainable=False)
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
    # Before learning only the model and conv matter.
    assert len({one[0] for one in digests}) == 3
    # With two classes the mean that CWR* takes away is 0: the first experience can be the same with and without it.
    later = [digest for one in digests for digest in one[3:]]
    assert len(set(later)) == len(later)


def test_digest_depends_on_each_part(tmp_path):
    net = load(models.tiny_model(tmp_path / "model.safetensors"))
    me = Learner(net, replay=4, fresh=4, seed=9)
    for i in range(3):
        me.see_latent(bytes([i] * net.latent_bytes), "abc"[i])
    me.learn(1, progress=False)
    me.see_latent(bytes(net.latent_bytes), "a")
    digests = [me.digest()]
    assert digests[0] == me.digest()
    for buffer in (me.rng, me.past, me.cw, me.weight, me.replay.latents, me.replay.classes, me.fresh.classes):
        buffer[0] ^= 1
        digests.append(me.digest())
    me.labels[0] = "A"
    digests.append(me.digest())
    me.experiences += 1
    digests.append(me.digest())
    assert len(set(digests)) == len(digests)
    assert all(len(digest) == len(hashlib.sha256().hexdigest()) for digest in digests)
