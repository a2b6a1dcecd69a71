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
    assert result["target"] == "unix port" and result["repeats"] == 2 and result["machine"]
    assert [g["q_b"] for g in result["gradients"]] == [2, 4, 8, 16]
    for gradient in result["gradients"]:
        assert gradient["speedup"] == gradient["sign_and_add_us"] / gradient["bit_serial_us"]
    kernels = {k["kernel"] for k in result["kernels"]}
    assert kernels == {*reference.__all__, "backbone", "trained layer", "learn"}
    assert all(k["us"] > 0 for k in result["kernels"])
    printed = capsys.readouterr().out
    assert "on this machine" in printed
    assert "16x16x64 to 8x8x128" in printed
    assert "sign-and-add us" in printed
    for kernel in result["kernels"]:
        assert f"{kernel['shape']}  " in printed


def test_shapes_are_those_of_the_model(bench, small_model):
    shapes = {(k["kernel"], k["shape"]) for k in bench("--model", str(small_model))["kernels"]}
    assert ("conv2d", "8x8x3 to 4x4x32") in shapes
    assert ("bconv2d", "2x2x32, 1x1, 1 groups") in shapes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--repeats", "0"], "--repeats"),
        (["--model", "{}/plain.safetensors"], "plain.safetensors has no trainable layer"),
        (["--micropython", "{}/none"], "make unix"),
    ],
)
def test_errors_are_one_line(tmp_path, capsys, arguments, message):
    models.tiny_model(tmp_path / "plain.safetensors", tail=False)
    assert cli.main(["bench", *(a.format(tmp_path) for a in arguments)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error
