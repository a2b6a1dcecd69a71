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

MODELS = ROOT / "models"
LABELS = registry.class_names("cifar100")
SMALL = 32, 32, 64, 64, 128  # of models/small.safetensors
# Seeds and latents: of those in SMALL, block0's are of the stem, and the strides of block1 and block3 are 2.
NETS = [(0,), (1,), (2,), (1, "block0"), (1, "block2"), (1, "block3"), (0, "block5"), (2, "block6")]
REQUIRED = 99.5  # percent of predictions that must agree; all of them are expected to


def random_net(seed, latent="latent"):
    """A Net as training could leave it: batch norm that fits, slopes, thresholds and levels of either sign."""
    torch.manual_seed(seed)
    net = torch_net.Net(groups=[1, 2, 4][seed % 3], widths=[WIDTHS, SMALL, WIDTHS][seed % 3], latent=latent)
    images = images_of(seed, 16)
    with torch.no_grad():
        for threshold in net.thresholds().values():
            threshold.normal_(0, 0.3)
        for layer in net.affine_layers().values():
            layer.affine.slope.uniform_(-0.3, 0.8)
            layer.affine.norm.weight.normal_(0.6, 0.4)
            layer.affine.norm.bias.normal_(0, 0.3)
            layer.affine.norm.momentum = None  # the statistics of what it sees
        for name, levels in net.named_parameters():
            if name.endswith(".levels"):
                levels.normal_(0, 1.5)
                levels[:2] = torch.tensor([[-9.0, 9.0], [7.94, -8.04]])  # saturate
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
    net, path = random_net(*getattr(request, "param", [1])), tmp_path / "net.safetensors"
    export.export(net, path, "random", LABELS)
    return net, path


@pytest.mark.parametrize("exported", NETS, indirect=True)
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
        features = folded.features(folded.latent(x)).numpy() * torch_net.STREAM
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


@pytest.mark.parametrize("exported", NETS, indirect=True)
def test_a_net_from_a_model_is_exported_as_that_model(exported, tmp_path):
    _, path = exported
    export.export(restore.from_model(path), tmp_path / "again.safetensors", "random", LABELS)
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def layer_by_layer(net, images, latent, levels):
    """A folded Net, a layer at a time, with levels (i8) in the shortcut's place of a block: its features, int8."""
    x = net.stem(as_input(images).double())
    for i, block in enumerate(net.blocks):
        bits = torch.where(x >= block.threshold.view(1, -1, 1, 1), 1.0, -1.0).double()
        shortcut = x
        if latent == f"block{i}":
            zero, one = (torch.from_numpy(v / torch_net.STREAM).view(1, -1, 1, 1) for v in levels.T)
            shortcut = torch.where(bits > 0, one, zero)
        if block.stride == 2:
            shortcut = torch_net.average(shortcut, 2).repeat(1, 2, 1, 1)
        acc = torch.nn.functional.conv2d(bits, block.signs(), stride=block.stride, padding=1)
        x = torch_net.saturate(shortcut + block.affine(acc))
    x = torch_net.average(x, 2)
    bits = torch.where(x >= net.threshold.view(1, -1, 1, 1), 1.0, -1.0).double()
    return (torch_net.average(net.trainable(bits), 2).flatten(1) * torch_net.STREAM).numpy()


@pytest.mark.parametrize("exported", [net for net in NETS if len(net) > 1], indirect=True)
@torch.no_grad()
def test_a_cut_net_is_the_net_with_levels_in_the_shortcut(exported):
    """The model's integers against the net's layers, put together anew here."""
    net, path = exported
    model, images, latent = bitreplay.load(path), images_of(100, 3), net.latent_name
    expected = layer_by_layer(net.fold(), images, latent, load_file(path)[f"{latent}.levels"])
    above, packed, out = Above(model), bytearray(model.latent_bytes), bytearray(model.features)
    for image, features in zip(images, expected, strict=True):
        model.latent(image.tobytes(), packed)
        above.features(packed, out)
        np.testing.assert_array_equal(np.frombuffer(out, np.int8), features)


def contents(path):
    """A model file: metadata, with the graph as an object, and the tensors, each with dtype, shape and bytes."""
    with safe_open(path, "np") as file:
        metadata = file.metadata()
    tensors = {name: (str(v.dtype), v.shape, v.tobytes()) for name, v in load_file(path).items()}
    return metadata | {"graph": json.loads(metadata["graph"])}, tensors


