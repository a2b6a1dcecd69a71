"""The learner that `bitreplay start` makes: the model's classes, with images of each."""

import bitreplay
import numpy as np
import pytest
from bitreplay_host import cli
from bitreplay_host.datasets import registry
from synthetic_data import models


@pytest.fixture
def model(tmp_path):
    """A small model that has CIFAR-100's classes, in another order."""
    rng, names = np.random.default_rng(3), registry.class_names("cifar100")[::-1]

    def edit(model):
        model.tensors["head.weight"] = rng.integers(-127, 128, (100, 32), dtype=np.int8)
        model.tensors["head.shift"] = np.full(100, -2, np.int8)
        model.labels = names

    return models.tiny_model(tmp_path / "model.safetensors", edit)


def test_start(model, synthetic_data, micropython, tmp_path, capsys):
    places = ["--data", synthetic_data, "--cache", tmp_path / "cache", "--micropython", micropython]
    line = ["start", model, *map(str, places)]
    first = [*line, "--replay", "150", "--fresh", "7", "-o", str(tmp_path / "me.safetensors")]
    line += ["-o", str(tmp_path / "other.safetensors")]
    assert cli.main(first) == 0
    assert "100 classes, 150 latents, digest " in capsys.readouterr().out
    net = bitreplay.load(model)
    me = bitreplay.Learner.load(net, tmp_path / "me.safetensors")
    assert me.labels == net.labels and [me.config[k] for k in ("replay", "fresh", "classes")] == [150, 7, 110]
    assert [me.counts()[label] for label in net.labels] == [(0, 2, 500)] * 50 + [(0, 1, 500)] * 50
    images, labels = registry.load("cifar100", "train", synthetic_data)
    wanted = images[labels == registry.class_names("cifar100").index(net.labels[0])]
    latents = [bytearray(net.latent_bytes) for _ in wanted]
    for image, latent in zip(wanted, latents, strict=True):
        net.latent(image, latent)
    assert bytes(me.replay.latent(0)) in latents
    again = bitreplay.Learner.load(net, tmp_path / "me.safetensors").digest()
    assert cli.main(first) == 2 and "me.safetensors is there already" in capsys.readouterr().err
    assert cli.main([*line, "--replay", "150", "--fresh", "7"]) == 0 and me.digest() == again
    assert (tmp_path / "other.safetensors").read_bytes() == (tmp_path / "me.safetensors").read_bytes()
    line[-1] = str(tmp_path / "third.safetensors")
    assert cli.main([*line, "--dataset", "cifar10"]) == 2
    assert "--dataset: cifar10 does not have the classes of tiny" in capsys.readouterr().err
    assert cli.main([*line, "--classes", "99"]) == 2
    assert "classes: the model has 100 of its own; give more" in capsys.readouterr().err
