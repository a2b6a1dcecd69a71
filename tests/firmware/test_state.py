"""A learner's state as a file: it comes back whole and goes on with the same bits."""

import json
import os
import re
from pathlib import Path

import pytest
import safetensors.numpy
from bitreplay import Learner, load
from bitreplay import safetensors as files
from learners import HERE, name, run, taught
from synthetic import Synthetic, teach


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "me.safetensors")


def packed(me):
    """The signs that it uses."""
    return [bytes(part.packed) for part in me.trainer.parts] if me.trainer else []


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"policy": "reservoir"},
        {"head_bits": 32, "cwr": False, "rate": 0.0123456789},
        {"replay": 0},
        {"train": 1},
        {"train": "all", "cwr": True, "q_b": 16},
        {"train": 2, "channels": 0.3, "rounding": "nearest"},
        {"train": "all", "channels": 255 / 256, "conv_rate": 0.3},
    ],
    ids=str,
)
def test_a_loaded_learner_goes_on_with_exactly_the_same_bits(deep_net, path, settings):
    net = deep_net
    me = taught(net, **settings)
    me.save(path)
    other = Learner.load(net, path)
    assert other.config == me.config and other.labels == me.labels
    synthetic = [Synthetic(net.latent_bytes, 5), Synthetic(net.latent_bytes, 5)]
    for _ in range(3):
        assert other.digest() == me.digest()
        assert repr(other) == repr(me)
        for one, source in zip((me, other), synthetic):
            assert one.predict_latent(source.latent(1)) is not None
            teach(one, source, (4, 0, 3), 6, name)
        assert me.predict_latent(bytes(64)) == other.predict_latent(bytes(64))
        assert packed(me) == packed(other)
        me.learn(1, progress=False)
        other.learn(1, progress=False)


def test_an_empty_learner_comes_back_too(net, path):
    me = Learner(net, seed=77)
    me.save(path)
    other = Learner.load(net, path)
    assert other.digest() == me.digest() and other.labels == [] and other.rng[0] == 77


def test_the_file_is_for_every_tool(deep_net, path):
    net = deep_net
    me = taught(net, train=2, channels=0.25)
    me.save(path)
    tensors = safetensors.numpy.load_file(path)
    assert set(tensors) == {
        "rng", "past", "head", "bconv2d3.weight", "bconv2d6.weight",
        "replay.latents", "replay.classes", "fresh.latents", "fresh.classes",
    }  # fmt: skip
    assert tensors["head"].shape == (5, 64) and tensors["head"].tobytes() == bytes(me.head.cw)
    for part, channels, fan_in in zip(me.trainer.parts, (8, 16), (288, 32)):
        weight = tensors[part.layer.name + ".weight"]
        assert weight.shape == (channels, fan_in) and weight.tobytes() == bytes(part.weight)
    assert list(tensors["past"]) == list(me.head.past) and tensors["rng"][0] == me.rng[0]
    assert tensors["replay.latents"].shape == (24, 16) and tensors["fresh.latents"].shape == (6, 16)
    assert list(tensors["fresh.classes"]) == [1, 3] * 3
    metadata, _ = files.read(path)
    assert json.loads(metadata["config"]) == me.config
    assert json.loads(metadata["labels"]) == me.labels
    assert metadata["model"] == net.digest and metadata["experiences"] == "2"


@pytest.mark.parametrize("settings", [{}, {"train": "all"}, {"train": 2, "channels": 0.3}], ids=str)
def test_a_file_goes_from_one_implementation_to_the_other(deep_model, deep_net, path, micropython, settings):
    model, net = deep_model, deep_net
    script = """
import sys
sys.path.append(sys.argv[1])
import bitreplay
from synthetic import Synthetic, show, teach

net = bitreplay.load(sys.argv[2])
me = bitreplay.Learner.load(net, sys.argv[3])
show(digest=me.digest(), labels=me.labels)
teach(me, Synthetic(net.latent_bytes, 9), (0, 1), 5, lambda c: me.labels[c])
me.learn(2, progress=False)
me.save(sys.argv[3])
show(digest=me.digest())
"""
    me = taught(net, **settings)
    me.save(path)
    first, second = [json.loads(line) for line in micropython(script, HERE, model, path).splitlines()]
    assert first == {"digest": me.digest(), "labels": me.labels}
    teach(me, Synthetic(net.latent_bytes, 9), (0, 1), 5, name)
    me.learn(2, progress=False)
    assert second["digest"] == me.digest() == Learner.load(net, path).digest()
    written = Path(path).read_bytes()
    me.save(path)
    assert Path(path).read_bytes() == written


