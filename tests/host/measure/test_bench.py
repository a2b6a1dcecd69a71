"""bitreplay bench runs and writes what it prints, and reckons right; how fast this machine is, is no test."""

import json

import bitreplay
import pytest
from bitreplay_host import cli, paths, reference
from bitreplay_host.measure import bench as module
from bitreplay_host.models import graph
from synthetic_data import macs_of_layers, models

ARGUMENTS = "bench", "--repeats", "2"


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
    assert [g["q_b"] for g in result["gradients"]] == [2, 4, 8, 16]
    for gradient in result["gradients"]:
        ratio = gradient["sign_and_add_us"] / gradient["bit_serial_us"]
        assert result["bit_serial_speedup"].get(str(gradient["q_b"]), round(ratio, 2)) == round(ratio, 2)
    assert {k["name"] for k in result["kernels"]} == {*reference.KERNELS, "backbone", "trained layer"}
    assert all(k["us"] > 0 for k in result["kernels"])
    for name in ("inference_ms", "train_sample_ms", "teach_class_s", "heap_used", "heap_free"):
        assert result[name] > 0
    assert result["learner_bytes"] < result["heap_used"]
    assert result["learner_bytes"] == learner_bytes(paths.model("backbone"))
    layers = [k for k in result["kernels"] if "binary_macs" in k]
    counted = macs_of_layers(graph(paths.model("backbone")), (32, 32, 3))[:-1]  # the trained layer has its own line
    assert [(k["binary_macs"], k["padded_macs"]) for k in layers] == counted
    printed = capsys.readouterr().out
    assert "on this machine" in printed
    assert "16x16x64 to 8x8x128" in printed
    assert "sign-and-add us" in printed
    for kernel in result["kernels"]:
        assert f"{kernel['shape']}  " in printed


def test_what_cannot_be_written_is_printed(micropython, capsys):
    """A disk that is full, as an example."""
    assert cli.main([*ARGUMENTS, "--micropython", str(micropython), "--out", "/dev/full"]) == 2
    shown = capsys.readouterr()
    assert "inference: " in shown.out and "No space left" in shown.err


def learner_bytes(model):
    """What the learner that is timed takes, by the formula, here."""
    settings = {name: value for name, value in module.TEACH.items() if name != "epochs"}
    return bitreplay.Learner(bitreplay.load(model), **settings).memory()["total"]


def test_shapes_are_those_of_the_model(bench, small_model):
    kernels = {(k["name"], k["shape"]): k for k in bench("--model", str(small_model))["kernels"]}
    assert ("conv2d", "8x8x3 to 4x4x32") in kernels
    assert ("bconv2d", "2x2x32, 1x1, 1 groups") in kernels
    # 3x3 over 4x4 pixels, 32 to 32 channels: of 12 taps of a row of windows, two are padding.
    layer = kernels["bconv2d", "4x4x32 to 4x4x32"]
    assert (layer["binary_macs"], layer["padded_macs"]) == (10 * 10 * 32 * 32, 12 * 12 * 32 * 32)


@pytest.fixture
def lines():
    """What onboard/time_kernels.py could print: two layers, a kernel, the backbone, gradients."""
    layers = [
        {"kernel": "bconv2d", "shape": "first", "us": 100.0, "binary_macs": 64000, "padded_macs": 96000},
        {"kernel": "bconv2d", "shape": "second", "us": 60.0, "binary_macs": 32000, "padded_macs": 32000},
    ]
    other = {"kernel": "dense", "shape": "10", "us": 4.004}
    backbone = {"kernel": "backbone", "shape": "one image", "us": 2500.0}
    gradients = [{"q_b": bits, "bit_serial_us": 10.0 * bits, "sign_and_add_us": 90.0} for bits in (2, 4, 8, 16)]
    return [*layers, other, backbone, *gradients]


TAUGHT = {
    "see_us": 4_000_000,
    "learn_us": 6_000_000,
    "samples": 2400,
    "memory": {"total": 4321},
    "after": {"used": 5000, "free": 700},
}


def test_cycles_and_what_they_are_divided_by(lines):
    result = module.summary("a target", 125_000_000, lines, TAUGHT)
    kernels = result["kernels"]
    assert [k["cycles"] for k in kernels] == [12500, 7500, 500, 312500]
    assert [k.get("cycles_per_32_macs") for k in kernels] == [6.25, 7.5, None, None]
    assert result["bit_serial_speedup"] == {"2": 4.5, "4": 2.25, "8": 1.12}
    assert (result["inference_ms"], result["train_sample_ms"], result["teach_class_s"]) == (2.5, 2.5, 10.0)
    assert (result["heap_used"], result["heap_free"], result["learner_bytes"]) == (5000, 700, 4321)
    printed = module.describe(result)
    # 20000 cycles for 96000 MACs, or 128000.
    assert "convolutions: 6.67 cycles per 32 MACs of 0.1 M executed, 5.00 of 0.1 M with padding" in printed
    assert "inference: 2.5 ms; a sample learned once: 2.50 ms" in printed and "4 epochs: 10.0 s" in printed
    rows = [line.split() for line in printed.splitlines()]
    assert ["bconv2d", "first", "12500", "6.2"] in rows and ["dense", "10", "500"] in rows
    assert ["4", "bits", "5000", "11250", "2.25"] in rows and ["16", "bits", "20000", "11250", "0.56"] in rows


@pytest.mark.parametrize("clock", [None, 125_000_000])
def test_what_is_slower_is_printed_as_slower(lines, clock):
    def printed():
        return module.describe(module.summary("a target", clock, lines, TAUGHT))

    def numbers(start):
        (row,) = [line.split() for line in printed().splitlines() if line.split()[:2] == start.split()]
        return [float(word) for word in row[2:]]

    before = {start: numbers(start) for start in ("bconv2d first", "bconv2d second", "4 bits")}
    lines[0]["us"] *= 3
    lines[5]["bit_serial_us"] *= 2
    after = {start: numbers(start) for start in before}
    assert after["bconv2d second"] == before["bconv2d second"]
    assert after["bconv2d first"][0] == 3 * before["bconv2d first"][0]
    assert after["4 bits"] == pytest.approx([2 * before["4 bits"][0], before["4 bits"][1], 1.125], abs=0.006)
    if clock:
        assert after["bconv2d first"][1] == pytest.approx(3 * before["bconv2d first"][1], abs=0.2)
        assert "all binary convolutions: 15.00 cycles" in printed()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--repeats", "0"], "--repeats"),
        (["--port", "x", "--board", "unix"], "--port and --board"),
        (["--model", "{}/plain.safetensors"], "plain.safetensors has no trainable layer"),
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
