"""`bitreplay experiment` end to end: the table, results.json, results.csv and curves.png say the same."""

import argparse
import csv
import json
import subprocess
import sys

import bitreplay
import matplotlib.image
import numpy as np
import pytest
from bitreplay_host import cli
from bitreplay_host.commands import experiment as command
from bitreplay_host.experiments import class_incremental, experiment, metrics
from synthetic_data import ROOT, models

TITLES = class_incremental.TITLES


@pytest.fixture
def run(synthetic_data, small_model, micropython, tmp_path, capsys):
    """A function: runs it on the small model with some arguments; returns the table, the JSON and the CSV."""

    def run(*arguments):
        paths = {"--model": small_model, "--data": synthetic_data, "--micropython": micropython}
        paths |= {"--cache": tmp_path / "cache", "--out": tmp_path / "out"}
        line = ["experiment", *(part for item in paths.items() for part in item), *arguments]
        assert cli.main([str(part) for part in line]) == 0
        return results(tmp_path / "out", capsys.readouterr().out)

    run.model = small_model
    run.places = ["--data", str(synthetic_data), "--micropython", str(micropython), "--cache", str(tmp_path / "cache")]
    return run


def results(out, shown):
    """The table's rows as dicts, checked against the JSON and the CSV; the JSON's runs; the CSV's rows."""
    lines = shown.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("method "))
    edges = [0]
    for part in lines[start + 1].split("  "):
        edges.append(edges[-1] + len(part) + 2)
    cells = [[line[a:b].strip() for a, b in zip(edges, edges[1:], strict=False)] for line in lines[start:-1]]
    table = [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]
    runs = json.loads((out / "results.json").read_text())["runs"]
    with (out / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    expected = [
        (
            TITLES[r["method"]],
            *(str(r.get(c, "")) for c in experiment.columns(runs)[1:]),
            str(r["seed"]),
            str(n),
            str(seen),
            value,
        )
        for r in runs
        for n, (seen, value) in enumerate(zip(r["classes"], (f"{v:.2f}" for v in r["curve"]), strict=True), 1)
    ]
    found = [(TITLES[row["method"]], *list(row.values())[1:]) for row in rows]
    assert found == expected, "results.csv is not results.json"
    with (out / "metrics.csv").open(newline="") as file:
        told = list(csv.DictReader(file))
    for r, row in zip(runs, told, strict=True):
        names = experiment.columns(runs)
        assert [row[c] for c in names] == [str(r.get(c, "")) for c in names]
        found = metrics.of(r["curve"], r["matrix"]) | {"final": r["final"]}
        assert {k: row[k] for k in found} == {k: "" if v is None else f"{v:.2f}" for k, v in found.items()}
    for line in table:
        same = [r for r in runs if all(line[c] == str(r.get(c, "")) for c in experiment.columns(runs)[1:])]
        finals = [r["final"] for r in same if TITLES[r["method"]] == line["method"]]
        assert line["seeds"] == str(len(finals)) and line["final %"] == f"{np.mean(finals):.2f}"
        average = np.mean([r["average"] for r in same if TITLES[r["method"]] == line["method"]])
        assert line["average %"] == f"{average:.2f}"
        assert line["std"] == (f"{np.std(finals, ddof=1):.2f}" if len(finals) > 1 else "")
    assert sum(int(line["seeds"]) for line in table) == len(runs)
    for r in runs:
        assert r["final"] == r["curve"][-1] and all(0 <= v <= 100 for v in r["curve"])
    return table, runs, rows


@pytest.mark.exhaustive
def test_real_images(real_data, micropython, tmp_path):
    """The command itself, the shipped model and CIFAR-10: 20 images a class, every method."""
    command = [sys.executable, "-m", "bitreplay_host.cli", "experiment", "--fresh", "20", "--test", "20"]
    command += ["--seeds", "1", "--out", tmp_path / "out", "--cache", tmp_path / "cache"]
    command += ["--data", real_data, "--micropython", micropython]
    done = subprocess.run([str(c) for c in command], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    table, runs, _ = results(tmp_path / "out", done.stdout)
    assert [line["method"] for line in table] == [TITLES[method] for method in class_incremental.LEARNERS]
    assert [r["classes"] for r in runs] == [list(range(2, 11))] * 4 + [[10]]
    assert len({r["digest"] for r in runs}) == 5
    final = {r["method"]: r["final"] for r in runs}
    # Better than a guess (10 %), and replay keeps more.
    assert min(final.values()) > 15 and final["replay_head"] > final["naive"], final
    assert "replay + deep, seed 1: 10 classes, " in done.stdout
    picture = matplotlib.image.imread(tmp_path / "out" / "curves.png")
    assert picture.ndim == 3 and picture.std() > 0.01
    assert not list((tmp_path / "cache").glob("tmp*"))


def test_variants(run, monkeypatch, tmp_path):
    """Every combination once, and a method that does not use an option once for all its values."""
    plots = []
    monkeypatch.setattr(
        "bitreplay_host.experiments.curves.plot",
        lambda path, drawn, seen, title, _: plots.append((drawn, seen, title)),
    )
    few = ["--fresh", "4", "--step", "3", "--epochs", "1", "--seeds", "1", "2"]
    table, runs, rows = run(
        "--q-b", "2", "8", "--replay", "10", "20", "--methods", "naive", "cwr", "replay_deep", *few
    )
    settings = [(line["method"], line["replay"], line["q_b"], line["rounding"]) for line in table]
    assert settings == [
        ("naive fine-tuning", "", "", ""),
        ("CWR* alone", "", "", ""),
        ("replay + deep", "10", "2", "stochastic"),
        ("replay + deep", "10", "8", "stochastic"),
        ("replay + deep", "20", "2", "stochastic"),
        ("replay + deep", "20", "8", "stochastic"),
    ]
    assert len(runs) == 12 and len(rows) == 12 * 4
    assert len({r["digest"] for r in runs}) == 12
    ((curves, seen, title),) = plots
    assert list(curves) == [
        "naive",
        "cwr",
        "replay_deep replay 10 q_b 2",
        "replay_deep replay 10 q_b 8",
        "replay_deep replay 20 q_b 2",
        "replay_deep replay 20 q_b 8",
    ]
    assert {path.name for path in (tmp_path / "out").glob("*.png")} == {"bytes.png", "bits.png"}
    assert seen == [2, 5, 8, 10] and title == "cifar10, 4 images a class"
    mean = np.mean(
        [r["curve"] for r in runs if (r["method"], r.get("replay"), r.get("q_b")) == ("replay_deep", 20, 2)], 0
    )
    np.testing.assert_array_equal(curves["replay_deep replay 20 q_b 2"], mean)


def test_layers_and_channels(run, deep_model):
    """Each choice of layers with each share of their channels; the head alone has no channels, and no gradients."""
    few = ["--fresh", "4", "--step", "8", "--epochs", "1", "--seeds", "1", "--model", deep_model]
    choices = ["--train", "head", "1", "3", "all", "--channels", "1", "0.5", "--q-b", "2", "8"]
    methods = ["--methods", "naive", "replay_head", "replay_deep", "joint"]
    table, runs, _ = run(*methods, *choices, *few)
    deep = [(n, share, q_b) for n in ("1", "3", "all") for share in ("1.0", "0.5") for q_b in ("2", "8")]
    found = [tuple(line[c] for c in ("method", "train", "channels", "q_b")) for line in table]
    assert found == [
        ("naive fine-tuning", "", "", ""),
        ("replay + head", "", "", ""),
        ("replay + deep", "head", "", ""),
        *(("replay + deep", *one) for one in deep),
        ("joint (upper bound)", "head", "", ""),
        *(("joint (upper bound)", *one) for one in deep),
    ]
    # Each learner is another, but those whose head alone is trained with replay.
    assert runs[1]["digest"] == runs[2]["digest"] and len({r["digest"] for r in runs}) == len(runs) - 1
    weights = {(r["train"], r["channels"]): r["memory"]["weights"] for r in runs if "channels" in r}
    for fewer, more in ((1, 3), (3, "all")):
        for share in (1.0, 0.5):
            assert weights[fewer, share] < weights[more, share]
        assert weights[more, 0.5] < weights[more, 1.0]


FEW = ["--fresh", "4", "--step", "8", "--epochs", "1", "--seeds", "1"]


def test_a_model_without_a_layer_that_can_be_trained(run, tmp_path, capsys):
    """By default what does not apply is left out, in one line; what is asked for is not."""
    model = models.tiny_model(tmp_path / "bare.safetensors", trainable=False)
    table, runs, _ = run("--model", model, *FEW)
    assert [r["method"] for r in runs] == ["naive", "cwr", "replay_head", "joint"]
    assert [line["train"] for line in table] == ["", "", "", "head"]
    _, runs, _ = run("--model", model, "--methods", "joint", "ncm", *FEW)
    assert [r["method"] for r in runs] == ["joint", "ncm"]
    for more, told in (
        (
            ["--methods", "replay_deep"],
            "replay_deep: tiny has no binary layer that can be trained; use --methods",
        ),
        (["--train", "all"], "train: the model has no binary layers above its latent"),
    ):
        places = ["--out", str(tmp_path / "out"), "--model", model]
        assert cli.main(["experiment", *places, *FEW, *more, *run.places]) == 2
        error = capsys.readouterr().err
        assert told in error and error.count("\n") == 1


def test_what_is_left_out_is_told_in_one_line(tmp_path, capsys):
    for path, methods, told in (
        (models.tiny(trainable=False), [], "note: tiny has no binary layer that can be trained: replay_deep is left"),
        (models.tiny(trainable=False), ["joint"], "note: tiny has no binary layer that can be trained: joint trains"),
        (models.tiny(trainable=False), ["ncm"], ""),
        (models.plain(), [], "note: of plain's 2 binary layers above the latent 1 can be trained: train 1"),
        (models.plain(), ["replay_head"], ""),
        (models.tiny(), [], ""),
    ):
        net = bitreplay.load(models.save(tmp_path / "model.safetensors", path))
        command._trained(argparse.Namespace(methods=methods or None, train=None), net)
        printed = capsys.readouterr().out
        assert printed.startswith(told) and printed.count("\n") == bool(told)


def test_float32_beside_the_integers(run, tmp_path):
    """float32 has no q_b and no rounding, so there is one of it."""
    few = ["--fresh", "6", "--step", "4", "--epochs", "2", "--seeds", "1", "--replay", "30"]
    arithmetic = [
        "--arithmetic",
        "integer",
        "float32",
        "--methods",
        "replay_deep",
        "--rounding",
        "stochastic",
        "nearest",
    ]
    table, runs, _ = run(*arithmetic, *few)
    assert [(line["arithmetic"], line["q_b"], line["rounding"]) for line in table] == [
        ("integer", "4", "stochastic"),
        ("float32", "", ""),
        ("integer", "4", "nearest"),
    ]
    assert ["digest" in r for r in runs] == [True, False, True]
    assert (tmp_path / "out" / "curves.png").exists()


def test_settings_reach_the_learner(run, tmp_path):
    """All options, in results.json; one experience has no curve to plot; a seed given twice is one seed."""
    options = ["--first", "10", "--policy", "reservoir", "--q-f", "4", "--head-bits", "32", "--rate", "0.02"]
    _, runs, _ = run(*options, "--conv-rate", "2", "--fresh", "5", "--test", "3", "--epochs", "2", "--seeds", "7", "7")
    assert len(runs) == 5 and not (tmp_path / "out" / "curves.png").exists()
    told = json.loads((tmp_path / "out" / "results.json").read_text())["protocol"]
    assert told == {
        "dataset": "cifar10",
        "first": 10,
        "step": 1,
        "samples": 5,
        "test": 3,
        "epochs": 2,
        "learner": {"policy": "reservoir", "q_f": 4, "head_bits": 32, "replay": 1000, "rate": 0.02, "conv_rate": 2.0},
    }
    weights = {r["method"]: r["memory"]["gradients"] for r in runs}
    assert weights["replay_head"] > 2 * 4 * 10 * 32, "the head's master weights and velocity have 32 bits"


def test_the_same_seed_is_the_same_run(run):
    """Whatever else runs beside it."""
    few = ["--fresh", "4", "--step", "8", "--epochs", "1"]
    digests = [
        {(r["method"], r["seed"]): r["digest"] for r in run(*few, *more)[1]}
        for more in (["--seeds", "1", "2"], ["--seeds", "2", "--methods", "replay_deep"])
    ]
    assert digests[1] == {("replay_deep", 2): digests[0]["replay_deep", 2]}


def test_a_dataset_with_less_than_was_asked_for(run, tmp_path, monkeypatch, capsys):
    """What was used is told in one line, recorded and plotted: here, 12 fresh and 6 test images a class."""
    plots, shown = [], []
    monkeypatch.setattr("bitreplay_host.experiments.curves.plot", lambda *told: plots.append(told[-2]))
    monkeypatch.setattr("builtins.print", lambda *text, **_: shown.extend(text))
    few = ["--step", "8", "--epochs", "1", "--seeds", "1", "--methods", "naive", "--json", str(tmp_path / "few.json")]
    for asked, used in ((["500", "99"], (12, 6)), (["12", "6"], (12, 6)), (["0", "0"], (12, 6)), (["5", "2"], (5, 2))):
        shown.clear()
        line = ["experiment", "--model", str(run.model), "--out", str(tmp_path / "out"), *run.places, *few]
        assert cli.main([*line, "--fresh", asked[0], "--test", asked[1]]) == 0
        notes = [text for text in shown if text.startswith("note: ")]
        told = "note: cifar10 has less a class: 12 fresh and 6 test images are used"
        assert notes == ([told] if asked[0] == "500" else [])
        (one,) = json.loads((tmp_path / "out" / "results.json").read_text())["runs"]
        assert (one["fresh"], one["test"]) == used
        assert json.loads((tmp_path / "few.json").read_text())["runs"][0]["fresh"] == used[0]
        assert plots.pop() == f"cifar10, {used[0]} images a class"


def test_cifar100(run):
    """All its classes, twenty at a time."""
    few = ["--fresh", "2", "--first", "20", "--step", "20", "--epochs", "1", "--seeds", "1"]
    _, runs, _ = run("--dataset", "cifar100", "--methods", "replay_head", "joint", *few)
    assert [r["classes"] for r in runs] == [[20, 40, 60, 80, 100], [100]]


def test_baselines_beside_learners(run):
    """One of each, whatever differs for others; the nearest latent for each number of latents."""
    few = ["--fresh", "4", "--step", "8", "--epochs", "1", "--seeds", "1", "--replay", "10", "20"]
    methods = ["--methods", "ncm", "nearest", "slda", "replay_head", "--q-b", "2", "8"]
    table, runs, _ = run(*methods, *few, "--arithmetic", "integer", "float32")
    assert [(line["method"], line["arithmetic"], line["replay"]) for line in table] == [
        ("nearest class mean", "float64", ""),
        ("nearest replayed latent", "float64", "10"),
        ("nearest replayed latent", "float64", "20"),
        ("streaming LDA", "float64", ""),
        ("replay + head", "integer", "10"),
        ("replay + head", "float32", "10"),
        ("replay + head", "integer", "20"),
        ("replay + head", "float32", "20"),
    ] and len(runs) == 8 and not any("q_b" in r for r in runs)  # fmt: skip


def test_replay_bytes_and_json(run, tmp_path, capsys):
    """A latent of the small model has 16 bytes, and its label one."""
    few = ["--fresh", "4", "--step", "8", "--epochs", "1", "--seeds", "2", "--replay-bytes", "170", "356"]
    methods = ["naive", "cwr", "replay_head", "replay_deep", "joint", "nearest", "ncm"]
    _, runs, _ = run("--methods", *methods, *few, "--json", tmp_path / "new" / "runs.json")
    told = json.loads((tmp_path / "new" / "runs.json").read_text())
    assert list(told) == ["dataset", "runs"] and told["dataset"] == "cifar10"
    found = [(r["method"], r["train"], r["replay"], r["replay_bytes"]) for r in told["runs"]]
    assert sorted(found) == sorted([
        ("naive", "head", 0, 0), ("cwr", "head", 0, 0), ("joint", "all", 0, 0), ("ncm", "head", 0, 0),
        ("replay_head", "head", 10, 170), ("replay_head", "head", 20, 340), ("replay_deep", "all", 10, 170),
        ("replay_deep", "all", 20, 340), ("nearest", "head", 10, 170), ("nearest", "head", 20, 340)
    ])  # fmt: skip
    keys = ["method", "train", "channels", "seed", "replay", "replay_bytes", "fresh", "curve", "final", "digest"]
    for one, run_of_results in zip(told["runs"], runs, strict=True):
        assert list(one) == keys and one["seed"] == 2 and one["fresh"] == 4
        for key in ("method", "seed", "curve", "final"):
            assert one[key] == run_of_results[key]
        assert one["digest"] == run_of_results.get("digest")
        assert (one["digest"] is None) == (one["method"] in ("nearest", "ncm"))


def test_equal_bytes_of_other_latents(run, tmp_path):
    """A latent of the small model has 16 bytes, 128 of int8 and 512 of float32; each with a byte of label."""
    methods = ["--methods", "replay_head", "replay_int8", "replay_float32", "--replay-bytes", "520", "1100"]
    few = ["--fresh", "4", "--step", "8", "--epochs", "1", "--seeds", "1", "--json", tmp_path / "runs.json"]
    table, runs, _ = run(*methods, *few, "--arithmetic", "integer", "float32")
    assert [(r["method"], r["arithmetic"], r["replay"]) for r in runs] == [
        ("replay_head", "integer", 30),
        ("replay_head", "float32", 30),
        ("replay_head", "integer", 64),
        ("replay_head", "float32", 64),
        ("replay_int8", "float32", 4),
        ("replay_int8", "float32", 8),
        ("replay_float32", "float32", 1),
        ("replay_float32", "float32", 2),
    ]
    told = json.loads((tmp_path / "runs.json").read_text())["runs"]
    sizes = [r["replay_bytes"] for r in told]
    assert sizes == [30 * 17, 30 * 17, 64 * 17, 64 * 17, 4 * 129, 8 * 129, 513, 1026]
    assert (tmp_path / "out" / "bytes.png").exists() and len(table) == 8