# Labels as long as they may be.

LONG_LABELS = """
me = bitreplay.Learner(net, classes=255, fresh=300)
refused = 0
for i in range(255):
    # Control characters and quotes are longest in JSON, where this is a string in a string.
    label = ("%03d" % i) + (chr(1) if i % 2 else '"') * 61
    try:
        me.see_latent(bytes(net.latent_bytes), label)
    except ValueError as error:
        refused, text = refused + 1, str(error)
me.save(sys.argv[3])
other = bitreplay.Learner.load(net, sys.argv[3])
same = other.digest() == me.digest() and other.labels == me.labels
show(refused=refused, text=text, labels=len(me.labels), same=same)
"""


@pytest.mark.parametrize("implementation", ["micropython", "cpython"])
def test_a_label_for_which_a_file_has_no_room_is_refused(model, tmp_path, request, implementation):
    implementation = request.getfixturevalue(implementation)
    (found,) = run(implementation, LONG_LABELS, model, tmp_path / "me.safetensors")
    assert found["same"] and found["labels"] + found["refused"] == 255 and 150 < found["labels"] < 220
    assert re.match("label: with it a saved learner's header could have 65... bytes", found["text"])


# Saving over an existing file.


class Disk:
    """Files that fail at the n-th write, flush or sync, or at the rename."""

    def __init__(self, monkeypatch, fail_at):
        self.steps, self.fail_at = 0, fail_at
        opened, self.replace, self.fsync = open, os.replace, os.fsync
        monkeypatch.setattr("builtins.open", lambda *arguments, **options: File(self, opened(*arguments, **options)))
        monkeypatch.setattr(os, "replace", lambda *arguments: self.step(self.replace, *arguments))
        monkeypatch.setattr(os, "fsync", lambda *arguments: self.step(self.fsync, *arguments))

    def step(self, function, *arguments):
        self.steps += 1
        if self.steps == self.fail_at:
            raise OSError(28, "No space left on device")
        return function(*arguments)


class File:
    def __init__(self, disk, file):
        self.disk, self.file = disk, file

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def write(self, data):
        if self.disk.steps + 1 == self.disk.fail_at:
            # A failing write may have written something.
            self.file.write(bytes(data)[: len(bytes(data)) // 2])
        return self.disk.step(self.file.write, data)

    def flush(self):
        return self.disk.step(self.file.flush)


def test_a_failing_save_leaves_the_old_file_and_the_learner(net, path, monkeypatch):
    me = taught(net, train="all")
    me.save(path)
    old = me.digest()
    teach(me, Synthetic(net.latent_bytes, 3), (0, 1), 5, name)
    new = me.digest()
    assert new != old
    failures = 0
    while True:
        with monkeypatch.context() as patch:
            disk = Disk(patch, failures + 1)
            try:
                me.save(path)
                break
            except OSError as error:
                assert error.errno == 28 and f"{path}: could not be written" in str(error)
        failures += 1
        assert disk.steps == failures
        assert Learner.load(net, path).digest() == old
        assert me.digest() == new
        assert os.listdir(Path(path).parent) == [Path(path).name]
    # The header and 8 tensors in pieces, flush, sync, rename.
    assert failures > 12
    assert Learner.load(net, path).digest() == new


def test_a_save_to_nowhere_says_so(model, net, micropython):
    nowhere = "/no/such/folder/me.safetensors"
    with pytest.raises(FileNotFoundError, match=nowhere):
        taught(net).save(nowhere)
    for read in (load, lambda path: Learner.load(net, path)):
        with pytest.raises(FileNotFoundError, match=nowhere):
            read(nowhere)
    script = """
import sys
import bitreplay

net = bitreplay.load(sys.argv[1])
for step in (bitreplay.Learner(net).save, bitreplay.load, lambda path: bitreplay.Learner.load(net, path)):
    try:
        step(sys.argv[2])
    except OSError as error:
        print(error.errno, error)
"""
    # The operating system's own error has no path there.
    opened = f"2 [Errno 2] ENOENT: {nowhere}: could not be opened; check the path, or copy the file there"
    written = f"2 [Errno 2] ENOENT: {nowhere}: could not be written; check its folder and the free space"
    assert micropython(script, model, nowhere).splitlines() == [written, opened, opened]
