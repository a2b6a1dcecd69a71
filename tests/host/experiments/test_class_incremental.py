"""Protocols: which samples are learned when, what is refused, what the cache keeps; and the children that run them."""

import json
import threading
import time
from pathlib import Path

import bitreplay
import numpy as np
import pytest
from bitreplay import graph
from bitreplay.checks import MAX_EPOCHS
from bitreplay_host.datasets import registry
from bitreplay_host.device import unix_port
from bitreplay_host.errors import UserError
from bitreplay_host.experiments import class_incremental
from bitreplay_host.experiments.class_incremental import ClassIncremental
from bitreplay_host.experiments.latents import Places, latents
from synthetic_data import make_dataset, models

LABELS = np.repeat(np.arange(10), 30)[np.random.default_rng(0).permutation(300)].astype(np.uint8)


@pytest.fixture
def settings(micropython, synthetic_data, tmp_path):
    return Places(micropython, synthetic_data, tmp_path / "cache")


@pytest.mark.parametrize(
    ("first", "step", "seen"),
    [
        (2, 1, [2, 3, 4, 5, 6, 7, 8, 9, 10]),
        (2, 2, [2, 4, 6, 8, 10]),
        (2, 3, [2, 5, 8, 10]),
        (1, 9, [1, 10]),
        (4, 99, [4, 10]),
        (10, 1, [10]),
    ],
)
def test_experiences_by_class(first, step, seen):
    """Every class comes whole and in order, and every sample once."""
    plan = ClassIncremental(first=first, step=step, samples=0)
    assert plan.seen(10) == seen
    found = plan.experiences(LABELS, seed=1)
    assert sorted(sum(found, [])) == list(range(300))
    for rows, start, end in zip(found, [0, *seen], seen, strict=False):
        np.testing.assert_array_equal(np.bincount(LABELS[rows], minlength=10)[start:end], 30)
        assert len(rows) == 30 * (end - start)


def test_samples_are_drawn_by_the_seed():
    plan = ClassIncremental(samples=20)
    first = plan.experiences(LABELS, seed=1)
    assert first == plan.experiences(LABELS, seed=1) != plan.experiences(LABELS, seed=2)
    rows = sum(first, [])
    assert len(set(rows)) == len(rows) == 200
    np.testing.assert_array_equal(np.bincount(LABELS[rows]), 20)
    # Mixed, not class after class, and not in the order of the files.
    assert (np.diff(LABELS[first[0]].astype(int)) != 0).sum() > 5
    assert first[0] != sorted(first[0])
    # More than there are is all.
    assert len(sum(ClassIncremental(samples=1000).experiences(LABELS, 1), [])) == 300


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"first": 0}, "--first must be 1..10"),
        ({"first": 11}, "--first must be 1..10"),
        ({"step": 0}, "--step at least 1"),
        ({"samples": -1}, "--fresh"),
        ({"test": -1}, "--test"),
        ({"epochs": 0}, "--epochs"),
        ({"epochs": MAX_EPOCHS + 1}, f"--epochs 1..{MAX_EPOCHS}"),
    ],
)
def test_protocols_that_cannot_be(changes, message):
    with pytest.raises(UserError, match=message):
        ClassIncremental(**changes).experiences(LABELS, 1)


def test_joint_learning_takes_as_many_minibatches():
    """As many samples pass as in learning with replay: 100 fresh ones an experience, at most 150 replayed."""
    plan = ClassIncremental(samples=50, learner={"replay": 150}, epochs=4)
    rows = [[0] * 100] + [[0] * 50] * 8
    fresh_and_replayed = 100 + (50 + 100) + 7 * (50 + 150)
    assert class_incremental._joint_epochs(rows, plan) == round(4 * fresh_and_replayed / 500) == 13
    assert class_incremental._joint_epochs(rows, ClassIncremental(learner={"replay": 0}, epochs=4)) == 4
    joint = class_incremental._configuration(class_incremental.Run("joint", 3, {"q_b": 2}), rows, plan, 10)
    assert (joint["epochs"], len(joint["experiences"]), len(joint["experiences"][0])) == (13, 1, 500)
    assert joint["learner"] == {"replay": 0, "q_b": 2, "seed": 3, "fresh": 500, "classes": 10}
    ours = class_incremental._configuration(class_incremental.Run("replay_head", 3), rows, plan, 10)
    assert (ours["epochs"], ours["experiences"]) == (4, rows)
    assert ours["learner"] == {"replay": 150, "seed": 3, "fresh": 100, "classes": 10}


