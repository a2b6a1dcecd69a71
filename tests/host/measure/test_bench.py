"""bitreplay bench runs and writes what it prints, and reckons right; how fast this machine is, is no test."""

import errno
import json
import os
import types

import bitreplay
import pytest
from bitreplay_host import cli, paths, reference
from bitreplay_host.measure import bench as module
from synthetic_data import macs_of_layers, models

ARGUMENTS = "bench", "--repeats", "2"
KINDS = "dW", "dX"
SOUND = {"logmel", "logmel_image"}  # docs/sensors.md has their times


@pytest.fixture
def bench(micropython, tmp_path):
    """A function: runs bench on a model and returns the JSON that it wrote."""

    def run(*arguments):
        out = tmp_path / "bench" / "unix.json"
        assert cli.main([*ARGUMENTS, "--micropython", str(micropython), "--out", str(out), *arguments]) == 0
        return json.loads(out.read_text())

    return run


def test_bench_writes_times_and_ratios(bench, capsys):
    result = bench()
    assert "unix port" in result["target"] and "best of 2" in result["target"] and result["clock_hz"] is None
    assert [(g["gradient"], g["q_b"]) for g in result["gradients"]] == [(k, b) for k in KINDS for b in (2, 4, 8, 16)]
    for gradient in result["gradients"]:
        ratio, bits = gradient["sign_and_add_us"] / gradient["tables_us"], str(gradient["q_b"])
        assert result["table_speedup"][gradient["gradient"]].get(bits, round(ratio, 2)) == round(ratio, 2)
    assert {k["name"] for k in result["kernels"]} == {*reference.KERNELS, "backbone", "layers above"} - SOUND
    assert all(k["us"] > 0 for k in result["kernels"])
    net = bitreplay.load(paths.model("backbone"))
    assert result["model"] == {"name": "backbone", "sha256": net.digest}
    head, deep = result["taught"]
    assert (head["train"], deep["train"], head["batch"], deep["batch"]) == ("head", 1, 32, 8)
    for one in head, deep:
        assert all(one[name] > 0 for name in ("image_ms", "minibatch_ms", "class_s", "heap_used", "heap_free"))
        assert (one["replay"], one["fresh"], one["epochs"], one["classes"]) == (500, 100, 4, 10)
        settings = {name: one[name] for name in ("replay", "fresh", "classes", "train", "channels")}
        assert one["learner_bytes"] == bitreplay.Learner(net, **settings).memory()["total"] < one["heap_used"]
    layers = [k for k in result["kernels"] if "binary_macs" in k]
    counted = macs_of_layers(paths.model("backbone"))[:-1]  # those below the latent
    assert [(k["binary_macs"], k["padded_macs"]) for k in layers] == counted
    printed = capsys.readouterr().out
    assert "on this machine" in printed
    assert "16x16x64 to 8x8x128" in printed
    assert "sign-and-add us" in printed
    for kernel in result["kernels"]:
        assert f"{kernel['shape']}  " in printed


@pytest.mark.exhaustive
def test_learners_are_those_that_are_asked_for(bench, deep_model):
    asked = "--train", "all", "--channels", "0.25", "--replay", "40", "--fresh", "12"
    head, deep = bench("--model", str(deep_model), *asked)["taught"]
    assert (head["train"], deep["train"], deep["channels"]) == ("head", "all", 0.25)
    assert {(one["replay"], one["fresh"]) for one in (head, deep)} == {(40, 12)}
    (head,) = bench("--model", str(deep_model), "--train", "head")["taught"]
    # A latent has 64 bytes.
    assert (head["train"], head["replay"], head["fresh"]) == ("head", 500, 100)


def test_what_cannot_be_written_is_printed(micropython, capsys, monkeypatch, tmp_path):
    """A disk that is full, as an example."""

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    out = tmp_path / "bench.json"
    assert cli.main([*ARGUMENTS, "--micropython", str(micropython), "--out", str(out)]) == 2
    shown = capsys.readouterr()
    assert "inference: " in shown.out and "bench.json: No space left" in shown.err
    assert not list(tmp_path.iterdir())


def test_shapes_are_those_of_the_model(bench, small_model, deep_model):
    kernels = {(k["name"], k["shape"]): k for k in bench("--model", str(small_model))["kernels"]}
    assert ("conv2d", "8x8x3 to 4x4x32") in kernels
    assert ("bconv2d", "2x2x32 to 2x2x32, 1x1") in kernels
    # 3x3 over 4x4 pixels, 32 to 32 channels: of 12 taps of a row of windows, two are padding.
    layer = kernels["bconv2d", "4x4x32 to 4x4x32"]
    assert (layer["binary_macs"], layer["padded_macs"]) == (10 * 10 * 32 * 32, 12 * 12 * 32 * 32)
    result = bench("--model", str(deep_model))
    shapes = [
        "4x4x32 to 4x4x32, 3x3",
        "4x4x32 to 2x2x64, 1x1",
        "2x2x64 to 2x2x64, 1x1, 2 groups",
        "2x2x64 to 3x3x32, 2x2",
    ]
    assert [k["shape"] for k in result["kernels"] if k["name"] == "bconv2d_masks"] == shapes
    for kind in KINDS:
        assert [g["shape"] for g in result["gradients"] if (g["gradient"], g["q_b"]) == (kind, 4)] == shapes


