"""bitreplay plan: its bytes are the learner's, its times follow the work, and what it recommends fits."""

import dataclasses
import json
from pathlib import Path

import bitreplay
import numpy as np
import pytest
from bitreplay import budget, trainer
from bitreplay_host import cli, models, paths
from bitreplay_host.measure import instructions, plan
from synthetic_data import models as synthetic

SETTINGS = {"replay": 60, "fresh": 20, "classes": 5}
EPOCHS = 3


@pytest.fixture
def net(deep_model):
    return bitreplay.load(deep_model)


@pytest.fixture
def choices(net, deep_model):
    """A function: the choices on a board."""

    def find(board=plan.BOARDS["RPI_PICO"], **changes):
        return plan.choices(net, models.backbone(deep_model), board, SETTINGS | changes, EPOCHS)

    return find


def test_bytes_are_those_of_the_learner(net, choices):
    found = choices()
    assert [(c.train, c.channels) for c in found] == [(0, 1), *((n, s) for n in (1, 2, 3, 4) for s in budget.SHARES)]
    for c in found:
        me = bitreplay.Learner(net, train=c.train, channels=c.channels, **SETTINGS)
        assert c.total == me.memory()["total"]
        assert c.block == max(me.buffers().values())


def test_what_fits_is_told_by_the_byte(choices):
    board = plan.BOARDS["RPI_PICO"]
    wanted = choices(board)[5]
    used = board.heap - wanted.free

    def on(heap, block=wanted.block):
        return choices(dataclasses.replace(board, heap=heap, block=block))[5]

    assert on(used).fits and not on(used).roomy
    assert not on(used - 1).fits
    assert on(used + plan.SPARE).roomy and not on(used + plan.SPARE - 1).roomy
    assert not on(board.heap, wanted.block - 1).fits


def test_more_work_takes_longer(choices):
    found = {(c.train, c.channels): c for c in choices()}
    for train in 1, 2, 3, 4:
        times = [found[train, share].minibatch for share in budget.SHARES]
        assert times == sorted(times, reverse=True) and len(set(times)) == len(times)
    assert found[0, 1].minibatch / 32 < found[1, 1].minibatch / 8 < found[2, 1].minibatch / 8
    assert found[3, 1].minibatch < found[4, 1].minibatch
    # 240 samples of a class, in minibatches of 8.
    for c in found.values():
        batches = 8 if c.train == 0 else 30
        assert c.seconds > batches * c.minibatch


def test_times_follow_the_clock(choices):
    board = plan.BOARDS["RPI_PICO"]
    twice = choices(dataclasses.replace(board, clock=2 * board.clock))
    for one, other in zip(choices(board), twice, strict=True):
        assert other.seconds == pytest.approx(one.seconds / 2) and other.minibatch == pytest.approx(one.minibatch / 2)


def test_signs_and_pools_of_the_backbone_take_time(tmp_path):
    """Each layer of the backbone counts, at its own shape: 32x32 pixels, then 16x16, 7x7, 8x8, 4x4."""
    found = models.backbone(path := Path(synthetic.save(tmp_path / "mixed.safetensors", synthetic.mixed())))
    ops = ["conv2d", "max_pool", "binarize", "bconv2d", "binarize", *3 * ["bconv2d_sign"]]
    assert [layer.op for layer in found] == ops
    signs = [(7 * 7 * 64, 7 * 7 * 9 * 96 * 64), (8 * 8 * 32, 7 * 7 * 4 * 32 * 32), (4 * 4 * 64, 4 * 4 * 32 * 64)]
    for layer, (outputs, macs) in zip(found[5:], signs, strict=True):
        assert plan.forward(layer) == plan.OUTPUT * outputs + plan.WORD * macs / 32
    assert plan.forward(found[1]) == plan.POOL * 32 * 32 * 32
    assert plan.forward(found[4]) == plan.BINARIZE * 16 * 16 * 96
    first = plan.INT8_MAC * instructions.executed_macs(tuple(found[0].geometry))
    assert plan.image_cycles(found) == first + sum(map(plan.forward, found[1:]))
    net = models.load(path)
    image = plan.image_cycles(found) / plan.BOARDS["RPI_PICO"].clock
    for c in plan.choices(net, found, plan.BOARDS["RPI_PICO"], SETTINGS, EPOCHS):
        assert c.seconds > SETTINGS["fresh"] * image


def test_what_was_measured_is_taken(net, choices, monkeypatch):
    times = {"image_ms": 500.0, "minibatch_ms": 40.0}
    deep = {"train": "all", "batch": 8, **times}
    taught = [{"train": "head", "channels": 1.0, "batch": 32, **times}, {"channels": 0.25, **deep}]
    taught.append({"channels": 0.5, **deep, "batch": 4})  # of another version
    result = {"model": {"sha256": net.digest}, "taught": taught, "clock_hz": 125_000_000}
    other = {"model": {"sha256": "0"}, "taught": [{"channels": 1.0, **deep}], "clock_hz": 125_000_000}
    monkeypatch.setattr(plan, "results", lambda: [other, result])
    known = {(c.train, c.channels): c for c in choices() if c.measured}
    assert set(known) == {(0, 1), (4, 0.25)}
    assert known[0, 1].seconds == pytest.approx(20 * 0.5 + 3 * 3 * 0.04)
    assert known[4, 0.25].seconds == pytest.approx(20 * 0.5 + 3 * 10 * 0.04)
    assert [c.seconds for c in choices(plan.BOARDS["RPI_PICO2"]) if c.measured] == pytest.approx(
        [c.seconds * 125 / 150 for c in known.values()]
    )


