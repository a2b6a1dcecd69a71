"""bitreplay export: checkpoints and models, whole, cut elsewhere, old, or damaged."""

import json
import re
from pathlib import Path

import bitreplay
import numpy as np
import pytest
from bitreplay_host import cli, paths
from bitreplay_host.datasets import registry
from bitreplay_host.errors import UserError
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from synthetic_data import make_dataset

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from bitreplay_host.training import export  # noqa: E402
from random_nets import LABELS, random_net, write_checkpoint  # noqa: E402


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
    learner = tmp_path / "me.safetensors"
    bitreplay.Learner(bitreplay.load(model)).save(str(learner))
    before = learner.read_bytes()
    assert cli.main(["export", str(tmp_path / "net.pt"), str(learner)]) == 2
    assert f"{learner} is there already and is no model" in capsys.readouterr().err and learner.read_bytes() == before
    assert cli.main(["export", str(tmp_path / "net.pt"), str(model), "--no-head"]) == 0
    assert bitreplay.load(model).labels is None
    capsys.readouterr()
    assert cli.main(["evaluate", str(model), *paths]) == 2
    assert "has no pretrained head" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["nowhere", "text", "empty", "cut off", "other object", "other net"])
def test_what_is_no_checkpoint(content, tmp_path, capsys):
    path = tmp_path / "some.pt"
    objects = {"other object": [1], "other net": {"net": {"weight": torch.zeros(1)}}}
    if content == "cut off":
        torch.save({"net": random_net(1).state_dict(), "epoch": 1}, path)
        path.write_bytes(path.read_bytes()[:20000])
    elif content in objects:
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


def test_a_shipped_model_by_its_name(export_command):
    status, out, error = export_command("small")
    assert (status, error) == (0, "")
    expected, found = load_file(paths.model("small")), load_file(out)
    assert expected.keys() == found.keys()
    assert all((expected[name] == found[name]).all() for name in expected)


def test_a_cut_model_is_cut_again_and_uncut(exported, tmp_path, capsys):
    """By the command line: of a checkpoint and of its model the same, whether or not that was cut before."""
    net, path = exported
    make_dataset(tmp_path, "cifar100", 11, 1, side=32)
    images, _ = registry.load("cifar100", "train", tmp_path)
    assert len(images) > 1000
    torch.save({"net": net.state_dict()}, tmp_path / "net.pt")

    def cut(source, latent, *more):
        out = tmp_path / f"{source.stem}_{latent}.safetensors"
        line = ["export", "--latent", latent, source, out, "--dir", tmp_path, *more]
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
    assert cli.main([str(part) for part in [*line, "--dir", tmp_path]]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and re.fullmatch(f"bitreplay: {message}\n", error), error
    assert (tmp_path / "out.safetensors").read_bytes() == before


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
