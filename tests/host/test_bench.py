"""bitreplay bench runs and writes what it prints; how fast it is, is no test."""

import json

import pytest
from bitreplay_host import cli, reference
from made_data import models

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
    printed = capsys.readouterr().out
    assert "on this machine" in printed
    assert "16x16x64 to 8x8x128" in printed
    assert "sign-and-add us" in printed
    for kernel in result["kernels"]:
        assert f"{kernel['shape']}  " in printed


def test_shapes_are_those_of_the_model(bench, small_model):
    kernels = {(k["name"], k["shape"]): k for k in bench("--model", str(small_model))["kernels"]}
    assert ("conv2d", "8x8x3 to 4x4x32") in kernels
    assert ("bconv2d", "2x2x32, 1x1, 1 groups") in kernels
    # 3x3 over 4x4 pixels, 32 to 32 channels: of 12 taps of a row of windows, two are padding.
    layer = kernels["bconv2d", "4x4x32 to 4x4x32"]
    assert (layer["binary_macs"], layer["padded_macs"]) == (10 * 10 * 32 * 32, 12 * 12 * 32 * 32)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--repeats", "0"], "--repeats"),
        (["--port", "x", "--board", "unix"], "--port and --board"),
        (["--model", "{}/plain.safetensors"], "plain.safetensors has no trainable layer"),
        (["--micropython", "{}/none"], "make unix"),
    ],
)
def test_errors_are_one_line(tmp_path, capsys, arguments, message):
    models.tiny_model(tmp_path / "plain.safetensors", trainable=False)
    assert cli.main(["bench", *(a.format(tmp_path) for a in arguments)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error
