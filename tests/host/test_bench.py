"""bitreplay bench runs and writes what it prints; how fast it is, is no test."""

import json

from bitreplay_host import cli


def test_bench_writes_times_and_ratios(tmp_path, capsys):
    out = tmp_path / "bench" / "unix.json"
    assert cli.main(["bench", "--repeats", "2", "--out", str(out)]) == 0
    result = json.loads(out.read_text())
    assert [g["q_b"] for g in result["gradients"]] == [2, 4, 8, 16]
    for gradient in result["gradients"]:
        assert gradient["speedup"] == gradient["sign_and_add_us"] / gradient["bit_serial_us"]
    kernels = {k["kernel"] for k in result["kernels"]}
    assert kernels == {"conv2d", "bconv2d", "backbone", "trained layer", "learn"}
    assert all(k["us"] > 0 for k in result["kernels"])
    printed = capsys.readouterr().out
    assert "16x16x64 to 8x8x128" in printed
    assert "sign-and-add us" in printed
