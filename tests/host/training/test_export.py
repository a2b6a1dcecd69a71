"""Export: the integers of a model against the PyTorch net that it was made from, and back again."""

import json
import os
import re
from pathlib import Path

import bitreplay
import numpy as np
import pytest
from bitreplay.above import Above
from bitreplay_host import cli
from bitreplay_host.datasets import registry
from bitreplay_host.errors import UserError
from bitreplay_host.experiments.latents import Places, latents
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from synthetic_data import ROOT, make_dataset

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from bitreplay_host.training import WIDTHS, evaluate, export, restore  # noqa: E402
from bitreplay_host.training import net as torch_net  # noqa: E402

SHIPPED = ROOT / "models" / "backbone.safetensors"
LABELS = registry.class_names("cifar100")
SMALL = 32, 32, 64, 64, 128  # of models/small.safetensors
REQUIRED = 99.5  # percent of predictions that must agree; all of them are expected to


def random_net(seed):
    """A Net as training could leave it: batch norm that fits, slopes and thresholds of either sign."""
    torch.manual_seed(seed)
    net = torch_net.Net(groups=[1, 2, 4][seed % 3], widths=[WIDTHS, SMALL, WIDTHS][seed % 3])
    images = images_of(seed, 16)
    with torch.no_grad():
        for threshold in net.thresholds().values():
            threshold.normal_(0, 0.3)
        for layer, _ in net.affine_layers().values():
            layer.affine.slope.uniform_(-0.3, 0.8)
            layer.affine.norm.weight.normal_(0.6, 0.4)
            layer.affine.norm.bias.normal_(0, 0.3)
            layer.affine.norm.momentum = None  # the statistics of what it sees
        net.train()
        net(as_input(images))
    return net.eval()