@pytest.mark.parametrize("name", ["backbone", "small", "imu", "backbone_4x4", "small_8x8"])
def test_a_shipped_model_is_exported_as_it_is(name, tmp_path):
    path, again = MODELS / f"{name}.safetensors", tmp_path / "again.safetensors"
    export.export(restore.from_model(path), again, name, bitreplay.load(path).labels)
    assert contents(again) == contents(path)


@pytest.mark.parametrize("shipped", [MODELS / "backbone.safetensors", MODELS / "backbone_4x4.safetensors"])
def test_shipped_model_against_pytorch(real_data, micropython, tmp_path, shipped):
    """The shipped model's integers, on the unix port, against PyTorch in float64, on CIFAR-10's test images."""
    images, _ = registry.load("cifar10", "test", real_data)
    count = int(os.environ.get("BITREPLAY_AGREEMENT_IMAGES", 1000))
    rows = np.linspace(0, len(images) - 1, count).astype(int)
    settings = Places(micropython, real_data, tmp_path)
    file = latents(shipped, "cifar10", "test", rows.tolist(), settings, classify=True)
    found = np.frombuffer(file.read_bytes(), np.uint8)
    expected = evaluate.predict(restore.from_model(shipped), images[rows])
    agreement = 100 * (found == expected).mean()
    print(f"{agreement:.2f} % of {count} predictions of {shipped.name} agree with PyTorch")
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
    """Above the latent too; 0, of either sign, is +1."""
    net = random_net(0)
    with torch.no_grad():
        net.trainable.weight.view(-1)[:4] = torch.tensor([0.0, -0.0, 1e-30, -1e-30])
    _, tensors = export.convert(net, head=False)
    for name, layer in [*((f"block{i}", block) for i, block in enumerate(net.blocks)), ("tail", net.trainable)]:
        bits = np.unpackbits(tensors[f"{name}.weight"].view(np.uint8), axis=-1, bitorder="little")
        signs = layer.signs().detach().permute(0, 2, 3, 1).numpy()
        np.testing.assert_array_equal(bits, signs > 0)
    assert tensors["tail.weight"].reshape(-1)[0] & 15 == 0b0111


def test_calibration():
    """The levels are the means of the stream, as the integers have it, below the threshold and not below it."""
    net, images = random_net(1), images_of(7, 1030)
    net.cut("block3")
    net.calibrate(images)
    folded = net.fold()
    with torch.no_grad():
        x = folded.below(as_input(images[:1000]).double()).permute(1, 0, 2, 3).flatten(1).numpy()
    levels, sides = folded.blocks[3].levels.detach().numpy(), 0
    for channel, threshold, found in zip(x, folded.thresholds()["block3"].tolist(), levels, strict=True):
        for side, level in zip((channel[channel < threshold], channel[channel >= threshold]), found, strict=True):
            if len(side):
                sides += 1
                assert level == np.floor(side.mean() * 16 + 0.5) / 16
    assert sides > 100 and len(np.unique(levels)) > 20


def test_levels_of_bits_that_never_occur():
    """They are next to the threshold, and an int8."""
    net = random_net(1)
    with torch.no_grad():
        net.blocks[2].threshold[:4] = torch.tensor([-99.0, 99.0, -7.99, 7.9])
        # What comes before it is 0 everywhere.
        for layer in list(net.affine_layers().values())[:3]:
            layer.affine.norm.weight.zero_()
            layer.affine.norm.bias.zero_()
    net.cut("block2")
    net.calibrate(images_of(1, 2))
    assert (net.blocks[2].levels[:4] * 16).tolist() == [[-128, 0], [0, 127], [-128, 0], [0, 127]]


def test_calibrated_levels_are_closer_than_those_of_a_sign():
    """The features of a cut net against those of the net before."""
    net, images = random_net(1), images_of(7, 500)
    x = as_input(images[:50])
    with torch.no_grad():
        expected, distances = net.features(net.latent(x)), []
        net.cut("block2")
        for _ in range(2):
            distances.append((net.features(net.latent(x)) - expected).abs().mean().item())
            net.calibrate(images)
    assert distances[1] < distances[0], distances


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


