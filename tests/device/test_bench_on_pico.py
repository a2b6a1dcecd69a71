"""bitreplay bench on the emulated Pico, with a small model: its cycles are those that the code takes."""

import json

import pytest
from bitreplay_host import cli, reference
from bitreplay_host.device.board import Board
from bitreplay_host.device.connect import with_model

import models

SOUND = {"logmel", "logmel_image"}  # docs/sensors.md has their times
TICK = 125  # cycles of the microsecond that the clock counts
ROUNDS = {"avg_pool": 100_000, "max_pool": 200_000}
# Kernels that take as long as is known, and one that takes three times as long as it should.
SYNTHETIC = """
import _bitreplay, sys
class Synthetic: pass
for name in dir(_bitreplay):
    if name[0] != "_": setattr(Synthetic, name, getattr(_bitreplay, name))
@micropython.asm_thumb
def loop(r0):
    label(AGAIN)
    sub(r0, r0, 1)
    bne(AGAIN)
def head_update(*arguments):
    for _ in range(3): _bitreplay.head_update(*arguments)
Synthetic.avg_pool = lambda shape, x, y: loop(AVG)
Synthetic.max_pool = lambda shape, x, y: loop(MAX)
Synthetic.head_update = head_update
sys.modules["_bitreplay"] = Synthetic
""".replace("AVG", str(ROUNDS["avg_pool"])).replace("MAX", str(ROUNDS["max_pool"]))


def test_bench_counts_cycles(tmp_path, capsys):
    out = tmp_path / "rp2040.json"
    model = models.tiny_model(tmp_path / "tiny.safetensors")
    assert cli.main(["bench", "--board", "emulated", "--model", model, "--out", str(out)]) == 0, (
        capsys.readouterr().err
    )
    result = json.loads(out.read_text())
    assert result["clock_hz"] == 125_000_000
    assert {kernel["name"] for kernel in result["kernels"]} == {*reference.KERNELS, "backbone", "layers above"} - SOUND
    for kernel in result["kernels"]:
        assert kernel["cycles"] == round(kernel["us"] * 125)
        if "binary_macs" in kernel:
            assert kernel["cycles_per_32_macs"] == round(kernel["cycles"] * 32 / kernel["binary_macs"], 2)
    assert sum("binary_macs" in kernel for kernel in result["kernels"]) == 1
    assert {kind: set(ratios) for kind, ratios in result["table_speedup"].items()} == {
        "dW": {"2", "4", "8"},
        "dX": {"2", "4", "8"},
    }
    assert [one["train"] for one in result["taught"]] == ["head", 1]
    for one in result["taught"]:
        assert one["heap_used"] + one["heap_free"] > 200_000
        assert 0 < result["inference_ms"] < one["image_ms"] < one["class_s"] * 1e3
    assert "not modelled" in capsys.readouterr().out


@pytest.fixture
def times(pico, small_model):
    """A function: runs the kernels on the Pico, after some code; returns cycles by name, and gradients."""

    def run(code=""):
        with Board(pico.port) as board:
            board.exec(code)
            configuration = {"model": with_model(board, small_model), "repeats": 1, "cache": False}
            lines = list(board.run("time_kernels.py", configuration))
        kernels = [line for line in lines if "kernel" in line]
        cycles = {f"{line['kernel']} {line['shape']}": line["us"] * TICK for line in kernels}
        return cycles, [line for line in lines if "q_b" in line]

    return run


def test_cycles_are_exact(times):
    """The same code takes the same, a loop of three cycles three a round, and three times the work thrice as long."""
    first, gradients = times()
    again, _ = times()
    # These two run more of MicroPython than a call.
    interpreted = {name for name in first if name.startswith(("backbone", "layers above"))}
    for name, cycles in first.items():
        assert again[name] == pytest.approx(cycles, abs=40 * TICK if name in interpreted else 2 * TICK), name
    made, _ = times(SYNTHETIC)
    pools = {name.split()[0]: cycles for name, cycles in made.items() if name.split()[0] in ROUNDS}
    calls = {name: cycles - 3 * ROUNDS[name] for name, cycles in pools.items()}
    assert calls["avg_pool"] == pytest.approx(calls["max_pool"], abs=2 * TICK)
    assert 0 < calls["avg_pool"] < 20_000
    for name in made:
        if name.startswith("head_update"):
            assert made[name] == pytest.approx(3 * first[name], abs=30_000) and first[name] > 25_000
    others = {name for name in first if name.split()[0] not in (*ROUNDS, "head_update")}
    whole = {name for name in others if name.startswith(("backbone", "layers above"))}  # which pool
    for name in others - whole:
        assert made[name] == pytest.approx(first[name], rel=0.01, abs=3000), name
    backbone = [name for name in whole if name.startswith("backbone")]
    assert backbone and all(made[name] > first[name] + 3 * ROUNDS["avg_pool"] // 2 for name in backbone)
    check_gradients(gradients)


def check_gradients(gradients):
    """Tables are faster, in pairs or not; what sign-and-add costs is the same for any number of bits."""
    for kind in "dW", "dX":
        lines = [g for g in gradients if g["gradient"] == kind]
        tables, signs = ({g["q_b"]: g[f"{name}_us"] for g in lines} for name in ("tables", "sign_and_add"))
        # What MicroPython takes around the calls differs by some 30 us, whatever their number.
        assert tables[2] == pytest.approx(tables[4], rel=0.06, abs=50) and tables[4] < tables[16] < signs[16]
        assert min(signs.values()) == pytest.approx(max(signs.values()), rel=0.06)
