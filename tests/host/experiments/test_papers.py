"""`--protocol papers`: the list of what the docs tell, and how it is run."""

import argparse
import json

import pytest
from bitreplay_host import cli
from bitreplay_host.commands import experiment as command
from bitreplay_host.experiments import papers
from bitreplay_host.experiments.class_incremental import METHODS
from synthetic_data import make_dataset


@pytest.mark.parametrize("name", papers.MEASUREMENTS)
def test_arguments_are_the_commands(name):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    args = parser.parse_args(papers.MEASUREMENTS[name].split())
    assert args.methods and set(args.methods) <= set(METHODS)
    # The folder is the measurement's, and the rest is what the user chose for all.
    assert not (args.json or args.only or args.quick or args.micropython) and args.protocol != "papers"
    quick = papers.quick(args.fresh, args.test)
    assert quick["seeds"] == [1] and 5 <= quick["fresh"] <= 20 and 0 < quick["test"] <= 20


def test_a_tenth():
    assert papers.quick(None, None) == papers.quick(0, 0) == {"fresh": 20, "test": 20, "seeds": [1], "epochs": 1}
    assert papers.quick(100, 10) == {"fresh": 10, "test": 10, "seeds": [1], "epochs": 1}
    assert papers.quick(5, 0)["fresh"] == 5


def test_names():
    assert papers.chosen(None) == list(papers.MEASUREMENTS)
    assert papers.chosen(["methods"]) == ["methods"] and papers.chosen(["nothing"]) == []
    study = papers.chosen(["study"])
    assert len(study) == 36 and all(name.startswith("study/") for name in study)
    assert papers.chosen(["study/fsdd-0-backbone"]) == ["study/fsdd-0-backbone"]


@pytest.fixture
def run(synthetic_data, small_model, micropython, tmp_path, monkeypatch):
    """A function: --protocol papers with two small measurements and some arguments; returns the exit status."""
    small = f"--model {small_model} --step 8 --epochs 1 --methods"
    measurements = {"one": f"{small} cwr --seeds 1 2", "study/two": f"{small} ncm --dataset cifar100 --seeds 3"}
    monkeypatch.setattr(papers, "MEASUREMENTS", measurements)

    def run(*arguments, data=synthetic_data):
        line = ["experiment", "--protocol", "papers", "--out", tmp_path / "out", "--cache", tmp_path / "cache"]
        line += ["--data", data, "--micropython", micropython, *arguments]
        return cli.main([str(part) for part in line])

    return run


def test_all_measurements(run, tmp_path, capsys):
    """Each in its folder, as it would be alone; done again, nothing is learned anew."""
    assert run() == 0
    one, two = (json.loads((tmp_path / "out" / name / "results.json").read_text()) for name in ("one", "study/two"))
    assert [r["seed"] for r in one["runs"]] == [1, 2] and one["runs"][0]["fresh"] == 12
    assert two["protocol"]["dataset"] == "cifar100" and [r["method"] for r in two["runs"]] == ["ncm"]
    assert json.loads((tmp_path / "out" / "one" / "runs.json").read_text())["dataset"] == "cifar10"
    assert "== one: bitreplay experiment --model" in capsys.readouterr().out
    assert run("--only", "one") == 0
    told = capsys.readouterr().out
    assert "note: 2 of 2 learners were in" in told and "study/two" not in told


def test_quick(run, tmp_path):
    assert run("--quick", "--only", "one") == 0
    told = json.loads((tmp_path / "out" / "one" / "results.json").read_text())
    assert [r["seed"] for r in told["runs"]] == [1] and told["protocol"]["samples"] == 20
    assert not (tmp_path / "out" / "study").exists()


def test_what_is_missing_is_told_before_the_first_hour(run, tmp_path, capsys):
    make_dataset(tmp_path, "cifar10", 12, 6)
    assert run(data=tmp_path) == 2
    assert "run `bitreplay data cifar100" in capsys.readouterr().err and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epochs", "2"], "--epochs: --protocol papers says which; leave it out"),
        (["--replay-bytes", "20000"], "--replay-bytes: --protocol papers says which"),
        (["--only", "one", "three"], "--only: there is no three; choose of study, one, study/two"),
    ],
)
def test_what_cannot_be(run, capsys, arguments, message):
    assert run(*arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_options_of_papers_alone(capsys):
    for option in (["--quick"], ["--only", "methods"]):
        assert cli.main(["experiment", *option]) == 2
        assert f"{option[0]} is of --protocol papers" in capsys.readouterr().err