def test_too_many_samples_for_a_learner():
    with pytest.raises(UserError, match=r"joint \(upper bound\): 32769 samples .* smaller --fresh"):
        class_incremental._configuration(class_incremental.Run("joint"), [[0] * 32769], ClassIncremental(), 10)


def test_latents_are_those_of_the_network(settings, small_model):
    """In the order of the rows, from the unix port; the same as the NumPy reference computes."""
    images, _ = registry.load("cifar10", "test", settings.data)
    net, latent = bitreplay.load(small_model), bytearray(16)
    rows = [59, 0, 7, 7, 30]
    found = latents(small_model, "cifar10", "test", rows, settings).read_bytes()
    classes = latents(small_model, "cifar10", "test", rows, settings, kind="classes").read_bytes()
    streams = latents(small_model, "cifar10", "test", rows, settings, kind="streams").read_bytes()
    assert len(found) == 5 * 16 and len(classes) == 5 and len(streams) == 5 * 128
    for i, row in enumerate(rows):
        net.latent(images[row].tobytes(), latent)
        assert found[16 * i : 16 * (i + 1)] == latent
        assert streams[128 * i : 128 * (i + 1)] == net.scratch[graph.STREAM][:128]
        assert net.labels[classes[i]] == net.classify(images[row].tobytes())[0]


def test_latents_are_kept_by_model_images_and_rows(settings, small_model, synthetic_data, tmp_path, monkeypatch):
    runs = []
    original = unix_port.run

    def counted(*arguments):
        runs.append(arguments[0])
        yield from original(*arguments)

    monkeypatch.setattr(unix_port, "run", counted)

    def is_computed(model=small_model, split="test", rows=(0, 1, 2), settings=settings, **more):
        runs.clear()
        path = latents(model, "cifar10", split, rows, settings, **more)
        before = path.read_bytes()
        found = bool(runs)
        assert latents(model, "cifar10", split, rows, settings, **more).read_bytes() == before
        return found

    assert is_computed() and not is_computed()
    assert is_computed(rows=(0, 2, 1)) and is_computed(rows=(0, 1)) and is_computed(split="train")
    assert is_computed(kind="classes")
    other = tmp_path / "other.safetensors"
    models.tiny_model(other, seed=5)
    assert is_computed(model=other)
    # The same model elsewhere, and the same images.
    other.write_bytes(small_model.read_bytes())
    assert not is_computed(model=other)
    folder = tmp_path / "data"
    folder.mkdir()
    make_dataset(folder, "cifar10", 12, 6)
    same = Places(settings.micropython, folder, settings.cache)
    assert not is_computed(settings=same)
    images = np.load(folder / "cifar10_test_images.npy")
    images[1] ^= 1
    np.save(folder / "cifar10_test_images.npy", images)
    assert is_computed(settings=same)
    assert {path.suffix for path in settings.cache.iterdir()} == {".latents", ".classes"}, "nothing else is left"


@pytest.mark.parametrize("damage", [lambda raw: b"", lambda raw: bytes(len(raw)), lambda raw: raw[:-1]])
def test_damaged_latents_are_made_again(settings, small_model, tmp_path, damage):
    settings = Places(settings.micropython, settings.data, tmp_path)
    path = latents(small_model, "cifar10", "test", (0, 1), settings)
    good = path.read_bytes()
    path.write_bytes(damage(good))
    assert latents(small_model, "cifar10", "test", (0, 1), settings) == path
    assert path.read_bytes() == good


def test_latents_are_those_of_a_micropython(settings, small_model, tmp_path):
    """Another one is run, and one that makes none is told."""
    path = latents(small_model, "cifar10", "test", (0, 1), settings)
    other = script(tmp_path / "other", f'exec {settings.micropython} "$@"\n')
    assert latents(small_model, "cifar10", "test", (0, 1), Places(other, *places_of(settings))) != path
    silent = script(tmp_path / "silent", "echo '{\"done\": 2}'\n")
    with pytest.raises(UserError, match="silent made 0 bytes of latents, not 32"):
        latents(small_model, "cifar10", "test", (0, 1), Places(silent, *places_of(settings)))


def places_of(settings):
    return settings.data, settings.cache


