"""Protocols as data: named ones, a user's file, what is refused, and learners that meet known classes again."""

import csv
import json

import numpy as np
import pytest
from bitreplay_host import cli
from bitreplay_host.datasets import registry
from bitreplay_host.errors import UserError
from bitreplay_host.experiments import protocols
from bitreplay_host.experiments.class_incremental import ClassIncremental

LABELS = np.repeat(np.arange(10), 30)[np.random.default_rng(0).permutation(300)].astype(np.uint8)


def classes(plan, seed=1):
    return [sorted(set(LABELS[rows].tolist())) for rows in plan.experiences(LABELS, seed)]


@pytest.mark.parametrize("name", [name for name in protocols.NAMED if not name.startswith(("core50", "head"))])
def test_named_ones_are_of_datasets_that_there_are(name):
    found = protocols.load(name)
    count = len(registry.class_names(found["dataset"]))
    seen = ClassIncremental(first=found["first"], step=found["step"]).seen(count)
    sizes = np.diff([0, *seen]).tolist()
    told = name.split("-", 1)[1].split("+")
    expected = [
        int(part.split("x")[-1]) for part in told for _ in range(int(part.split("x")[0]) if "x" in part else 1)
    ]
    assert sizes == ([int(told[0])] if "x" not in told[0] else []) + expected["x" not in told[0] :]


def test_the_seed_draws_the_order():
    """Every class comes once, in an order for each seed; the images that are drawn are those of the given order."""
    plan, given = ClassIncremental(order="seed", samples=5), ClassIncremental(samples=5)
    orders = [sum(classes(plan, seed)[1:], []) for seed in (1, 2)]
    assert classes(plan, 1) == classes(plan, 1) and orders[0] != orders[1]
    assert sorted(sum(classes(plan, 2), [])) == list(range(10))
    assert sorted(sum(plan.experiences(LABELS, 1), [])) == sorted(sum(given.experiences(LABELS, 1), []))


def test_known_classes_come_again_with_other_images():
    plan = ClassIncremental(groups=[[0, 1], [2], [1, 0], [1]], samples=0)
    found = plan.experiences(LABELS, 1)
    assert classes(plan) == [[0, 1], [2], [0, 1], [1]]
    rows = sum(found, [])
    assert len(set(rows)) == len(rows) == 90, "each image comes once"
    assert [np.bincount(LABELS[part], minlength=3)[:3].tolist() for part in found] == [
        [15, 10, 0],
        [0, 0, 30],
        [15, 10, 0],
        [0, 10, 0],
    ]
    few = ClassIncremental(groups=plan.groups, samples=4).experiences(LABELS, 1)
    assert [len(part) for part in few] == [8, 4, 8, 4]
    assert plan.settings()["groups"] == plan.groups and "first" not in plan.settings()


def test_a_class_that_comes_more_often_than_it_has_images():
    with pytest.raises(UserError, match="class 3 comes 31 times, but has fewer images"):
        ClassIncremental(groups=[[3]] * 31).experiences(LABELS, 1)
    with pytest.raises(UserError, match="class 10 of cifar10 has no images; leave it out"):
        ClassIncremental(groups=[[1], [10]]).experiences(LABELS, 1)


