"""bitreplay bench --board instructions: kernels under QEMU, whose instructions are counted."""

import dataclasses
import json
import re

import numpy as np
import pytest
from bitreplay_host import cli, models, paths
from bitreplay_host.errors import UserError
from bitreplay_host.measure import instructions
from synthetic_data import ROOT, macs_of_layers
from synthetic_data import models as synthetic

pytestmark = pytest.mark.qemu

ARCHITECTURES = "armv6m", "armv7emsp", "rv32imc", "rv32imc-zbb", "xtensawin"


@pytest.fixture(autouse=True)
def root(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.fixture(params=ARCHITECTURES)
def program(request, tmp_path):
    return instructions.Program(request.param, tmp_path)


@pytest.fixture
def layer(small_model):
    """A binary convolution of the small model."""
    cases = instructions.convolutions(models.backbone(small_model), np.random.default_rng(2))
    return next(case for case in cases if case.kernel == "bconv2d")


def test_code_without_branches_is_counted_to_the_instruction(program):
    listing = instructions.run(program.architecture.tools + "objdump", "-d", "--disassemble=br_draw", program.elf)
    code = listing.partition("<br_draw>:")[2]
    code = code[: re.search(r"\b(ret|retw(\.n)?|bx\s+lr)\b.*", code).end()]
    state = np.array([1], np.uint32)
    executed = program.count(instructions.Case("draw", "", (), (state,)))
    assert executed == len(re.findall(r"^\s+[0-9a-f]+:", code, re.MULTILINE)) > 5
    assert state[0] == 270369  # the first draw of xorshift32 from 1


def test_counts_repeat(program, layer):
    first = instructions.count(program, layer)
    assert first == instructions.count(program, layer) > 0


def test_more_work_is_more_instructions(program):
    """The classes of a dense layer are alike: each takes as many as the next, and those of its features at least."""
    counts = []
    for classes in 1, 2, 3, 7:
        features, weight = np.arange(64, dtype=np.int8), np.arange(64 * classes).astype(np.int8)
        shift, score = np.full(classes, -3, np.int8), np.zeros(classes, np.int32)
        reference = features, weight, shift, score
        case = instructions.Case("dense", "", reference, (features, weight, shift, 64, classes, score))
        counts.append(instructions.count(program, case))
    each = counts[1] - counts[0]
    assert 64 * 3 < each < 64 * 20  # two loads and a multiplication at least
    assert counts[2] - counts[1] == each and counts[3] - counts[2] == 4 * each


def test_a_result_that_differs_is_an_error(program, layer):
    geometry, x, weight, (slope, bias, shift), *scratch, y = layer.core
    wrong = dataclasses.replace(layer, core=(geometry, x, weight, (slope, bias, shift - 1), *scratch, y))
    with pytest.raises(UserError, match=f"bconv2d .* is wrong on {program.name}"):
        instructions.count(program, wrong)


def test_signs_of_every_pair_of_bytes(program):
    """Cortex-M4 takes four at a time: none may borrow from the next."""
    channel = np.arange(1 << 10)
    x = (4 * np.arange(64)[:, None] + (channel >> 8) - 128).astype(np.int8).ravel()
    given = {"x": x, "threshold": (channel & 255).astype(np.uint8).view(np.int8)}
    shape, random = {"n": 64, "channels": channel.size}, np.random.default_rng(4)
    instructions.count(program, instructions.make_case("binarize", "", random, shape, **given))


@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (2, 5)])
@pytest.mark.parametrize(("cin", "cout"), [(1, 2), (2, 1), (3, 5), (5, 3)])
def test_first_layers_of_any_number_of_taps(program, cin, cout, kernel):
    """Cortex-M4 takes four taps at a time, which are not aligned."""
    random, shape = np.random.default_rng(cin), (5, 6, cin, cout, *kernel, 1, 1, kernel[0] // 2, kernel[1] // 2, 1)
    given = {"slope": random.integers(-999, 999, 2 * cout, np.int16), "bias": np.arange(cout, dtype=np.int32) << 12}
    instructions.count(program, instructions.make_case("conv2d", "", random, {"geometry": shape}, **given, shift=12))


def test_bench_counts_each_kernel_on_each_processor(small_model, tmp_path, capsys):
    out = tmp_path / "instructions.json"
    arguments = ["bench", "--board", "instructions", "--model", str(small_model), "--out", str(out)]
    assert cli.main(arguments) == 0
    printed, kernels = capsys.readouterr().out, json.loads(out.read_text())["kernels"]
    assert {"conv2d", "bconv2d", "dot_tables", "dense", "softmax", "head_update"} <= {k["name"] for k in kernels}
    for kernel in kernels:
        assert tuple(kernel["instructions"]) == ARCHITECTURES and min(kernel["instructions"].values()) > 100
        assert f"{kernel['name']} {kernel['shape']}  " in printed
    layers = [kernel for kernel in kernels if "binary_macs" in kernel]
    counted = [inside for inside, _ in macs_of_layers(small_model)]
    assert [k["binary_macs"] for k in layers for _ in range(k["layers"])] == counted
    check_quotients(layers, printed)
    # 3x3 over 4x4 pixels, 32 to 32 channels: of 12 taps of a row of windows, two are padding.
    assert layers[0]["binary_macs"] == 10 * 10 * 32 * 32
    for per_word in layers[0]["instructions_per_32_macs"].values():
        assert 4 < per_word < 60
    assert printed.count("instructions per 32 MACs: armv6m") == 1


@pytest.mark.parametrize("name", ["tiny", "mixed", "nothing"])
def test_models_of_other_layers(name, tmp_path, capsys):
    """Without a layer that can be trained; with signs and pools below the latent; with no binary convolution."""
    model = synthetic.mixed() if name == "mixed" else synthetic.tiny(trainable=False)
    if name == "nothing":
        model.layers = [layer for layer in model.layers if layer.get("tensor") != "block"]
        model.tensors = {key: value for key, value in model.tensors.items() if not key.startswith("block")}
    path = synthetic.save(tmp_path / "model.safetensors", model)
    assert cli.main(["bench", "--board", "instructions", "--model", path]) == 0
    printed = capsys.readouterr().out
    assert ("bconv2d_sign 8x8x32 to 4x4x64, 1x1  " in printed) == (name == "mixed")
    assert ("bconv2d_dw" in printed) == (name == "mixed")
    assert ("instructions per 32 MACs:" in printed) == (name != "nothing")


def check_quotients(layers, printed):
    """Instructions per 32 MACs of each layer and of all, by the counts."""
    macs = sum(k["layers"] * k["binary_macs"] for k in layers)
    for name in ARCHITECTURES:
        for k in layers:
            assert k["instructions_per_32_macs"][name] == round(k["instructions"][name] * 32 / k["binary_macs"], 2)
        executed = sum(k["layers"] * k["instructions"][name] for k in layers)
        assert f" {name} {executed * 32 / macs:.2f}" in printed.splitlines()[-3]


def test_missing_modules_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "BUILD", tmp_path)
    with pytest.raises(UserError, match="make natmods"):
        instructions.Program("armv6m", tmp_path)