def test_what_is_measured_is_near_the_formula(monkeypatch):
    """Files of docs/measured of shipped models."""
    results = list(plan.results())
    monkeypatch.setattr(plan, "results", lambda: [])
    for result in results:
        path = paths.model(result["model"]["name"])
        net, backbone = models.load(path), models.backbone(path)
        if net.digest != result["model"]["sha256"]:
            continue
        for one in result["taught"]:
            settings = {name: one[name] for name in SETTINGS}
            train = {"head": 0, "all": trainer.most(net)}.get(one["train"], one["train"])
            settings |= {"train": train, "channels": one["channels"]}
            found = plan.choice(net, backbone, plan.BOARDS["RPI_PICO"], settings, one["epochs"])
            assert found.seconds == pytest.approx(one["class_s"], rel=0.3)


@pytest.mark.qemu
def test_the_formulas_are_near_what_is_executed(net, tmp_path):
    """Instructions of a Cortex-M0, and the cycles of each."""
    program = instructions.Program("armv6m", tmp_path)
    layers = {instructions.describe_geometry(tuple(la.geometry)): la for la in net.above if la.op == "bconv2d"}
    checked = set()
    for case in instructions.others(net, np.random.default_rng(1)):
        text = case.shape.partition(", minibatch")[0].removesuffix(", 4 bits")
        if case.kernel == "bconv2d_dx":
            formula = plan.dx_cycles(layers[text], 4)
        elif case.kernel == "bconv2d_dw":
            config = {"train": 4, "channels": instructions.CHANNELS / layers[text].geometry[3]}
            (part,) = [p for p in trainer.parts(net, config, 8) if p.layer is layers[text]]
            formula = plan.dw_cycles(part, 4)
        else:
            continue
        checked.add(case.kernel)
        executed = plan.CYCLES_PER_INSTRUCTION * instructions.count(program, case)
        assert formula == pytest.approx(executed, rel=0.35), case.shape
    assert checked == {"bconv2d_dx", "bconv2d_dw"}


def made(train, channels, free=100_000, seconds=10.0):
    return plan.Choice(train, channels, 1, 1, free, free >= 0, 1.0, seconds, False)


def test_the_deepest_that_fits_is_recommended():
    head, low, quarter, deep, deepest = made(0, 1), made(1, 1), made(2, 0.25), made(3, 0.125), made(3, 1, free=-1)
    assert plan.recommend([head, low, quarter, deep, deepest]) is quarter
    assert plan.recommend([head, low, made(2, 0.25, free=plan.SPARE - 1)]) is low
    assert plan.recommend([head, deep, deepest]) is deep
    assert plan.recommend([head, made(2, 0.5, seconds=50), low], 20) is low
    assert plan.recommend([made(0, 1), made(1, 0.5), made(1, 1)]).channels == 1
    assert plan.recommend([deepest]) is None


def test_a_result_replaces_nothing_but_a_result(tmp_path, capsys):
    out = tmp_path / "plan.json"
    line = ["plan", "small", "--out", str(out)]
    assert cli.main(line) == cli.main(line) == 0
    for content in (b"thesis", b"\xff\0"):
        out.write_bytes(content)
        assert cli.main(line) == 2 and out.read_bytes() == content
        assert "plan.json is there already, and no result of a command" in capsys.readouterr().err
    assert cli.main([*line[:-1], str(tmp_path / ("x" * 250))]) == 2
    assert "a file's name can have 200 bytes" in capsys.readouterr().err


def test_it_prints_and_writes_what_it_found(tmp_path, capsys):
    out = tmp_path / "plan.json"
    assert cli.main(["plan", "small", "--board", "RPI_PICO2", "--replay", "100", "--out", str(out)]) == 0
    printed, result = capsys.readouterr().out, json.loads(out.read_text())
    assert "small on Raspberry Pi Pico 2 (RPI_PICO2): 483808 bytes of heap" in printed
    assert "100 latents of 64 bytes to replay, 100 fresh ones, 10 classes, 4 epochs" in printed
    assert "scaled by the clock: an estimate" in printed
    assert "the most that fits: bitreplay.Learner(net, replay=100, fresh=100, classes=10, train=1)" in printed
    rows = [line.split() for line in printed.splitlines()]
    for c in result["choices"]:
        share = [f"{c['channels']:g}"] if c["train"] != "head" else []
        assert [str(c["train"]), *share, str(c["total"])] in [row[: 2 + len(share)] for row in rows]
    assert result["choices"][result["recommended"]]["train"] == 1
    assert result["settings"] == {"replay": 100, "fresh": 100, "classes": 10, "epochs": 4}


def test_what_fits_nowhere_is_told(capsys):
    assert cli.main(["plan", "backbone", "--board", "ESP32", "--replay", "30000"]) == 0
    assert "Nothing of this fits: make --replay or --fresh smaller" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--replay", "-1"], "replay: must be"),
        (["--fresh", "0"], "fresh: must be"),
        (["--classes", "1"], "classes: must be"),
        (["--epochs", "0"], "epochs: must be an integer, 1..1000000, got 0"),
        (["--epochs", "1" + 400 * "0"], "epochs: must be an integer, 1..1000000"),
        (["--seconds", "0"], "--seconds must be more than 0"),
        (["nowhere"], "nowhere: No such file"),
    ],
)
def test_errors_are_one_line(capsys, arguments, message):
    assert cli.main(["plan", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and message in error
