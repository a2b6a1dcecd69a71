"""`bitreplay demo` end to end, on a few test images: what it prints and writes is one and the same."""

import json
import subprocess
import sys

import bitreplay
import matplotlib.image
import pytest
from bitreplay_host import cli
from bitreplay_host.datasets import registry
from bitreplay_host.experiments.class_incremental import TITLES
from synthetic_data import ROOT

TESTED = 10  # test images a class
METHODS = ["naive", "cwr", "replay_head", "replay_deep", "joint"]
CLASSES = {"cifar10": range(2, 11), "quickdraw": range(10, 41, 10)}


@pytest.mark.exhaustive
@pytest.mark.usefixtures("real_data", "micropython")
def test_demo(tmp_path):
    command = [sys.executable, "-m", "bitreplay_host.cli", "demo", "--test", str(TESTED), "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    summary = json.loads((tmp_path / "results.json").read_text())
    assert list(summary) == ["worlds", "memory"] and list(summary["worlds"]) == list(CLASSES)
    for name, world in summary["worlds"].items():
        check_accuracy(world, list(CLASSES[name]), done.stdout)
        picture = matplotlib.image.imread(tmp_path / f"{name}.png")
        assert picture.shape[1] > picture.shape[0] > 300 and picture.std() > 0.01
    final = {name: world["final_accuracy"] for name, world in summary["worlds"].items()}
    assert final["cifar10"]["replay_head"] > max(final["cifar10"]["naive"], final["cifar10"]["cwr"]), final
    # Far from the pretraining's world depth pays, and near it it does not.
    assert final["quickdraw"]["replay_deep"] > final["quickdraw"]["replay_head"], final
    assert final["cifar10"]["replay_deep"] < final["cifar10"]["replay_head"], final
    check_memory(summary["memory"], done.stdout)
    check_state(summary["worlds"]["quickdraw"]["digests"]["replay_deep"], tmp_path, done.stdout)
    names = ["cifar10.png", "learner.safetensors", "quickdraw.png", "results.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def check_accuracy(world, seen, shown):
    """Percentages of so many images, the last of them in the table."""
    curves, final = world["curves"], world["final_accuracy"]
    assert list(final) == list(curves) == METHODS
    lines = shown.splitlines()
    for method, curve in curves.items():
        classes = seen[-1:] if method == "joint" else seen
        assert len(curve) == len(classes) and final[method] == curve[-1]
        for count, percent in zip(classes, curve, strict=True):
            right = percent / 100 * count * TESTED
            assert 0 <= percent <= 100 and abs(right - round(right)) < 1e-6
        told = [line.split()[-1] for line in lines if line.startswith(TITLES[method] + "  ") and "." in line]
        assert f"{final[method]:.1f}" in told
    assert final["joint"] > 20


def check_memory(memory, shown):
    """The formula is below what was measured, by Python's own objects; both are in the table."""
    assert sorted(memory) == sorted([*METHODS, "board"])
    for method, one in memory.items():
        formula, measured = one["formula"], one["measured"]["peak"] - one["measured"]["file"]
        assert formula["total"] == sum(value for part, value in formula.items() if part != "total")
        assert 0 < measured - formula["total"] < 60_000
        title = "on a board*" if method == "board" else TITLES[method]
        assert any(line.split()[-2:] == [str(formula["total"]), str(measured)] for line in shown.splitlines()
                   if line.startswith(title + "  "))  # fmt: skip
    replay = [memory[method]["formula"]["replay"] for method in ("replay_head", "replay_deep")]
    assert replay == [1000 * (128 + 1), 251 * (512 + 1)]
    # A Pico has 264 KB, of which MicroPython leaves some 190.
    assert memory["board"]["formula"]["total"] < 190_000


def check_state(digest, folder, shown):
    """The learner that was saved is the one that was reported, to the bit; it has all classes and a full memory."""
    net = bitreplay.load(ROOT / "models" / "backbone_4x4.safetensors")
    me = bitreplay.Learner.load(net, folder / "learner.safetensors")
    assert me.digest() == digest and digest[:16] in shown
    assert sorted(me.labels) == sorted(registry.class_names("quickdraw"))
    assert (me.replay.n, me.experiences, me.fresh.n, me.config["train"]) == (251, 4, 0, 3)


@pytest.mark.usefixtures("real_data")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
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