def test_a_dataset_without_some_class():
    """Numbers of classes stay what they are."""
    labels = LABELS[LABELS != 4]
    for plan in (ClassIncremental(groups=[[3], [5]]), ClassIncremental(first=3, step=4)):
        found = [sorted(set(labels[rows].tolist())) for rows in plan.experiences(labels, 1)]
        assert found == ([[3], [5]] if plan.groups else [[0, 1, 2], [3, 5, 6, 7], [8, 9]])
    drawn = ClassIncremental(groups=[[3, 5], [5]], order="seed").experiences(labels, 1)
    first, second = (set(labels[rows].tolist()) for rows in drawn)
    assert len(first) == 2 and len(second) == 1 and second < first and 4 not in first


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", "must be an object"),
        ("{", "cannot be read as JSON"),
        ('{"dataset": "cifar11"}', "dataset: must be one of cifar10, "),
        ("{}", "dataset: must be one of"),
        ('{"dataset": "cifar10", "steps": 1}', "steps: is no field of a protocol; those are base, dataset, epochs"),
        ('{"dataset": "cifar10", "base": "imagenet"}', "base: must be one of cifar10, .*, that with the classes of"),
        ('{"dataset": "cifar10", "fresh": 1.5}', "fresh: must be a whole number"),
        ('{"dataset": "cifar10", "order": "random"}', "order: must be one of given, seed"),
        ('{"dataset": "cifar10", "first": 2, "experiences": [[1]]}', "experiences: cannot be with first or step"),
        ('{"dataset": "cifar10", "experiences": []}', "experiences: must be a list of lists"),
        ('{"dataset": "cifar10", "experiences": [[1], []]}', "with at least one in each"),
        ('{"dataset": "cifar10", "experiences": [[1], ["mug"]]}', "'mug' in experience 2 is no class"),
        ('{"dataset": "cifar10", "experiences": [[10]]}', "10 in experience 1 is no class; .* of 0..9"),
        ('{"dataset": "cifar10", "experiences": [["cat", 3]]}', "experience 1 has a class twice"),
    ],
)
def test_files_that_cannot_be(tmp_path, text, message):
    path = tmp_path / "my.json"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as told:
        protocols.load(str(path))
    assert str(path) in str(told.value) and "\n" not in str(told.value)


def test_names_that_are_not_there(tmp_path):
    with pytest.raises(UserError, match="there is no cifar; choose a file that ends in .json, or cifar10-2"):
        protocols.load("cifar")
    with pytest.raises(UserError, match="my.json cannot be read"):
        protocols.load(str(tmp_path / "my.json"))


@pytest.fixture
def run(synthetic_data, small_model, micropython, tmp_path):
    def run(*arguments):
        paths = {"--model": small_model, "--data": synthetic_data, "--micropython": micropython}
        paths |= {"--cache": tmp_path / "cache", "--out": tmp_path / "out"}
        line = ["experiment", *(part for item in paths.items() for part in item), *arguments]
        return cli.main([str(part) for part in line])

    return run


def test_a_users_protocol(run, tmp_path):
    """All kinds of learners meet new and known classes; options that are given win."""
    path = tmp_path / "my.json"
    again = [["cat", "dog"], ["ship"], ["dog", "cat"], ["ship", 0]]
    path.write_text(json.dumps({"dataset": "cifar10", "experiences": again, "fresh": 3, "epochs": 9}))
    methods = ["--methods", "cwr", "replay_deep", "joint", "ncm", "--arithmetic", "integer", "float32"]
    assert run("--protocol", path, "--epochs", "1", "--seeds", "1", *methods) == 0
    told = json.loads((tmp_path / "out" / "results.json").read_text())
    assert told["protocol"]["epochs"] == 1 and told["protocol"]["samples"] == 3
    assert told["protocol"]["groups"] == [[3, 5], [8], [5, 3], [8, 0]] and "first" not in told["protocol"]
    for one in told["runs"]:
        joint = one["method"] == "joint"
        assert one["classes"] == ([4] if joint else [2, 3, 3, 4]) and one["fresh"] == 3
        assert one["groups"] == ([[0, 3, 5, 8]] if joint else [[3, 5], [8], [0, 8]])
        assert (one["forgetting"] is None) == joint
    with (tmp_path / "out" / "results.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["method"] == "ncm"]
    assert [(row["experience"], row["classes seen"]) for row in rows] == [
        ("1", "2"),
        ("2", "3"),
        ("3", "3"),
        ("4", "4"),
    ]


def test_what_a_protocol_says_already(run, capsys):
    assert run("--protocol", "cifar10-5x2", "--step", "3") == 2
    assert "--step: --protocol says which; leave one of them out" in capsys.readouterr().err