def test_latents_that_end_early_are_told(settings, small_model, tmp_path):
    """As learn_classes.py reads them, of which each needs 16 bytes."""
    for name, content in (("short", bytes(31)), ("whole", bytes(32)), ("classes", bytes(2))):
        (tmp_path / name).write_bytes(content)
    for train, test in (("short", "whole"), ("whole", "short")):
        inputs = {"model": str(small_model), "labels": ["a", "b"], "experiences": [[0, 1]], "epochs": 1}
        inputs |= {"start": None, "state": None}
        for split, name in (("train", train), ("test", test)):
            inputs[split] = {"latents": str(tmp_path / name), "classes": str(tmp_path / "classes")}
        learner = {"learner": {"replay": 2, "fresh": 2, "classes": 2}}
        with pytest.raises(UserError, match="ValueError: .*/short: too short, a latent is missing"):
            list(unix_port.run("learn_classes.py", inputs | learner, settings.micropython, tmp_path))


def test_run_on_the_unix_port_and_in_float32(settings, small_model, capsys, tmp_path):
    """All methods: curves, digests that follow the seed, and a state that is the learner's."""
    plan = ClassIncremental(step=4, epochs=8, learner={"replay": 60, "rate": 0.05})
    state = tmp_path / "state.safetensors"
    runs = [class_incremental.Run(method) for method in class_incremental.LEARNERS]
    runs += [class_incremental.Run("replay_deep", 1, state=state), class_incremental.Run("replay_deep", 2)]
    runs += [class_incremental.Run(method, arithmetic="float32") for method in class_incremental.LEARNERS]
    results = class_incremental.run(small_model, plan, runs, settings)
    for one, result in zip(runs, results, strict=True):
        assert result["classes"] == ([10] if one.method == "joint" else [2, 6, 10])
        assert len(result["curve"]) == len(result["classes"])
        assert [len(row) for row in result["matrix"]] == ([1] if one.method == "joint" else [1, 2, 3])
        # As many test images of each class: the curve is the mean by classes.
        sizes = [len(group) for group in result["groups"]]
        for percent, row in zip(result["curve"], result["matrix"], strict=True):
            np.testing.assert_allclose(np.average(row, weights=sizes[: len(row)]), percent)
        assert all(0 <= percent <= 100 for percent in result["curve"])
        assert ("digest" in result) == (one.arithmetic == "integer")
    digests = [result["digest"] for result in results[:7]]
    assert digests[3] == digests[5] and len(set(digests)) == 6
    # It learns, and with replay it does not forget.
    finals = {(one.method, one.arithmetic): result["curve"][-1] for one, result in zip(runs, results, strict=True)}
    for arithmetic in ("integer", "float32"):
        naive, ours = finals["naive", arithmetic], finals["replay_head", arithmetic]
        assert ours > naive + 20, (arithmetic, finals)
    # What is reported is what the saved learner is.
    me = bitreplay.Learner.load(bitreplay.load(small_model), state)
    assert me.digest() == digests[3] and sorted(me.labels) == sorted(registry.class_names("cifar10"))
    assert results[3]["memory"] == me.memory() and me.replay.n == 60
    shown = capsys.readouterr().out
    assert "replay + deep, seed 2: 6 classes, " in shown and "joint" not in shown
    class_incremental.run(small_model, plan, runs[:1], settings, quiet=True)
    assert capsys.readouterr().out == ""


def test_a_seed_is_one_order_for_all_models(settings, small_model, deep_model, monkeypatch):
    """Models with other latents, other methods and other memories are taught the same images in the same order."""
    rows, plans = [], []

    def made(model, dataset, split, chosen, places, **more):
        rows.append((split, chosen))
        return latents(model, dataset, split, chosen, places, **more)

    def taught(script, configuration, *places):
        if script == "learn_classes.py":
            plans.append(configuration["experiences"])
        return original(script, configuration, *places)

    original = unix_port.run
    monkeypatch.setattr(class_incremental, "latents", made)
    monkeypatch.setattr(unix_port, "run", taught)
    for model, method, replay, seed in (
        (small_model, "replay_head", 30, 2),
        (deep_model, "replay_deep", 10, 2),
        (deep_model, "replay_deep", 10, 3),
    ):
        plan = ClassIncremental(step=4, samples=3, test=1, epochs=1, learner={"replay": replay})
        class_incremental.run(model, plan, [class_incremental.Run(method, seed)], settings, quiet=True)
    # Images by experience: the plan numbers rows of what was made from the training images.
    images = [
        [np.asarray(train)[part].tolist() for part in plan] for (_, train), plan in zip(rows[::2], plans, strict=True)
    ]
    assert images[0] == images[1] != images[2] and rows[1] == rows[3]