def images_of(seed, count):
    """Random images with structure: 4x4 blocks and noise."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 200, (count, 8, 8, 3)).repeat(4, axis=1).repeat(4, axis=2)
    return (blocks + rng.integers(0, 56, (count, 32, 32, 3))).astype(np.uint8)


def as_input(images):
    from bitreplay_host.training.net import to_input

    return to_input(torch.from_numpy(images).permute(0, 3, 1, 2))


@pytest.fixture
def exported(request, tmp_path):
    """A random net, and the model exported from it."""
    net, path = random_net(getattr(request, "param", 1)), tmp_path / "net.safetensors"
    export.export(net, path, "random", LABELS)
    return net, path


@pytest.mark.parametrize("exported", range(3), indirect=True)
def test_the_integers_compute_what_the_folded_net_does(exported):
    """On random nets: latents, features and scores are the same, and so are all predictions."""
    original, path = exported
    model = bitreplay.load(path)
    assert (model.name, model.labels, model.image_shape) == ("random", LABELS, (32, 32, 3))
    images = images_of(100, 4)
    folded = restore.from_model(path)
    x = as_input(images).double()
    with torch.no_grad():
        bits = folded.latent(x).permute(0, 2, 3, 1).numpy() > 0
        features = torch_net.average(folded.trainable(folded.latent(x)), 2).flatten(1).numpy() * torch_net.STREAM
    above, latent, out = Above(model), bytearray(model.latent_bytes), bytearray(model.features)
    for i, image in enumerate(images):
        model.latent(image.tobytes(), latent)
        above.features(latent, out)
        assert bytes(latent) == np.packbits(bits[i], bitorder="little").tobytes()
        np.testing.assert_array_equal(np.frombuffer(out, np.int8), features[i])
    assert 0.05 < bits.mean() < 0.95 and len(np.unique(bits, axis=0)) == len(images), "the net is trivial"
    found = [LABELS.index(model.classify(image.tobytes())[0]) for image in images]
    for name, net in (("folded", original.fold()), ("from_model", folded)):
        assert evaluate.predict(net, images).tolist() == found, name


@pytest.mark.parametrize("exported", range(3), indirect=True)
def test_a_net_from_a_model_is_exported_as_that_model(exported, tmp_path):
    _, path = exported
    export.export(restore.from_model(path), tmp_path / "again.safetensors", "random", LABELS)
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def contents(path):
    """A model file: metadata, with the graph as an object, and the tensors, each with dtype, shape and bytes."""
    with safe_open(path, "np") as file:
        metadata = file.metadata()
    tensors = {name: (str(v.dtype), v.shape, v.tobytes()) for name, v in load_file(path).items()}
    return metadata | {"graph": json.loads(metadata["graph"])}, tensors


@pytest.mark.parametrize("name", ["backbone", "imu"])
def test_a_shipped_model_is_exported_as_it_is(name, tmp_path):
    path, again = ROOT / "models" / f"{name}.safetensors", tmp_path / "again.safetensors"
    export.export(restore.from_model(path), again, name, bitreplay.load(path).labels)
    assert contents(again) == contents(path)


def run(net, images, latent, levels):
    """A folded Net, a layer at a time, with levels (None: none) in the shortcut's place of a block.

    Returns the stream below the latent, (n, height, width, channels), the latent's bits likewise, and features.
    """
    found = []
    x = net.stem(as_input(images).double())
    for i, block in enumerate(net.blocks):
        bits = torch.where(x >= block.threshold.view(1, -1, 1, 1), 1.0, -1.0).double()
        shortcut = x
        if latent == f"block{i}":
            found = [x * torch_net.STREAM, bits > 0]
            if levels is not None:
                zero, one = (torch.from_numpy(v / torch_net.STREAM).view(1, -1, 1, 1) for v in levels.T)
                shortcut = torch.where(bits > 0, one, zero)
        if block.stride == 2:
            shortcut = torch_net.average(shortcut, 2).repeat(1, 2, 1, 1)
        acc = torch.nn.functional.conv2d(bits, block.signs(), stride=block.stride, padding=1)
        x = torch_net.saturate(shortcut + block.affine(acc))
    x = torch_net.average(x, 2)
    bits = torch.where(x >= net.threshold.view(1, -1, 1, 1), 1.0, -1.0).double()
    features = torch_net.average(net.trainable(bits), 2).flatten(1) * torch_net.STREAM
    return *(v.permute(0, 2, 3, 1).numpy() for v in found), features.numpy()


@pytest.mark.parametrize(
    ("exported", "latent"),
    [(0, "block5"), (0, "block1"), (1, "block2"), (1, "block3"), (2, "block0"), (2, "block6")],
    indirect=["exported"],
)
@torch.no_grad()
def test_a_cut_net_computes_what_the_folded_net_does_with_levels(exported, latent, tmp_path):
    """Latents, features and predictions; the levels are the means of what is below and above the thresholds."""
    original, uncut = exported
    levels = export.calibrate(original, latent, images_of(7, 130))
    folded = restore.from_model(uncut)
    stream, bits, _ = run(folded, images_of(7, 130), latent, None)
    for channel in range(stream.shape[-1]):
        values, ones = stream[..., channel], bits[..., channel]
        for bit, those in enumerate((values[~ones], values[ones])):
            if len(those):
                assert levels[channel, bit] == np.floor(those.mean() + 0.5)
    assert levels.dtype == np.int8 and len(np.unique(levels)) > 10

    path = tmp_path / "cut.safetensors"
    export.export(original, path, "cut", LABELS, latent, levels)
    model, images = bitreplay.load(path), images_of(100, 3)
    _, bits, features = run(folded, images, latent, levels)
    above, packed, out = Above(model), bytearray(model.latent_bytes), bytearray(model.features)
    assert model.latent_shape == bits.shape[1:]
    for image, expected, expected_features in zip(images, bits, features, strict=True):
        model.latent(image.tobytes(), packed)
        above.features(packed, out)
        assert bytes(packed) == np.packbits(expected, bitorder="little").tobytes()
        np.testing.assert_array_equal(np.frombuffer(out, np.int8), expected_features)
        scores = (folded.head * torch_net.HEAD_SCALE).numpy() @ expected_features // 2
        assert LABELS.index(model.classify(image.tobytes())[0]) == scores.argmax()
    assert not np.array_equal(features, run(folded, images, latent, None)[-1]), "the levels change nothing"


def test_levels_of_bits_that_never_occur():
    """They are next to the threshold, and an int8."""
    net = random_net(1)
    with torch.no_grad():
        net.blocks[2].threshold[:4] = torch.tensor([-99.0, 99.0, -7.99, 7.9])
        # What comes before it is 0 everywhere.
        for layer, _ in list(net.affine_layers().values())[:3]:
            layer.affine.norm.weight.zero_()
            layer.affine.norm.bias.zero_()
    levels = export.calibrate(net, "block2", images_of(1, 2))
    assert levels[:4].tolist() == [[-128, 0], [0, 127], [-128, 0], [0, 127]]


def test_a_cut_model_is_cut_again_and_uncut(exported, tmp_path, capsys):
    """By the command line: of a checkpoint and of its model the same, whether or not that was cut before."""
    net, path = exported
    make_dataset(tmp_path, "cifar100", 11, 1, side=32)
    images, _ = registry.load("cifar100", "train", tmp_path)
    assert len(images) > 1000
    torch.save({"net": net.state_dict()}, tmp_path / "net.pt")

    def cut(source, latent, *more):
        out = tmp_path / f"{source.stem}_{latent}.safetensors"
        line = ["export", "--latent", latent, source, out, "--data", tmp_path, *more]
        assert cli.main([str(part) for part in line]) == 0
        assert capsys.readouterr().out == f"{out}: {out.stat().st_size} bytes\n"
        return out

    once = cut(path, "block2")
    expected = export.calibrate(net, "block2", images[:1000])
    np.testing.assert_array_equal(load_file(once)["block2.levels"], expected)
    assert (bitreplay.load(once).name, bitreplay.load(once).labels) == ("random", LABELS)
    assert cut(tmp_path / "net.pt", "block2", "--name", "random").read_bytes() == once.read_bytes()
    assert cut(once, "latent").read_bytes() == path.read_bytes()
    assert cut(once, "block3").read_bytes() == cut(path, "block3", "--name", "random").read_bytes()
    headless = cut(once, "block1", "--no-head")
    assert bitreplay.load(headless).labels is None
    assert cut(headless, "block2", "--name", "bare").exists()
    assert bitreplay.load(tmp_path / f"{headless.stem}_block2.safetensors").labels is None


@pytest.mark.parametrize(
    ("source", "latent", "message"),
    [
        ("net", "block4", r"--latent block4: the net can be cut at block0, block1, block2, block3, latent"),
        ("net", "stem", r"--latent stem: the net can be cut at block0, block1, block2, block3, latent"),
        ("net", "block2", r".*cifar100_train_images.npy is not there: run `bitreplay data cifar100.*"),
        ("text", "block2", r".*text.safetensors.*"),
        ("other", "block2", r".*other.safetensors is not a model that `bitreplay export` wrote.*"),
        ("nowhere", "block2", r".*nowhere.safetensors.*"),
        ("out", "block2", r".*out.safetensors is the model itself.*"),
    ],
)
def test_what_cannot_be_cut(exported, tmp_path, small_model, capsys, source, latent, message):
    _, path = exported
    (tmp_path / "text.safetensors").write_text("text")
    (tmp_path / "other.safetensors").write_bytes(Path(small_model).read_bytes())
    (tmp_path / "out.safetensors").write_bytes(path.read_bytes())
    before = (tmp_path / "out.safetensors").read_bytes()
    line = ["export", "--latent", latent, tmp_path / f"{source}.safetensors", tmp_path / "out.safetensors"]
    assert cli.main([str(part) for part in [*line, "--data", tmp_path]]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and re.fullmatch(f"bitreplay: {message}\n", error), error
    assert (tmp_path / "out.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "whole", "latent"), [("backbone_4x4", "backbone", "block5"), ("small_8x8", "small", "block2")]
)
def test_shipped_cut_models(name, whole, latent, tmp_path):
    """They hold the weights of the models that they were cut from, and levels."""
    metadata, tensors = contents(ROOT / "models" / f"{name}.safetensors")
    levels = np.frombuffer(tensors[f"{latent}.levels"][2], np.int8).reshape(-1, 2)
    source = ROOT / "models" / f"{whole}.safetensors"
    again, labels = tmp_path / "again.safetensors", bitreplay.load(source).labels
    export.export(restore.from_model(source), again, name, labels, latent, levels)
    assert contents(again) == (metadata, tensors)
    export.export(restore.from_model(ROOT / "models" / f"{name}.safetensors"), again, whole, labels)
    assert contents(again) == contents(source)
    assert (levels[:, 0] < levels[:, 1]).all()


def test_shipped_model_against_pytorch(real_data, micropython, tmp_path):
    """The shipped model's integers, on the unix port, against PyTorch in float64, on CIFAR-10's test images."""
    images, _ = registry.load("cifar10", "test", real_data)
    count = int(os.environ.get("BITREPLAY_AGREEMENT_IMAGES", 1000))
    rows = np.linspace(0, len(images) - 1, count).astype(int)
    settings = Places(micropython, real_data, tmp_path)
    file = latents(SHIPPED, "cifar10", "test", rows.tolist(), settings, classify=True)
    found = np.frombuffer(file.read_bytes(), np.uint8)
    expected = evaluate.predict(restore.from_model(SHIPPED), images[rows])
    agreement = 100 * (found == expected).mean()
    print(f"{agreement:.2f} % of {count} predictions of {SHIPPED.name} agree with PyTorch")
    assert agreement >= REQUIRED, f"{agreement:.2f} % of {count} predictions agree with PyTorch"
    assert len(np.unique(found)) > 20, "the model tells hardly any classes apart"


def test_threshold_on_the_grid_and_beside_it():
    """x >= threshold for every x of the stream, as the integers tell it: exactly on the grid x = threshold is +1."""
    x = np.arange(-128, 128)
    grid = x / torch_net.STREAM
    for threshold in [*grid, *np.nextafter(grid, -99), *np.nextafter(grid, 99), -99.0, 1e-9, -1e-9, 0.03]:
        units = torch_net.threshold_units(torch.tensor([threshold], dtype=torch.float64)).item()
        # What no int8 can say, that no value is large enough, becomes "only the largest".
        expected = grid >= threshold if threshold <= grid[-1] else x == 127
        np.testing.assert_array_equal(x >= units, expected, err_msg=str(threshold))
    np.testing.assert_array_equal(torch_net.threshold_units(torch.tensor([99.0, 7.94])), [127, 127])


def test_packed_weights_are_the_signs():
    """Also those above the latent, in groups; 0, of either sign, is +1."""
    net = random_net(1)
    weights = [0.0, -0.0, 1e-30, -1e-30, 0.0039, -0.0039, 3.0, -3.0]
    with torch.no_grad():
        net.trainable.weight.view(-1)[: len(weights)] = torch.tensor(weights)
    _, tensors = export.convert(net, head=False)
    channels = len(net.threshold)
    assert tensors["tail.weight"].shape == (channels, 1, 1, channels // net.trainable.groups // 32)
    layers = {f"block{i}": block for i, block in enumerate(net.blocks)} | {"tail": net.trainable}
    for name, layer in layers.items():
        bits = np.unpackbits(tensors[f"{name}.weight"].view(np.uint8), axis=-1, bitorder="little")
        signs = layer.signs().detach().permute(0, 2, 3, 1).numpy()
        np.testing.assert_array_equal(bits, signs > 0)
    assert bits.reshape(-1)[: len(weights)].tolist() == [1, 1, 1, 0, 1, 0, 1, 0]


def bound(slope, bias, shift, largest):
    return int((largest * np.abs(slope.astype(np.int64)).max(axis=1) + np.abs(bias.astype(np.int64))).max()) + (
        1 << (shift - 1)
    )


def test_fixed_point_bounds():
    """Nothing overflows, the shift is the largest that is possible, and the error is what rounding allows."""
    rng = np.random.default_rng(0)
    for _ in range(300):
        channels = 5
        slopes = rng.normal(0, 10.0 ** rng.uniform(-5, 3), (channels, 2))
        bias = rng.normal(0, 10.0 ** rng.uniform(-2, 5), channels)
        largest = np.full(channels, float(rng.integers(32, 5000)))
        slope, offset, shift = torch_net.fixed_point(slopes, bias, largest)
        assert (slope.dtype, offset.dtype) == (np.int16, np.int32)
        assert 1 <= shift <= 24 and bound(slope, offset, shift, largest) < 2**31
        assert np.abs(slope / 2.0**shift - slopes).max() <= 2.0 ** -(shift + 1)
        assert np.abs(offset / 2.0**shift - bias).max() <= 2.0 ** -(shift + 1)
        if shift < 24:
            finer = [np.floor(v * 2.0 ** (shift + 1) + 0.5) for v in (slopes, bias)]
            too_large = np.abs(finer[0]).max() > 32767 or bound(*finer, shift + 1, largest) >= 2**31
            assert too_large, "a larger shift was possible"


def test_fixed_point_limits():
    """The steepest slopes and the largest bias that fit, and the next that do not."""
    one = np.ones(1)
    slope, _, shift = torch_net.fixed_point(np.array([[16383.5, -1.0]]), 0 * one, one)
    assert (slope.tolist(), shift) == ([[32767, -2]], 1)
    for slopes, bias, largest in (([[16384.0, 0]], 0, 1), ([[0.0, 0]], 2.0**30, 1), ([[16000.0, 0]], 0, 70000)):
        with pytest.raises(UserError, match="too steep"):
            torch_net.fixed_point(np.array(slopes), bias * one, largest * one)


def test_checkpoint_to_model_to_evaluation(tmp_path, micropython, capsys):
    """pretrain's checkpoint -> export -> evaluate, by the command line: all predictions agree."""
    make_dataset(tmp_path, "cifar100", 1, 1, side=32)
    torch.save({"net": random_net(1).state_dict(), "epoch": 1}, tmp_path / "net.pt")  # 2 groups, as Net() has
    model = tmp_path / "net.safetensors"
    assert cli.main(["export", str(tmp_path / "net.pt"), str(model), "--name", "mine"]) == 0
    assert capsys.readouterr().out == f"{model}: {model.stat().st_size} bytes\n"
    assert bitreplay.load(model).name == "mine"
    paths = ["--data", str(tmp_path), "--cache", str(tmp_path / "cache"), "--micropython", str(micropython)]
    assert cli.main(["evaluate", str(model), "--checkpoint", str(tmp_path / "net.pt"), "--test", "20", *paths]) == 0
    integers, trained, folded = capsys.readouterr().out.splitlines()
    assert integers.startswith("integer net, unix port: ") and integers.endswith(" % of 20 test images")
    assert "as trained" in trained
    assert folded.endswith(" 100.00 % of predictions agree with the integer net")
    assert cli.main(["export", str(tmp_path / "net.pt"), str(model), "--no-head"]) == 0
    assert bitreplay.load(model).labels is None
    capsys.readouterr()
    assert cli.main(["evaluate", str(model), *paths]) == 2
    assert "has no pretrained head" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["nowhere", "text", "empty", "other object", "other net"])
