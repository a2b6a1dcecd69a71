"""`bitreplay demo` end to end, on a few test images: what it prints and writes is one and the same."""

import json
import subprocess
import sys

import bitreplay
import matplotlib.image
import pytest
from bitreplay_host import cli
from bitreplay_host.datasets import registry
from bitreplay_host.experiments.class_incremental import LEARNERS, TITLES
from synthetic_data import ROOT

TESTED = 20  # test images a class
KEYS = ["dataset", "experiences", "replay_bytes", "peak_heap_bytes", "digest", "final_accuracy", "curves", "memory"]


@pytest.mark.usefixtures("real_data", "micropython")
def test_demo(tmp_path):
    command = [sys.executable, "-m", "bitreplay_host.cli", "demo", "--test", str(TESTED), "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    summary = json.loads((tmp_path / "results.json").read_text())
    assert list(summary) == KEYS
    assert (summary["dataset"], summary["experiences"]) == ("cifar10", 9)
    check_accuracy(summary, done.stdout)
    check_memory(summary, done.stdout)
    check_state(summary, tmp_path / "learner.safetensors", done.stdout)
    picture = matplotlib.image.imread(tmp_path / "curves.png")
    assert picture.shape[1] > picture.shape[0] > 300 and picture.std() > 0.01
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.png", "learner.safetensors", "results.json"]


def check_accuracy(summary, shown):
    """Percentages of so many images, the last of them in the table; replay beats what has none."""
    curves, final = summary["curves"], summary["final_accuracy"]
    assert list(final) == list(curves) == LEARNERS
    for method, curve in curves.items():
        assert len(curve) == (1 if method == "joint" else 9) and final[method] == curve[-1]
        for classes, percent in zip([10] if method == "joint" else range(2, 11), curve, strict=True):
            right = percent / 100 * classes * TESTED
            assert 0 <= percent <= 100 and abs(right - round(right)) < 1e-6
        (line,) = [line for line in shown.splitlines() if line.startswith(TITLES[method] + "  ") and "." in line]
        assert line.split()[-1] == f"{final[method]:.1f}"
    assert min(final["replay_head"], final["replay_conv"]) > max(final["naive"], final["cwr"]), final
    assert final["joint"] > 40


def check_memory(summary, shown):
    """The formula is below what was measured, by Python's own objects; both are in the table."""
    memory = summary["memory"]
    assert list(memory) == [*LEARNERS, "board"]
    assert summary["replay_bytes"] == memory["replay_conv"]["formula"]["replay"] == 1000 * (128 + 1)
    for title, one in zip([*(TITLES[method] for method in LEARNERS), "on a board*"], memory.values(), strict=True):
        formula, measured = one["formula"], one["measured"]["peak"] - one["measured"]["file"]
        assert formula["total"] == sum(value for part, value in formula.items() if part != "total")
        assert 0 < measured - formula["total"] < 40_000
        assert any(line.split()[-2:] == [str(formula["total"]), str(measured)] for line in shown.splitlines()
                   if line.startswith(title + "  "))  # fmt: skip
    ours = memory["replay_conv"]["measured"]
    assert summary["peak_heap_bytes"] == ours["peak"] - ours["file"]
    # A Pico has 264 KB, of which MicroPython leaves some 190.
    assert memory["board"]["formula"]["total"] < 190_000


def check_state(summary, path, shown):
    """The learner that was saved is the one that was reported, to the bit; it has all classes and a full memory."""
    me = bitreplay.Learner.load(bitreplay.load(ROOT / "models" / "backbone.safetensors"), path)
    assert me.digest() == summary["digest"] and summary["digest"][:16] in shown
    assert sorted(me.labels) == sorted(registry.class_names("cifar10"))
    assert (me.replay.n, me.experiences, me.fresh.n) == (1000, 9, 0)
    assert list(me.replay.counts(10)) == [100] * 10


@pytest.mark.usefixtures("real_data")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "nowhere.safetensors"], "nowhere.safetensors: No such file"),
        (["--test", "-1"], "--test must"),
        (["--test", "many"], "invalid int value"),
    ],
)
def test_a_mistake_is_one_line(arguments, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    try:
        status = cli.main(["demo", "--out", str(tmp_path / "out"), *arguments])
    except SystemExit as end:
        status = end.code
    error = capsys.readouterr().err
    assert status == 2 and error.count("\n") == 1 and message in error
