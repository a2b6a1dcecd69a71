"""Protocols whose learners start with the model's classes: `experiment --protocol head+cifar10`."""

import json

import bitreplay
import numpy as np
import pytest
from bitreplay_host import cli
from bitreplay_host.datasets import registry
from bitreplay_host.experiments import start
from synthetic_data import models
from test_start_command import model  # noqa: F401

FEW = ["--fresh", "4", "--epochs", "1", "--seeds", "1", "--replay", "50"]


@pytest.fixture
def run(synthetic_data, model, micropython, tmp_path):  # noqa: F811
    def run(*arguments, model=model):
        paths = {"--model": model, "--data": synthetic_data, "--micropython": micropython}
        paths |= {"--cache": tmp_path / "cache", "--out": tmp_path / "out"}
        line = ["experiment", *(part for item in paths.items() for part in item), *arguments]
        return cli.main([str(part) for part in line])

    return run


def test_old_classes_beside_new_ones(run, model, synthetic_data, tmp_path, capsys):  # noqa: F811
    """The first row is the pretrained head's; the learners begin with it, and with its images."""
    assert run("--protocol", "head+cifar10", *FEW) == 0
    shown = capsys.readouterr().out
    told = json.loads((tmp_path / "out" / "results.json").read_text())
    assert told["protocol"]["base"] == "cifar100"
    assert [r["method"] for r in told["runs"]] == ["naive", "cwr", "replay_head"]
    net, (images, labels) = bitreplay.load(model), registry.load("cifar100", "test", synthetic_data)
    names = registry.class_names("cifar100")
    before = np.mean([net.classify(i.tobytes())[0] == names[c] for i, c in zip(images, labels, strict=True)])
    for r in told["runs"]:
        assert r["classes"] == [100, *range(102, 111)] and len(r["groups"]) == 10
        assert r["groups"][0] == list(range(100)) and sorted(sum(r["groups"][1:], [])) == list(range(100, 110))
        assert r["old_before"] == pytest.approx(100 * before) == r["matrix"][0][0] == r["curve"][0]
        assert r["old"] == r["matrix"][-1][0]
        # 100 test images of old classes, 60 of new ones.
        assert r["final"] == pytest.approx((100 * r["old"] + 60 * r["new"]) / 160)
    assert "old classes before %  old classes %  new classes %" in shown
    naive, _, replayed = told["runs"]
    assert replayed["digest"] != naive["digest"] and replayed["memory"]["replay"] > 0
    assert run("--protocol", "head+cifar10", *FEW) == 0
    assert "note: 3 of 3 learners were in" in capsys.readouterr().out


@pytest.mark.exhaustive
def test_the_seed_draws_what_is_replayed(run, tmp_path):
    """Nothing is told twice: another number of latents is another learner."""
    more = ["--methods", "replay_head", "replay_deep", "--train", "1", "--replay", "20", "50", "--seeds", "1", "2"]
    assert run("--protocol", "head+cifar10", *FEW, *more) == 0
    runs = json.loads((tmp_path / "out" / "results.json").read_text())["runs"]
    assert len({r["digest"] for r in runs}) == len(runs) == 8


def test_beside():
    """Two old classes of 4 and 6 test images, two new ones of 5."""
    assert start.beside([[4, 5, 0, 0], [1, 2, 4, 0], [2, 1, 3, 4]], [4, 6, 5, 5], 2) == {
        "old_before": 90,
        "old": 30,
        "new": 70,
    }


def test_what_cannot_start(run, tmp_path, capsys):
    path = tmp_path / "my.json"
    path.write_text(json.dumps({"dataset": "cifar100", "base": "cifar100", "first": 2, "step": 98}))
    for arguments, message in (
        (["head+cifar10", "--methods", "joint"], "--methods: joint, integer, cannot start with a model's classes"),
        (["head+cifar10", "--methods", "slda"], "--methods: slda, float64, cannot start"),
        (["head+cifar10", "--methods", "cwr", "--arithmetic", "float32"], "--methods: cwr, float32, cannot start"),
        ([path], "is a class of the model already; choose other classes"),
    ):
        assert run("--protocol", *arguments, *FEW) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
    path.write_text(json.dumps({"dataset": "cifar10", "base": "cifar10", "first": 2, "step": 8}))
    assert run("--protocol", path, *FEW) == 2
    assert "--protocol: cifar10 does not have the classes of tiny; choose" in capsys.readouterr().err
    bare = models.save(tmp_path / "bare.safetensors", models.tiny(head=False))
    assert run("--protocol", "head+cifar10", *FEW, model=bare) == 2
    assert "has no pretrained head to start with; choose one that has" in capsys.readouterr().err
