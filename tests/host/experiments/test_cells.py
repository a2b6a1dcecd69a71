"""Sweeps that were stopped go on, and take nothing that has other settings."""

import json

import numpy as np
import pytest
from bitreplay_host import cli
from bitreplay_host.device import unix_port
from bitreplay_host.experiments import cells, class_incremental
from bitreplay_host.experiments.cells import Cells
from synthetic_data import make_dataset, models

SETTINGS = {"method": "cwr", "seed": 3, "learner": {"q_b": 2, "rate": 0.1}}
FEW = ["--fresh", "4", "--step", "8", "--epochs", "1", "--methods", "cwr", "replay_head", "ncm"]


def test_what_is_kept_is_found(tmp_path):
    kept = Cells(tmp_path / "new")
    assert kept.find(SETTINGS) is None and not (tmp_path / "new").exists()
    kept.keep(SETTINGS, {"curve": [1.5]})
    assert kept.find(SETTINGS) == {"curve": [1.5]} and kept.found == 1
    assert kept.find(json.loads(json.dumps(SETTINGS))) == {"curve": [1.5]}
    for other in ({"seed": 4}, {"learner": {"q_b": 2, "rate": 0.2}}, {"more": 1}):
        assert kept.find(SETTINGS | other) is None
    (path,) = (tmp_path / "new").iterdir()
    assert path.name.startswith("cwr-3-")
    # Damaged, or renamed to what it is not.
    content = path.read_text()
    for text in ("", content[:-9], "[]", "{}", content.replace('"seed": 3', '"seed": 4')):
        path.write_text(text)
        assert kept.find(SETTINGS) is None
    assert kept.found == 2


@pytest.fixture
def run(synthetic_data, small_model, micropython, tmp_path, monkeypatch, capsys):
    """A function: the command with some arguments; returns (exit status, learners that were trained, its output)."""
    trained = []
    original = unix_port.run

    def counted(script, configuration, *places):
        trained.extend([configuration["learner"]] if script == "learn_classes.py" else [])
        return original(script, configuration, *places)

    monkeypatch.setattr(unix_port, "run", counted)

    def run(*arguments, **places):
        paths = {"--model": small_model, "--data": synthetic_data, "--micropython": micropython}
        paths |= {"--cache": tmp_path / "cache", "--out": tmp_path / "out"}
        paths |= {f"--{name}": path for name, path in places.items()}
        line = ["experiment", *(part for item in paths.items() for part in item), *FEW, *arguments]
        trained.clear()
        status = cli.main([str(part) for part in line])
        return status, len(trained), capsys.readouterr().out

    return run


@pytest.mark.exhaustive
def test_a_sweep_goes_on(run, tmp_path, monkeypatch):
    """Stopped after three of nine learners; then it is as if it had not been."""
    keep, out = Cells.keep, tmp_path / "out"

    def stopped(self, settings, result):
        keep(self, settings, result)
        if len(list(self.folder.iterdir())) == 3:
            raise KeyboardInterrupt

    sweep = ["--replay", "10", "20", "--seeds", "1", "2", "3"]
    with monkeypatch.context() as patch:
        patch.setattr(Cells, "keep", stopped)
        assert run(*sweep)[0] == 130
    there = len(list((out / "cells").glob("*.json")))
    assert 3 <= there < 12 and not (out / "results.json").exists()
    status, trained, told = run(*sweep)
    assert status == 0 and f"note: {there} of 12 learners were in {out / 'cells'} already" in told
    assert trained + len(list((out / "cells").glob("ncm*"))) <= 12 - there + 3
    results = (out / "results.json").read_text()
    assert run(*sweep)[:2] == (0, 0) and (out / "results.json").read_text() == results
    status, trained, told = run(*sweep, out=tmp_path / "other")
    assert trained == 9 and "note: " not in told and (tmp_path / "other" / "results.json").read_text() == results


@pytest.mark.exhaustive
def test_other_settings_are_other_cells(run, tmp_path, small_model, synthetic_data, monkeypatch):
    """All that a result follows from; what does not matter to it, such as other seeds, is no reason to train again."""
    seed = ["--seeds", "1"]
    assert run(*seed)[1] == 2 and run(*seed)[1] == 0
    assert run("--seeds", "2", "1")[1] == 2
    for more in (["--rate", "0.01"], ["--test", "3"], ["--fresh", "3"], ["--epochs", "2"], ["--step", "4"]):
        assert run(*seed, *more)[1] == 2, more
    assert run(*seed, "--order", "seed")[1] == 2
    assert run(*seed, "--dataset", "cifar100", "--fresh", "2", "--first", "10")[1] == 2
    other = models.tiny_model(tmp_path / "other.safetensors", seed=5)
    assert run(*seed, model=other)[1] == 2
    (tmp_path / "same.safetensors").write_bytes(small_model.read_bytes())
    assert run(*seed, model=tmp_path / "same.safetensors")[1] == 0
    (tmp_path / "data").mkdir()
    make_dataset(tmp_path / "data", "cifar10", 12, 6)
    assert run(*seed, data=tmp_path / "data")[1] == 0
    images = np.load(tmp_path / "data" / "cifar10_test_images.npy")
    np.save(tmp_path / "data" / "cifar10_test_images.npy", images ^ 1)
    assert run(*seed, data=tmp_path / "data")[1] == 2
    monkeypatch.setattr(class_incremental, "code", lambda: "another")
    assert run(*seed)[1] == 2


def test_our_code_counts(tmp_path, monkeypatch):
    before = cells.code()
    assert before == cells.code()
    (tmp_path / "learn_classes.py").write_text("another")
    monkeypatch.setattr(cells, "ONBOARD", tmp_path)
    assert cells.code() != before


def test_policies_and_bits_of_the_head(run, tmp_path):
    """Each combination is a learner; the table and the CSV have their columns."""
    several = [
        "--policy",
        "balanced",
        "reservoir",
        "--q-f",
        "2",
        "8",
        "--seeds",
        "1",
        "--arithmetic",
        "integer",
        "float32",
    ]
    status, trained, told = run(*several, "--replay", "10")
    runs = json.loads((tmp_path / "out" / "results.json").read_text())["runs"]
    found = [(r["method"], r["arithmetic"], r.get("policy"), r.get("q_f")) for r in runs]
    assert status == 0 and trained == 8
    assert found.count(("ncm", "float64", None, None)) == 1
    for method in ("cwr", "replay_head"):
        for policy in ("balanced", "reservoir"):
            assert found.count((method, "float32", policy, None)) == 1
            assert found.count((method, "integer", policy, 2)) == found.count((method, "integer", policy, 8)) == 1
    assert len(found) == 13
    heading = next(line for line in told.splitlines() if line.startswith("method"))
    assert heading.split()[7:9] == ["policy", "q_f"]
