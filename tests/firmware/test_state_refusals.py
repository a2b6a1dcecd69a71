"""Bad files of a learner: each is refused by what is wrong with it, and does no harm."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from bitreplay import Learner, load
from learners import HERE, taught

import models


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "me.safetensors")


class State:
    """A saved state in parts, to be changed before it is written."""

    def __init__(self, path):
        content = Path(path).read_bytes()
        start = 8 + struct.unpack("<Q", content[:8])[0]
        self.metadata = json.loads(content[8:start])["__metadata__"]
        self.config = json.loads(self.metadata.pop("config"))
        self.labels = json.loads(self.metadata.pop("labels"))
        self.tensors = safetensors.numpy.load_file(path)

    def write(self, path):
        texts = {"config": json.dumps(self.config), "labels": json.dumps(self.labels), **self.metadata}
        model = models.Model("", None, None, None, self.tensors)
        header, data = model.header_and_data()
        header["__metadata__"] = {field: text for field, text in texts.items() if text is not None}
        Path(path).write_bytes(models.encode(header, data))


def changed(part, name, value):
    """A change of a State: one entry set, or without a value removed."""

    def change(state):
        entries = getattr(state, part)
        if value is None and part != "metadata":
            del entries[name]
        else:
            entries[name] = value

    return change


def retyped(name, dtype):
    def change(state):
        state.tensors[name] = state.tensors[name].astype(dtype)

    return change


def resized(name, *shape):
    def change(state):
        state.tensors[name] = np.resize(state.tensors[name], shape)

    return change


def with_value(name, index, value):
    def change(state):
        state.tensors[name][index] = value

    return change


def labelled(*labels):
    def change(state):
        state.labels = list(labels)

    return change


def settings(**values):
    def change(state):
        state.config.update(values)

    return change


def more_samples(name, n):
    def change(state):
        for part in ("latents", "classes"):
            data = state.tensors[f"{name}.{part}"]
            state.tensors[f"{name}.{part}"] = np.resize(data, (n, *data.shape[1:]))

    return change


DEEP = "[" * 30000 + "]" * 30000

BAD = [
    (changed("metadata", "format", "bitreplay-model"), "format: is not bitreplay-learner"),
    (changed("metadata", "format", None), "format: is not"),
    (changed("metadata", "version", "3"), "version: is not 2, which this release reads; update BitReplay"),
    (changed("metadata", "version", "1.0"), "version: "),
    (
        changed("metadata", "model", "0" * 64),
        "model: the learner belongs to another model (sha256 00000000..., this one",
    ),
    (changed("metadata", "model", None), "model: is missing"),
    (changed("metadata", "experiences", None), "experiences: is missing"),
    (changed("metadata", "more", "?"), "more: is not a field"),
    (changed("metadata", "experiences", "-1"), "experiences: must be an integer, 0..1073741823"),
    (changed("metadata", "experiences", "1e3"), "experiences: is not valid"),
    (changed("metadata", "experiences", "1_0"), "experiences: is not valid"),
    (changed("metadata", "experiences", "+1"), "experiences: is not valid"),
    (changed("metadata", "experiences", " 1"), "experiences: is not valid"),
    (changed("metadata", "experiences", "01"), "experiences: is not valid"),
    (changed("metadata", "experiences", "9" * 5000), "experiences: "),
    (changed("metadata", "config", "{"), "config: is not valid"),
    (changed("metadata", "config", "[]"), "config: is not valid"),
    (changed("metadata", "config", "null"), "config: is not valid"),
    (changed("metadata", "config", "{}"), "config: channels is missing"),
    (changed("metadata", "config", '{"replay":' + DEEP + "}"), "config: "),
    (changed("metadata", "config", '{"rate":NaN}'), "config: "),
    (changed("metadata", "labels", DEEP), "label"),
    (changed("metadata", "labels", '{"mug":0}'), "labels: is not valid"),
    (settings(replay=10**9), "config: replay: must be an integer, 0..32768, got 1000000000"),
    (settings(replay=24.0), "config: replay: must be an integer"),
    (settings(replay="24"), "config: replay: must be"),
    (settings(replay=[24]), "config: replay: must be"),
    (settings(replay=True), "config: replay: must be"),
    (settings(fresh=None), "config: fresh: must be"),
    (settings(classes=0), "config: classes: must be"),
    (settings(classes=4), "past: is U32 (5,), but the learner has U32 (4,)"),
    (settings(classes=3), "labels: must be an integer, 0..3, got 4"),
    (settings(policy={}), "config: policy: must be"),
    (changed("config", "conv", True), "config: has a field that this release does not know"),
    (settings(train="some"), 'config: train: must be "head", "all" or how many binary layers'),
    (settings(train=-1), "config: train: must be"),
    (settings(train=True), "config: train: must be"),
    (settings(train=4), "config: train: the model has 3 binary layers above its latent, got 4"),
    (settings(train=1), "bconv2d3.weight: is a tensor that this learner does not have"),
    (settings(train=3), "bconv2d1.weight: is missing; it must be I8 (16, 288)"),
    (settings(channels=0), "config: channels: must be a number above 0 and at most 1, got 0"),
    (settings(channels=0.01), "config: channels: 0.01 of the 32 channels of bconv2d3 is less than one; give more"),
    (settings(channels=0.25), "bconv2d3.weight: is I8 (16, 288), but the learner has I8 (8, 288)"),
    (settings(channels="half"), "config: channels: must be"),
    (settings(cwr=None), "config: cwr: must be true or false"),
    (settings(train="head"), "config: train: must be a number"),
    (settings(cwr=0), "config: cwr: must be True or False, got 0"),
    (settings(head_bits=16.0), "config: head_bits: must be"),
    (settings(rate="0.1"), "config: rate: must be a number"),
    (settings(rate=-1), "config: rate: must be a number"),
    (settings(rate=float("nan")), "config: "),
    (settings(rate=1e300), "config: rate: must be"),
    (settings(conv_rate=False), "config: conv_rate: must be"),
    (settings(seed=5), "config: has a field too many"),
    (settings(net=5), "config: has a field that this release does not know"),
    (settings(momentum=0.9), "config: has a field that this release does not know"),
    (changed("config", "replay", None), "config: replay is missing"),
    (changed("config", "rounding", None), "config: rounding is missing"),
    (labelled("mug", 7, "mug", 3), "labels: 'mug' is there twice"),
    (labelled("mug", 7, "\ud800", 3), "label: must be a str of 1..64 characters or an int of 64 bits, got half of a"),
    (labelled("mug", True, "Tür", 3), "label: must be a str of 1..64 characters or an int of 64 bits, got True"),
    (labelled("mug", 7.0, "Tür", 3), "label: must be"),
    (labelled("mug", None, "Tür", 3), "label: must be"),
    (labelled("mug", ["a"], "Tür", 3), "label: must be"),
    (labelled("mug", "x" * 65, "Tür", 3), "label: must be"),
    (labelled("mug", 1 << 80, "Tür", 3), "label: must be"),
    (labelled("mug", 7, ""), "label: must be"),
    (labelled("a", "b", "c", "d", "e", "f"), "labels: must be an integer, 0..5, got 6"),
    (labelled("mug", 7), "replay.classes: there are 2 labels, but a sample of class 2"),
    (labelled("mug", 7, "Tür"), "fresh.classes: there are 3 labels, but a sample of class 3"),
    (changed("tensors", "rng", None), "rng: is missing; it must be U32 (1,)"),
    (changed("tensors", "head", None), "head: is missing"),
    (changed("tensors", "bconv2d3.weight", None), "bconv2d3.weight: is missing; it must be I8 (16, 288)"),
    (changed("tensors", "bconv2d1.weight", np.zeros((16, 288), np.int8)), "bconv2d1.weight: is a tensor that this"),
    (changed("tensors", "replay.classes", None), "replay.classes: must be there and have at most 24 elements"),
    (changed("tensors", "fresh.latents", None), "fresh.latents: is missing"),
    (changed("tensors", "extra", np.zeros(3, np.uint8)), "extra: is a tensor that this learner does not have"),
    (retyped("head", np.int32), "head: is I32 (5, 64), but the learner has I16 (5, 64)"),
    (retyped("head", np.uint16), "head: is U16"),
    (retyped("bconv2d6.weight", np.uint8), "bconv2d6.weight: is U8"),
    (retyped("past", np.int32), "past: is I32"),
    (retyped("rng", np.uint8), "rng: is U8"),
    (retyped("replay.latents", np.int32), "replay.latents: is I32"),
    (retyped("replay.classes", np.int8), "replay.classes: is I8"),
    (resized("head", 320), "head: is I16 (320,), but the learner has I16 (5, 64)"),
    (resized("head", 5, 63), "head: is I16 (5, 63)"),
    (resized("head", 64, 5), "head: is I16 (64, 5)"),
    (resized("past", 6), "past: is U32 (6,)"),
    (resized("bconv2d6.weight", 1023), "bconv2d6.weight: is I8 (1023,)"),
    (resized("bconv2d6.weight", 31, 32), "bconv2d6.weight: is I8 (31, 32), but the learner has I8 (32, 32)"),
    (with_value("bconv2d6.weight", (31, 7), -128), "bconv2d6.weight: must be -127..127, got -128"),
    (with_value("bconv2d3.weight", (0, 0), -128), "bconv2d3.weight: must be -127..127, got -128"),
    (resized("replay.classes", 25), "replay.classes: must be there and have at most 24 elements"),
    (resized("replay.classes", 24, 1), "replay.classes: must be there"),
    (resized("replay.classes", 23), "replay.latents: is U32 (24, 16), but the learner has U32 (23, 16)"),
    (resized("fresh.latents", 6, 5), "fresh.latents: is U32 (6, 5)"),
    (more_samples("replay", 25), "replay.classes: must be there and have at most 24 elements"),
    (more_samples("fresh", 41), "fresh.classes: must be there and have at most 40 elements"),
    (with_value("rng", 0, 0), "rng: must not be 0"),
    (with_value("past", 4, 1), "past: 1 samples of class 4 are too many"),
    (with_value("past", 0, 1 << 30), "past: 1073741824 samples of class 0 are too many"),
    (with_value("replay.classes", 3, 5), "replay.classes: there are 4 labels, but a sample of class 5"),
    (with_value("fresh.classes", 0, 255), "fresh.classes: there are 4 labels, but a sample of class 255"),
]


@pytest.fixture(scope="module")
def good(deep_model, tmp_path_factory):
    """(a good file, the digest of its learner): two of three layers and half of their channels are trained."""
    path = str(tmp_path_factory.mktemp("good") / "good.safetensors")
    me = taught(load(deep_model), train=2, channels=0.5)
    me.save(path)
    return path, me.digest()


def write_changed(good, change, path):
    state = State(good[0])
    change(state)
    state.write(path)


def test_the_files_below_are_bad_for_one_reason_only(deep_net, good, path):
    write_changed(good, lambda state: None, path)
    assert Learner.load(deep_net, path).digest() == good[1]


def test_a_state_of_trained_layers_for_a_head_alone(deep_net, good, path):
    write_changed(good, settings(train=0), path)
    with pytest.raises(ValueError, match=r"bconv2d[36].weight: is a tensor that this learner does not have"):
        Learner.load(deep_net, path)


@pytest.mark.parametrize("change, message", BAD, ids=[message[:50] for _, message in BAD])
def test_a_bad_file_is_a_value_error_that_names_what_is_wrong(deep_net, good, path, change, message):
    write_changed(good, change, path)
    with pytest.raises(ValueError) as caught:
        Learner.load(deep_net, path)
    assert str(caught.value).startswith(f"{path}: {message}"), caught.value


def test_micropython_refuses_the_same_files_in_the_same_words(deep_model, good, tmp_path, micropython):
    script = """
