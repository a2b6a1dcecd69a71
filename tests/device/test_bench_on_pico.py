"""bitreplay bench on the emulated Pico, with a small model; how fast it is, is no test."""

import json

from bitreplay_host import cli, reference

import models


def test_bench_counts_cycles(tmp_path, capsys):
    out = tmp_path / "rp2040.json"
    model = models.tiny_model(tmp_path / "tiny.safetensors")
    assert cli.main(["bench", "--board", "emulated", "--model", model, "--out", str(out)]) == 0, (
        capsys.readouterr().err
    )
    result = json.loads(out.read_text())
    assert result["clock_hz"] == 125_000_000
    assert {kernel["name"] for kernel in result["kernels"]} == {*reference.KERNELS, "backbone", "trained layer"}
    for kernel in result["kernels"]:
        assert kernel["cycles"] == round(kernel["us"] * 125)
        if "binary_macs" in kernel:
            assert kernel["cycles_per_32_macs"] == round(kernel["cycles"] * 32 / kernel["binary_macs"], 2)
    assert sum("binary_macs" in kernel for kernel in result["kernels"]) == 1
    assert set(result["bit_serial_speedup"]) == {"2", "4", "8"}
    assert result["heap_used"] + result["heap_free"] > 200_000
    assert 0 < result["inference_ms"] < result["teach_class_s"] * 1e3
    assert "not modelled" in capsys.readouterr().out