def test_without_a_layer_that_can_be_trained_there_are_no_gradients(bench, tmp_path, capsys):
    """Also where there is one that no gradient reaches, through a max_pool."""
    bare, stopped = models.tiny(trainable=False), models.tiny()
    stopped.layers.insert(-2, {"op": "max_pool", "size": 1, "repeat": 1})
    for name, model in (("bare", bare), ("stopped", stopped)):
        result = bench("--model", models.save(tmp_path / f"{name}.safetensors", model))
        assert (result["gradients"], result["table_speedup"]) == ([], {})
        assert [one["train"] for one in result["taught"]] == ["head"]
        told = "No binary layer of this model can be trained: gradients are not timed.\ninference: "
        assert told in capsys.readouterr().out
        timed = {k["name"] for k in result["kernels"]}
        assert {"bconv2d", "bconv2d_sign", "head_update", "backbone"} <= timed
        assert ("bconv2d_dw" in timed) == (name == "stopped")


def test_signs_and_pools_of_the_backbone_are_seen(bench, tmp_path):
    """All shapes are those of the layers, whatever is between convolutions."""
    kernels = bench("--model", models.save(tmp_path / "mixed.safetensors", models.mixed()))["kernels"]
    layers = [(k["name"], k["shape"], k["padded_macs"]) for k in kernels if "binary_macs" in k]
    assert layers == [
        ("bconv2d", "16x16x64 to 16x16x96", 16 * 16 * 9 * 32 * 96),
        ("bconv2d_sign", "16x16x96 to 7x7x64", 7 * 7 * 9 * 96 * 64),
        ("bconv2d_sign", "7x7x64 to 8x8x32", 8 * 8 * 4 * 32 * 32),
        ("bconv2d_sign", "8x8x32 to 4x4x64", 4 * 4 * 32 * 64),
    ]
    assert [k["shape"] for k in kernels if k["name"] == "bconv2d_sign"] == [shape for _, shape, _ in layers[1:]]


@pytest.fixture
def lines():
    """What onboard/time_kernels.py could print: two layers, a kernel, the backbone, gradients."""
    layers = [
        {"kernel": "bconv2d", "shape": "first", "us": 100.0, "binary_macs": 64000, "padded_macs": 96000},
        {"kernel": "bconv2d", "shape": "second", "us": 60.0, "binary_macs": 32000, "padded_macs": 32000},
    ]
    other = {"kernel": "dense", "shape": "10", "us": 4.004}
    backbone = {"kernel": "backbone", "shape": "one image", "us": 2500.0}
    gradients = [
        {
            "gradient": kind,
            "shape": "it",
            "q_b": bits,
            "tables_us": each * bits,
            "sign_and_add_us": 90.0,
        }
        for kind, each in (("dW", 10.0), ("dX", 20.0))
        for bits in (2, 4, 8, 16)
    ]
    return [*layers, other, backbone, *gradients]


NET = types.SimpleNamespace(name="a model", digest="00ff")
SETTINGS = {"replay": 500, "fresh": 100, "classes": 10, "channels": 0.25}
TIMES = {"see_us": 4_000_000, "memory": {"total": 4321}, "after": {"used": 5000, "free": 700}}
TAUGHT = [
    {**TIMES, "settings": {**SETTINGS, "train": "head"}, "learn_us": 3_000_000, "minibatches": 75, "batch": 32},
    {**TIMES, "settings": {**SETTINGS, "train": 2}, "learn_us": 6_000_000, "minibatches": 300, "batch": 8},
]
OUTSIDE = [{**one, "outside": share} for one, share in zip(TAUGHT, (0.125, 0.0444), strict=True)]


def test_what_is_outside_kernels_is_told_of_a_board(lines):
    told = "outside kernels, of the time of epochs: 12.5 %, 4.4 %"
    assert told in module.describe(module.summary("a target", 125_000_000, NET, lines, OUTSIDE))
    assert "outside kernels" not in module.describe(module.summary("a target", None, NET, lines, TAUGHT))