@pytest.mark.parametrize("value", [float("nan"), -float("inf")])
@pytest.mark.parametrize(
    "name",
    [
        "stem.weight",
        "blocks.0.weight",
        "blocks.1.threshold",
        "blocks.2.levels",
        "blocks.3.affine.slope",
        "blocks.3.affine.norm.running_var",
        "threshold",
        "trainable.affine.norm.bias",
        "head",
    ],
)
def test_a_checkpoint_that_is_not_finite_is_refused(name, value, export_command, tmp_path):
    net = random_net(1, "block2")
    with torch.no_grad():
        net.state_dict()[name].view(-1)[-1] = value
    status, out, error = export_command(write_checkpoint(tmp_path / "net.pt", net))
    assert (status, error.count("\n")) == (2, 1) and not out.exists()
    assert f"net.pt: {name} has values that are not finite" in error
    with pytest.raises(UserError, match=f"^{re.escape(name)} has values that are not finite: train the net again"):
        export.export(net, out, "random", LABELS)
    assert not out.exists()


def test_a_model_of_version_1_is_exported_as_version_2(exported, export_command, tmp_path):
    """Version 1 had latent weights of the layer after the latent; `value` for all levels; and the mean over 2x2."""
    _, path = exported
    tensors = load_file(path)
    with safe_open(path, "np") as file:
        metadata = file.metadata()
    layers = json.loads(metadata["graph"])["layers"]
    at = [layer["op"] for layer in layers].index("expand")
    assert layers[at + 2] == {"op": "global_avg_pool"}
    layers[at : at + 3] = [
        {"op": "expand", "value": 16},
        layers[at + 1],
        {"op": "avg_pool", "size": 2, "repeat": 1},
    ]
    signs = np.unpackbits(tensors["tail.weight"].view(np.uint8), axis=-1, bitorder="little").reshape(128, 64)
    sizes = np.random.default_rng(0).integers(0, 127, signs.shape)
    tensors["tail.weight"] = np.where(signs, sizes, -1 - sizes).astype(np.int8)
    del tensors["expand.levels"]
    graph = json.dumps({"image": [32, 32, 3], "layers": layers})
    save_file(tensors, tmp_path / "old", metadata | {"version": "1", "graph": graph})
    with pytest.raises(ValueError, match="export"):
        bitreplay.load(tmp_path / "old")
    status, out, _ = export_command(tmp_path / "old", "--name", "random")
    assert status == 0 and out.read_bytes() == path.read_bytes()


def write_checkpoint(path, net):
    torch.save({"net": net.state_dict(), "epoch": 1}, path)
    return path


@pytest.fixture
def export_command(tmp_path, capsys):
    """A function: exports a file to tmp_path / "model" by the command line, whose errors are those."""
    make_dataset(tmp_path, "cifar100", 1, 1, side=32)

    def run(source, *more):
        out = tmp_path / "model"
        status = cli.main(["export", "--data", str(tmp_path), *more, str(source), str(out)])
        return status, out, capsys.readouterr().err

    return run


def test_export_with_another_latent(export_command, tmp_path):
    """A checkpoint is cut as its net is; a model, as the checkpoint that it was made from."""
    checkpoint = write_checkpoint(tmp_path / "net.pt", random_net(1))
    status, out, _ = export_command(checkpoint, "--latent", "block2", "--name", "cut")
    assert status == 0
    found, again = bitreplay.load(out), out.read_bytes()
    assert (found.latent_shape, found.name, found.labels) == ((8, 8, 64), "cut", LABELS)
    assert [layer.op for layer in found.above[:2]] == ["expand", "bconv2d"]
    net = random_net(1)
    net.cut("block2")
    net.calibrate(registry.load("cifar100", "train", tmp_path)[0])
    export.export(net, tmp_path / "expected", "cut", LABELS)
    assert (tmp_path / "expected").read_bytes() == again
    export.export(random_net(1), tmp_path / "whole", "whole", LABELS)
    assert export_command(tmp_path / "whole", "--latent", "block2", "--name", "cut")[0] == 0
    assert out.read_bytes() == again


def test_export_of_a_cut_checkpoint(export_command, tmp_path):
    """Its own levels stay, whether --latent names its latent or not; another latent goes without them."""
    net = random_net(1, "block2")
    checkpoint = write_checkpoint(tmp_path / "net.pt", net)
    for more in ((), ("--latent", "block2")):
        status, out, _ = export_command(checkpoint, *more)
        levels = load_file(out)["block2.levels"]
        assert status == 0 and levels[:2].tolist() == [[-128, 127], [127, -128]]
    export_command(checkpoint, "--latent", "latent")
    assert bitreplay.load(out).latent_shape == (2, 2, 128) and "block2.levels" not in load_file(out)