import sys
sys.path.append(sys.argv[1])
import bitreplay
from synthetic import Synthetic, show, teach

net = bitreplay.load(sys.argv[2])
me = bitreplay.Learner(net)
teach(me, Synthetic(net.latent_bytes), (0, 1), 3)
me.learn(1, progress=False)
digest = me.digest()
for i in range(int(sys.argv[4])):
    try:
        bitreplay.Learner.load(net, "%s/%d" % (sys.argv[3], i))
    except ValueError as error:
        show(message=str(error))
show(message=me.digest() == digest)
"""
    for i, (change, _) in enumerate(BAD):
        write_changed(good, change, tmp_path / str(i))
    lines = micropython(script, HERE, deep_model, tmp_path, len(BAD)).splitlines()
    *messages, unchanged = [json.loads(line)["message"] for line in lines]
    assert unchanged and len(messages) == len(BAD)
    for i, (_, message) in enumerate(BAD):
        assert messages[i].startswith(f"{tmp_path}/{i}: {message}"), messages[i]


def test_a_state_that_does_not_fit_is_a_memory_error(deep_model, good, path, micropython):
    """The file itself is small and valid."""
    write_changed(good, settings(replay=32768), path)
    script = """
import sys
import bitreplay

net = bitreplay.load(sys.argv[1])
try:
    bitreplay.Learner.load(net, sys.argv[2])
except MemoryError as error:
    print(error)
print(bitreplay.Learner.load(net, sys.argv[3]).digest())
"""
    message, digest = micropython(script, deep_model, path, good[0], heap="300k").splitlines()
    assert message.startswith("Learner: needs 215") and "replay 2129920" in message
    assert digest == good[1]


@pytest.mark.parametrize("implementation", ["cpython", "micropython"])
def test_a_cut_file_is_refused(deep_model, good, path, request, implementation):
    script = """
import sys
import bitreplay

net = bitreplay.load(sys.argv[1])
with open(sys.argv[2], "rb") as file:
    good = file.read()
pieces = [good[:size] for size in range(0, len(good), 17)] + [good + b"\\0"]
for piece in pieces:
    with open(sys.argv[3], "wb") as file:
        file.write(piece)
    try:
        bitreplay.Learner.load(net, sys.argv[3])
        print("accepted", len(piece))
    except ValueError as error:
        assert str(error).startswith(sys.argv[3] + ": ")
print(len(pieces) > 100)
"""
    assert request.getfixturevalue(implementation)(script, deep_model, good[0], path) == "True\n"