def test_cycles_and_what_they_are_divided_by(lines):
    result = module.summary("a target", 125_000_000, NET, lines, TAUGHT)
    kernels = result["kernels"]
    assert [k["cycles"] for k in kernels] == [12500, 7500, 500, 312500]
    assert [k.get("cycles_per_32_macs") for k in kernels] == [6.25, 7.5, None, None]
    assert result["table_speedup"] == {
        "dW": {"2": 4.5, "4": 2.25, "8": 1.12},
        "dX": {"2": 2.25, "4": 1.12, "8": 0.56},
    }
    assert result["inference_ms"] == 2.5
    assert [(t["image_ms"], t["minibatch_ms"], t["class_s"]) for t in result["taught"]] == [(40, 40, 7), (40, 20, 10)]
    for one in result["taught"]:
        assert (one["heap_used"], one["heap_free"], one["learner_bytes"]) == (5000, 700, 4321)
    printed = module.describe(result)
    # 20000 cycles for 96000 MACs, or 128000.
    assert "backbone: 6.67 cycles per 32 MACs of 0.1 M executed, 5.00 of 0.1 M with padding" in printed
    assert "inference: 2.5 ms\n" in printed and "100 images, 500 replayed, 4 epochs:" in printed
    assert "all layers, 4 bits, tables against sign-and-add: dW 2.25, dX 1.12" in printed
    rows = [line.split() for line in printed.splitlines()]
    assert ["bconv2d", "first", "12500", "6.2"] in rows and ["dense", "10", "500"] in rows
    assert ["dW", "it", "4", "5000", "11250", "2.25"] in rows
    assert ["dX", "it", "16", "40000", "11250", "0.28"] in rows
    told = "head, binary layers: 2, 0.25 of the channels"
    assert [*told.split(), "8", "20.0", "40.0", "10.0", "4321", "5000", "700"] in rows


def test_misses_are_printed_where_they_were_counted(lines):
    assert "misses" not in module.describe(module.summary("a target", 125_000_000, NET, lines, TAUGHT))
    counted = [{**line, "misses": 7 + i} if "kernel" in line else line for i, line in enumerate(lines)]
    result = module.summary("a target", 125_000_000, NET, counted, TAUGHT)
    assert [kernel["misses"] for kernel in result["kernels"]] == [7, 8, 9, 10]
    printed = module.describe(result)
    rows = [line.split() for line in printed.splitlines()]
    assert ["bconv2d", "first", "12500", "6.2", "7"] in rows and ["dense", "10", "500", "9"] in rows
    assert "with padding; 15 misses\n" in printed


@pytest.mark.parametrize("board", [[], ["--board", "unix"], ["--board", "instructions"]])
def test_only_a_board_has_a_cache_to_count(board, capsys):
    assert cli.main(["bench", "--flash-cache", *board]) == 2
    assert capsys.readouterr().err == "bitreplay: --flash-cache counts on an RP2040: add --board emulated, or --port\n"


@pytest.mark.parametrize("clock", [None, 125_000_000])
def test_what_is_slower_is_printed_as_slower(lines, clock):
    def printed():
        return module.describe(module.summary("a target", clock, NET, lines, TAUGHT))

    def numbers(start):
        width = len(start.split())
        (row,) = [line.split() for line in printed().splitlines() if line.split()[:width] == start.split()]
        return [float(word) for word in row[width:]]

    before = {start: numbers(start) for start in ("bconv2d first", "bconv2d second", "dW it 4", "dX it 4")}
    lines[0]["us"] *= 3
    lines[5]["tables_us"] *= 2
    after = {start: numbers(start) for start in before}
    assert after["bconv2d second"] == before["bconv2d second"] and after["dX it 4"] == before["dX it 4"]
    assert after["bconv2d first"][0] == 3 * before["bconv2d first"][0]
    assert after["dW it 4"] == pytest.approx([2 * before["dW it 4"][0], before["dW it 4"][1], 1.125], abs=0.006)
    if clock:
        assert after["bconv2d first"][1] == pytest.approx(3 * before["bconv2d first"][1], abs=0.2)
        assert "backbone: 15.00 cycles" in printed()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--repeats", "0"], "--repeats"),
        (["--port", "x", "--board", "unix"], "--port and --board"),
        (["--model", "{}/plain.safetensors", "--train", "1"], "train: the model has 0 binary layers above its latent"),
        (["--train", "3"], "train: the model has 1 binary layers above its latent, got 3"),
        (["--replay", "0"], "replay: must be"),
        (["--micropython", "{}/none"], "make unix"),
        (["--out", "{}/plain.safetensors/x"], "plain.safetensors: no files can be made there"),
        (["--micropython", "/bin/true"], "/bin/true does not answer as MicroPython with BitReplay"),
    ],
)
def test_errors_are_one_line(tmp_path, capsys, arguments, message):
    models.tiny_model(tmp_path / "plain.safetensors", trainable=False)
    assert cli.main(["bench", *(a.format(tmp_path) for a in arguments)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error