def test_export_keeps_the_labels_of_a_model(export_command, tmp_path):
    export.export(random_net(1), tmp_path / "few", "few", LABELS)
    with safe_open(tmp_path / "few", "np") as file:
        metadata = file.metadata()
    mine = [f"class {i}" for i in range(100)]
    save_file(load_file(tmp_path / "few"), tmp_path / "mine", metadata | {"labels": json.dumps(mine)})
    status, out, _ = export_command(tmp_path / "mine", "--latent", "block3")
    assert status == 0 and bitreplay.load(out).labels == mine
    export.export(random_net(1), tmp_path / "none", "none", None)
    status, out, _ = export_command(tmp_path / "none", "--latent", "block3")
    assert status == 0 and bitreplay.load(out).labels is None


@pytest.mark.parametrize("name", ["block4", "block", "Latent", ""])
def test_latents_that_a_net_does_not_have(export_command, tmp_path, name):
    checkpoint = write_checkpoint(tmp_path / "net.pt", random_net(1))
    status, out, error = export_command(checkpoint, "--latent", name)
    assert status == 2 and not out.exists()
    assert error == f"bitreplay: --latent {name}: the net can be cut at block0, block1, block2, block3, latent\n"


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
    net.cut("block2")
    net.calibrate(images[:1000])
    np.testing.assert_array_equal(load_file(once)["block2.levels"], net.blocks[2].levels.detach() * 16)
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
    metadata, tensors = contents(MODELS / f"{name}.safetensors")
    net, labels = (
        restore.from_model(MODELS / f"{name}.safetensors"),
        bitreplay.load(MODELS / f"{whole}.safetensors").labels,
    )
    levels, again = net.blocks[net.cut_at].levels, tmp_path / "again.safetensors"
    assert net.latent_name == latent and (levels[:, 0] < levels[:, 1]).all()
    net.cut("latent")
    export.export(net, again, whole, labels)
    assert contents(again) == contents(MODELS / f"{whole}.safetensors")
    net.cut(latent)
    net.blocks[net.cut_at].levels = levels
    export.export(net, again, name, labels)
    assert contents(again) == (metadata, tensors)


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
    save_file(tensors | {"head.shift": tensors["head.shift"] - 1}, tmp_path / "shift", metadata)
    refused(tmp_path / "shift")
    save_file(tensors | {"expand.levels": tensors["expand.levels"] + 1}, tmp_path / "levels", metadata)
    refused(tmp_path / "levels")
    save_file({k: v for k, v in tensors.items() if k != "block3.weight"}, tmp_path / "less", metadata)
    refused(tmp_path / "less")


@pytest.mark.parametrize("name", ["", "a" * 65, "a\nb", "a\udcff"])
def test_names_that_no_model_has_are_refused(exported, export_command, name):
    status, out, error = export_command(exported[1], "--name", name)
    assert (status, error) == (2, "bitreplay: --name must have 1..64 printable characters\n") and not out.exists()


@pytest.mark.parametrize(
    "damage",
    [
        {"graph": {"shift": 99999}},
        {"graph": {"cout": 0}},
        {"graph": {"cout": -64}},
        {"graph": {"groups": 0}},
        {"graph": "[" * 5000},
        {"format": "x"},
        {"labels": "5"},
    ],
    ids=str,
)
def test_what_load_refuses_is_not_exported(exported, export_command, tmp_path, damage):
    """Else a new model would be made of what has no meaning."""
    _, path = exported
    with safe_open(path, "np") as file:
        metadata = file.metadata()
    changes = damage.pop("graph", None)
    if isinstance(changes, dict):
        graph = json.loads(metadata["graph"])
        graph["layers"][2].update(changes)
        changes = json.dumps(graph)
    metadata |= damage | ({"graph": changes} if changes else {})
    save_file(load_file(path), tmp_path / "damaged.safetensors", metadata)
    status, out, error = export_command(tmp_path / "damaged.safetensors")
    assert (status, error.count("\n")) == (2, 1) and "damaged.safetensors" in error and not out.exists()
