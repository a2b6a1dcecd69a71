"""Export: the integers of a model against the PyTorch net that it was made from, and back again."""

import json
import os

import bitreplay
import numpy as np
import pytest
from bitreplay.above import Above
from bitreplay_host.datasets import registry
from bitreplay_host.errors import UserError
from bitreplay_host.experiments.latents import Places, latents
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from synthetic_data import ROOT

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from bitreplay_host.training import affine, evaluate, export, restore  # noqa: E402
from bitreplay_host.training import net as torch_net  # noqa: E402
from random_nets import LABELS, as_input, contents, images_of, random_net  # noqa: E402

MODELS = ROOT / "models"
# Seeds and latents: of those in SMALL, block0's are of the stem, and the strides of block1 and block3 are 2.
NETS = [(0,), (1,), (2,), (1, "block0"), (1, "block2"), (1, "block3"), (0, "block5"), (2, "block6")]
KINDS = [*NETS, (1, "latent", "birealnet"), (0, "block5", "quicknet"), (1, "latent", "quicknet")]
PLAIN = [(0, "latent", "vgg"), (1, "block0", "vgg"), (1, "block3", "vgg"), (2, "block5", "vgg")]
REQUIRED = 99.5  # percent of predictions that must agree; all of them are expected to


@pytest.mark.parametrize("exported", KINDS + PLAIN, indirect=True)
def test_the_integers_compute_what_the_folded_net_does(exported):
    """On random nets: latents, features and scores are the same, and so are all predictions."""
    original, path = exported
    model = bitreplay.load(path)
    assert (model.name, model.labels, model.image_shape) == ("random", LABELS, (32, 32, 3))
    images = images_of(100, 4)
    net, x = original.fold(), as_input(images).double()
    with torch.no_grad():
        bits = net.latent(x).permute(0, 2, 3, 1).numpy() > 0
        features = net.features(net.latent(x)).numpy() * torch_net.STREAM
    above, latent, out = Above(model), bytearray(model.latent_bytes), bytearray(model.features)
    for i, image in enumerate(images):
        model.latent(image.tobytes(), latent)
        above.features(latent, out)
        assert bytes(latent) == np.packbits(bits[i], bitorder="little").tobytes()
        np.testing.assert_array_equal(np.frombuffer(out, np.int8), features[i])
    assert 0.05 < bits.mean() < 0.98 and len(np.unique(bits, axis=0)) == len(images), "the net is trivial"
    found = [LABELS.index(model.classify(image.tobytes())[0]) for image in images]
    assert evaluate.predict(net, images).tolist() == found


@pytest.mark.parametrize("exported", KINDS, indirect=True)
def test_a_net_from_a_model_is_exported_as_that_model(exported, tmp_path):
    original, path = exported
    net, images = restore.from_model(path), images_of(100, 4)
    assert evaluate.predict(net, images).tolist() == evaluate.predict(original.fold(), images).tolist()
    export.export(net, tmp_path / "again.safetensors", "random", LABELS)
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("exported", [(0,), (1, "block2")], indirect=True)
def test_what_the_rows_of_a_head_have_in_common_is_left_out(exported, tmp_path):
    """So it is also while a net is trained: its scores are those of the model."""
    net, path = exported
    images = images_of(20, 4)
    before = net(as_input(images))
    assert not load_file(path)["head.weight"].mean(0).round().any()
    with torch.no_grad():
        net.head += torch.randint(-30, 31, net.head.shape[1:]) / torch_net.HEAD_SCALE
    assert net(as_input(images)).equal(before)
    export.export(net, tmp_path / "again.safetensors", "random", LABELS)
    assert contents(tmp_path / "again.safetensors") == contents(path)


@pytest.mark.parametrize("exported", [(0,)], indirect=True)
def test_of_rows_that_would_saturate_the_same_is_left_out(exported, tmp_path):
    net, _ = exported
    with torch.no_grad():
        net.head[0], net.head[1:] = 100 / torch_net.HEAD_SCALE, -80 / torch_net.HEAD_SCALE
    assert ((net.head - net.head_weight()) * torch_net.HEAD_SCALE == 100 - 127).all()
    export.export(net, tmp_path / "net.safetensors", "random", LABELS)
    export.export(restore.from_model(tmp_path / "net.safetensors"), tmp_path / "again.safetensors", "random", LABELS)
    assert contents(tmp_path / "again.safetensors") == contents(tmp_path / "net.safetensors")


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


@pytest.mark.parametrize("name", ["backbone", "small", "imu", "speech", "backbone_4x4", "small_8x8"])
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
    file = latents(shipped, "cifar10", "test", rows.tolist(), settings, kind="classes")
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
        slope, offset, shift = affine.fixed_point(slopes, bias, largest)
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
    slope, _, shift = affine.fixed_point(np.array([[16383.5, -1.0]]), 0 * one, one)
    assert (slope.tolist(), shift) == ([[32767, -2]], 1)
    for slopes, bias, largest in (([[16384.0, 0]], 0, 1), ([[0.0, 0]], 2.0**30, 1), ([[16000.0, 0]], 0, 70000)):
        with pytest.raises(UserError, match="too steep"):
            affine.fixed_point(np.array(slopes), bias * one, largest * one)


@pytest.mark.parametrize(
    ("name", "whole", "latent"), [("backbone_4x4", "backbone", "block5"), ("small_8x8", "small", "block2")]
)
def test_shipped_cut_models(name, whole, latent, tmp_path):
    """Below their latents they are the models that they were cut from, and export makes them again."""
    path = MODELS / f"{name}.safetensors"
    net, tensors, others = restore.from_model(path), load_file(path), load_file(MODELS / f"{whole}.safetensors")
    levels = net.blocks[net.cut_at].levels
    assert net.latent_name == latent and (levels[:, 0] < levels[:, 1]).all()
    below = ["stem", *(f"block{i}" for i in range(net.cut_at))]
    frozen = {tensor for tensor in tensors if tensor.split(".")[0] in below} | {f"{latent}.threshold"}
    for tensor in frozen:
        # Training holds the biases in float32: 24 bits of them.
        assert np.allclose(tensors[tensor], others[tensor], rtol=2.0**-23 if tensor == "stem.bias" else 0, atol=0)
    labels = bitreplay.load(path).labels
    export.export(net, tmp_path / "again.safetensors", name, labels)
    assert contents(tmp_path / "again.safetensors") == contents(path)


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