def test_state_that_cannot_be_written(settings, small_model, tmp_path):
    """An error on the unix port is told, with the reason."""
    one = class_incremental.Run("cwr", state=tmp_path / "nowhere" / "state")
    with pytest.raises(UserError, match=r"learn_classes.py failed on micropython: OSError: .*ENOENT"):
        class_incremental.run(small_model, ClassIncremental(step=8, samples=2, epochs=1), [one], settings)
    assert not list(settings.cache.glob("tmp*"))


def script(path, text):
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return path


def test_a_name_is_a_path(tmp_path, monkeypatch):
    """Not looked for in PATH."""
    script(tmp_path / "true", "echo '{}'\n")
    monkeypatch.chdir(tmp_path)
    assert list(unix_port.run("run_backbone.py", {}, Path("true"), tmp_path)) == [{}]
    with pytest.raises(UserError, match="false: No such file"):
        list(unix_port.run("run_backbone.py", {}, Path("false"), tmp_path))


def test_a_program_that_says_nothing(tmp_path):
    with pytest.raises(UserError, match="fake does not answer as MicroPython with BitReplay"):
        list(unix_port.run("run_backbone.py", {}, script(tmp_path / "fake", "echo text\n"), tmp_path))


def test_child_gets_its_configuration_and_is_heard(tmp_path):
    """The configuration is in a file while it runs; JSON lines are yielded, others are not."""
    fake = script(tmp_path / "fake", 'echo "some line"; cat $4; echo; cat $4; echo')
    found = unix_port.run("run_backbone.py", {"a": [1, "ü"]}, fake, tmp_path)
    assert list(found) == [{"a": [1, "ü"]}] * 2
    assert list(tmp_path.iterdir()) == [fake]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("echo '{}'; echo line >&2; echo 'ValueError: why' >&2; exit 1", "ValueError: why"),
        ("echo 'MemoryError: on stdout'; exit 1", "MemoryError: on stdout"),
        ("exit 3", "3"),
        ("kill -SEGV $$", "-11"),
    ],
)
def test_child_that_fails(tmp_path, text, reason):
    fake = script(tmp_path / "fake", text)
    with pytest.raises(UserError) as error:
        list(unix_port.run("run_backbone.py", {}, fake, tmp_path))
    assert str(error.value) == f"run_backbone.py failed on fake: {reason}"
    assert list(tmp_path.iterdir()) == [fake]


def test_child_ends_with_its_iterator(tmp_path):
    fake = script(tmp_path / "fake", "echo '{}'; exec sleep 300")
    messages = unix_port.run("run_backbone.py", {}, fake, tmp_path)
    next(messages)
    (child,) = unix_port._children
    messages.close()
    assert child.returncode == -9 and not unix_port._children
    assert list(tmp_path.iterdir()) == [fake]


def test_when_one_fails_all_end(tmp_path):
    """Those that run, those that wait for a core, and those that have no child."""
    sleeps = script(tmp_path / "sleeps", "exec sleep 300")
    fails = script(tmp_path / "fails", "echo 'ValueError: this one' >&2; exit 1")
    begun = []

    def work(fake, stop):
        begun.append(fake)
        if fake is None:
            assert stop.wait(30)
        else:
            list(unix_port.run("run_backbone.py", {}, fake, tmp_path))

    start = time.monotonic()
    with pytest.raises(UserError, match="ValueError: this one"):
        unix_port.in_parallel(work, [sleeps, fails] + [sleeps] * 100)
    assert time.monotonic() - start < 20 and len(begun) < 100
    with pytest.raises(UserError, match="ValueError: this one"):
        unix_port.in_parallel(work, [None, fails])
    assert not unix_port._children


def test_parallel_results_are_in_order():
    def work(item, stop):
        time.sleep(0.05 * (item == 0))
        assert isinstance(stop, threading.Event) and not stop.is_set()
        return item * item

    assert unix_port.in_parallel(work, range(7)) == [0, 1, 4, 9, 16, 25, 36]
    assert unix_port.in_parallel(work, []) == []


def test_results_are_json(settings, small_model):
    plan = ClassIncremental(step=8, samples=2, test=1, epochs=1)
    (result,) = class_incremental.run(small_model, plan, [class_incremental.Run("replay_deep")], settings)
    assert json.loads(json.dumps(result)) == result
    assert set(result) == {"classes", "curve", "groups", "matrix", "digest", "memory", "heap"}
    heap = result["heap"]
    assert heap["file"] == small_model.stat().st_size
    # What is measured is what the formula says, and Python's own objects.
    assert 0 < heap["learner"] - result["memory"]["total"] + result["memory"]["activations"] < 40000