def test_what_is_no_checkpoint(content, tmp_path, capsys):
    path = tmp_path / "some.pt"
    objects = {"other object": [1], "other net": {"net": {"weight": torch.zeros(1)}}}
    if content in objects:
        torch.save(objects[content], path)
    elif content != "nowhere":
        path.write_text("" if content == "empty" else content)
    assert cli.main(["export", str(path), str(tmp_path / "model")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and error.startswith(f"bitreplay: {path}") and "Traceback" not in error
    assert not (tmp_path / "model").exists()


def test_from_model_refuses_what_is_not_this_net(exported, tmp_path, small_model):
    _, path = exported
    tensors = load_file(path)
    with safe_open(path, "np") as file:
        metadata = file.metadata()

    def graph_with(**changes):
        graph = json.loads(metadata["graph"])
        graph["layers"][2].update(changes)
        return metadata | {"graph": json.dumps(graph)}

    def refused(some_path):
        with pytest.raises(UserError, match="is not a model that `bitreplay export` wrote"):
            restore.from_model(some_path)

    refused(small_model)
    (tmp_path / "text").write_text("text")
    refused(tmp_path / "text")
    save_file(tensors, tmp_path / "stride", graph_with(stride=2))
    refused(tmp_path / "stride")
    for name in ("head.shift", "expand.levels"):
        save_file(tensors | {name: tensors[name] - 1}, tmp_path / name, metadata)
        refused(tmp_path / name)
    save_file({k: v for k, v in tensors.items() if k != "block3.weight"}, tmp_path / "less", metadata)
    refused(tmp_path / "less")
    export.export(restore.from_model(path), tmp_path / "cut", "cut", None, "block1", np.zeros((32, 2), np.int8))
    assert restore.from_model(tmp_path / "cut").head.shape == (0, 128)
    with safe_open(tmp_path / "cut", "np") as file:
        metadata = file.metadata()
    tensors = load_file(tmp_path / "cut")
    save_file({k: v for k, v in tensors.items() if k != "block1.levels"}, tmp_path / "no levels", metadata)
    refused(tmp_path / "no levels")
