"""Pretraining on a tiny synthetic dataset: goes on as if it had not stopped, and begins where told."""

import re
import shutil

import numpy as np
import pytest
from bitreplay_host import cli

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from bitreplay_host.training import data, export, pretrain, restore  # noqa: E402
from bitreplay_host.training import net as torch_net  # noqa: E402


def weights(path):
    return restore.checkpoint(path)["net"]


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_stop_and_go_on(train, tmp_path, monkeypatch):
    """Ctrl-C in the second epoch and another start: every weight is as without it. Another seed differs."""
    status, shown, errors = train(tmp_path / "whole.pt")
    assert (status, errors) == (0, "")
    line = r"epoch %d/2 loss \d\.\d{4} validation \d+\.\d\d %% \d+ s\n"
    assert re.fullmatch(line % 1 + line % 2 + ".*; next: bitreplay export .*\n", shown)
    assert re.fullmatch(line % 1 + line % 2, (tmp_path / "whole.log").read_text())

    step, steps = torch.optim.Adam.step, []

    def interrupted(self, *arguments):
        steps.append(1)
        if len(steps) == 5:
            raise KeyboardInterrupt
        return step(self, *arguments)

    monkeypatch.setattr(torch.optim.Adam, "step", interrupted)
    assert train(tmp_path / "parts.pt")[::2] == (130, "\nbitreplay: stopped\n")
    assert restore.checkpoint(tmp_path / "parts.pt")["epoch"] == 1
    monkeypatch.undo()
    status, shown, _ = train(tmp_path / "parts.pt")
    assert status == 0 and shown.startswith("epoch 2/2 ")
    assert equal(weights(tmp_path / "parts.pt"), weights(tmp_path / "whole.pt"))
    # Once more: there is nothing left to do.
    before = (tmp_path / "parts.pt").read_bytes()
    assert train(tmp_path / "parts.pt")[1].startswith(f"{tmp_path}/parts.pt; next: ")
    assert (tmp_path / "parts.pt").read_bytes() == before
    train(tmp_path / "seed.pt", "--seed", 2)
    assert not equal(weights(tmp_path / "seed.pt"), weights(tmp_path / "whole.pt"))
    # Binary weights have moved and are in their range; the file is one that export and --init take.
    trained = restore.from_checkpoint(tmp_path / "whole.pt")
    torch.manual_seed(1)
    new = torch_net.Net()
    for layer, start in zip([*trained.blocks, trained.trainable], [*new.blocks, new.trainable], strict=True):
        assert layer.weight.abs().max() <= 1 and not torch.equal(layer.weight, start.weight)


def test_init(folder, tmp_path):
    """--init takes the weights and not the epochs; a block that the checkpoint lacks starts as identity."""
    torch.manual_seed(7)
    net = torch_net.Net().eval()
    lacking = {name: value for name, value in net.state_dict().items() if not name.startswith("blocks.5.")}
    torch.save({"net": lacking}, tmp_path / "shallow.pt")
    started = training(folder, tmp_path / "new.pt", "--init", tmp_path / "shallow.pt")
    assert started.epoch == 0
    found = started.net.eval()
    assert equal({k: v for k, v in found.state_dict().items() if k in lacking}, lacking)
    x = torch.randn(2, 256, 4, 4).mul(16).round().div(16).clamp(-8, 7.9375)
    assert torch.equal(found.blocks[5](x), x) and not torch.equal(net.blocks[5](x), x)


def training(folder, out, *more):
    """What `bitreplay pretrain` makes before its first step."""
    parser, command = cli._parser("pretrain")
    line = ["pretrain", "--dir", folder, "--out", out, "--batch", 10, *more]
    return pretrain.Training(command.settings(parser.parse_args([str(part) for part in line])))


SMALL = "--widths", 32, 64, 128  # two blocks, block0 and block1


@pytest.fixture
def model(tmp_path):
    """A model, and the net that it was exported from, folded."""
    torch.manual_seed(7)
    net = torch_net.Net(widths=SMALL[1:])
    with torch.no_grad():
        for layer in net.affine_layers().values():
            layer.affine.slope.uniform_(-0.3, 0.8)
            layer.affine.norm.running_var.fill_(layer.weight[0].numel())
            layer.affine.norm.bias.normal_(0, 0.3)
        for threshold in net.thresholds().values():
            threshold.normal_(0, 0.3)
    path = tmp_path / "model"
    export.export(net, path, "model", [f"class {i}" for i in range(100)])
    return path, net.fold()


def test_init_from_a_model(folder, tmp_path, model):
    """It computes what the model does, from latent weights near 0, and what it was folded into is trained."""
    path, folded = model
    found = training(folder, tmp_path / "new.pt", "--init", path, *SMALL)
    found.net.eval()
    x = pretrain.to_input(found.x_validation)
    with torch.no_grad():
        assert torch.equal(found.net.latent(x).double(), folded.latent(x.double()))
        scores = found.net(x)
        assert (scores.double() - folded(x.double())).abs().max() <= 2 / torch_net.SCORE
    for layer in [*found.net.blocks, found.net.trainable]:
        assert torch.equal(layer.weight.abs(), torch.full_like(layer.weight, restore.START))
        assert 0.5 <= layer.affine.slopes.abs().max() <= 1
    assert not any(".norm." in name for name in found.net.state_dict())
    # A block that the model lacks starts as identity.
    deeper = training(folder, tmp_path / "new.pt", "--init", path, "--widths", 32, 64, 128, 128).net.eval()
    with torch.no_grad():
        assert torch.equal(deeper(x), scores)


def test_training_from_a_model(train, folder, tmp_path, model):
    """Every parameter moves; the checkpoint can be gone on with, exported, and started from."""
    path, folded = model
    out = tmp_path / "new.pt"
    line = [out, "--latent", "block1", *SMALL]
    assert train(*line, "--init", path)[0] == 0
    assert train(*line)[::2] == (0, "")
    net = restore.from_checkpoint(out)
    assert net.latent_name == "block1"
    start = dict(training(folder, tmp_path / "other.pt", "--init", path, *line[1:]).net.named_parameters())
    for name, parameter in net.named_parameters():
        assert not torch.equal(parameter, start[name]), name
    export.export(net, tmp_path / "deep", "deep", None)
    assert restore.from_model(tmp_path / "deep").latent_name == "block1"
    assert train(tmp_path / "again.pt", "--init", tmp_path / "deep", *line[1:])[0] == 0  # it has no head


def test_only_what_lies_above_the_latent_is_trained(train, folder, tmp_path, model):
    """Latents stay what they are, and checkpoints, which have batch norm, are refused."""
    path, _ = model
    line = ["--latent", "block1", "--above", *SMALL]
    assert train(tmp_path / "new.pt", "--init", path, *line)[0] == 0
    net = restore.from_checkpoint(tmp_path / "new.pt")
    start = training(folder, tmp_path / "other.pt", "--init", path, *line).net
    below = {"blocks.1.threshold"} | {name for name in start.state_dict() if name.startswith(("stem.", "blocks.0."))}
    before = dict(start.named_parameters())
    for name, parameter in net.named_parameters():
        assert torch.equal(parameter, before[name]) == (name in below), name
    assert train(tmp_path / "norm.pt", *SMALL)[0] == 0
    status, _, error = train(tmp_path / "more.pt", "--init", tmp_path / "norm.pt", *line)
    assert (status, error.count("\n")) == (2, 1) and "--above needs --init with a model" in error


@pytest.mark.parametrize("content", ["text", "other widths", "other classes"])
def test_models_that_are_no_start(train, tmp_path, model, content):
    path, folded = model
    if content == "text":
        path.write_text("12345678{}")
    elif content == "other classes":
        folded.head.data = folded.head.data[:3]
        export.export(folded, path, "model", ["a", "b", "c"])
    status, _, error = train(tmp_path / "new.pt", "--init", path, *(SMALL if content != "other widths" else ()))
    assert status == 2 and error.count("\n") == 1 and str(path) in error
    assert re.search("is not a model" if content == "text" else "holds the weights of another network", error)


@pytest.mark.parametrize("init", ["checkpoint", "model", "cut"])
def test_latent(folder, tmp_path, model, init):
    """The levels are those of the weights that it starts from, else of images; without weights those of a sign."""
    path, _ = model
    settings = [*SMALL, "--latent", "block1"]
    torch.manual_seed(3)
    net = torch_net.Net(widths=SMALL[1:], latent="block1" if init == "cut" else "latent")
    if init == "cut":
        net.blocks[1].levels.data.normal_()
    torch.save({"net": net.state_dict()}, tmp_path / "net.pt")
    found = training(
        folder, tmp_path / "new.pt", *settings, "--init", path if init == "model" else tmp_path / "net.pt"
    )
    levels = found.net.blocks[1].levels
    if init == "cut":
        assert torch.equal(levels, net.blocks[1].levels)
    else:
        if init == "model":
            net = restore.from_model(path)
        net.cut("block1")
        images = np.load(folder / "cifar100_train_images.npy")
        net.calibrate(images[np.arange(40) % data.HELD_BACK != data.HELD_BACK - 1])
        assert torch.equal(levels.double(), net.blocks[1].levels.double())
    new = training(folder, tmp_path / "new.pt", *settings).net.blocks[1].levels
    assert torch.equal(new, torch.tensor([-1.0, 1.0]).expand(64, 2))


def test_latents_that_a_net_does_not_have(train, tmp_path):
    status, _, error = train(tmp_path / "net.pt", "--latent", "block2", *SMALL)
    assert (status, error) == (2, "bitreplay: --latent block2: the net can be cut at block0, block1, latent\n")


@pytest.mark.parametrize("option", ["--init", "--out"])
def test_what_is_no_checkpoint(train, tmp_path, option):
    (tmp_path / "text").write_text("text")
    torch.save({"net": {"head": torch.zeros(3)}}, tmp_path / "other")
    for name, message in (
        ("text", "is not a checkpoint"),
        ("other", "holds the weights of another network|can go on from"),
    ):
        status, _, error = train(tmp_path / "new.pt", option, tmp_path / name)
        assert status == 2 and error.count("\n") == 1 and re.search(message, error), error
        assert str(tmp_path / name) in error
    assert not (tmp_path / "new.pt").exists()


def test_other_epochs_are_refused(train, tmp_path):
    """The schedule of a checkpoint is for so many epochs; it is not stretched silently."""
    train(tmp_path / "net.pt")
    status, _, error = train(tmp_path / "net.pt", "--epochs", 3)
    assert status == 2 and "was begun with other --epochs" in error and error.count("\n") == 1


@pytest.fixture(scope="module")
def begun(folder, tmp_path_factory):
    """A checkpoint after one epoch, the only one."""
    out = tmp_path_factory.mktemp("begun") / "net.pt"
    assert cli.main(begin(folder, out)) == 0
    return out


def begin(folder, out, *more):
    line = ["pretrain", "--dir", folder, "--out", out, "--epochs", 1, "--batch", 20, "--no-compile", *more]
    return [str(part) for part in [*line, *([] if "--widths" in more else ["--widths", 32, 64, 128])]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--rate", 1e-3), "was begun with --rate 0.003, not 0.001: give the same again"),
        (("--seed", 2), "was begun with --seed 1, not 2"),
        (("--cutmix", 0), "was begun with --cutmix 0.5, not 0.0"),
        (("--net", "vgg"), "was begun with --net reactnet, not vgg"),
        (("--latent", "block1"), "was begun with --latent latent, not block1"),
        (("--widths", 64, 128, 256), "was begun with --widths 32 64 128, not 64 128 256"),
        (("--init", "{}"), "is there already: go on with it without --init"),
    ],
)
def test_other_settings_are_refused(folder, begun, capsys, arguments, message):
    before = begun.read_bytes()
    assert cli.main(begin(folder, begun, *(str(a).format(begun) for a in arguments))) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert begun.read_bytes() == before


def test_other_images_of_the_same_number_are_refused(folder, begun, tmp_path, capsys):
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    labels = np.load(other / "cifar100_train_labels.npy")
    np.save(other / "cifar100_train_labels.npy", labels[::-1])
    assert cli.main(begin(other, begun)) == 2
    assert "was begun with other images or labels of --data" in capsys.readouterr().err


def test_a_checkpoint_without_settings_goes_on(folder, begun, tmp_path, capsys):
    saved = torch.load(begun, weights_only=True)
    assert saved.pop("settings")["rate"] == 3e-3
    torch.save(saved, tmp_path / "old.pt")
    assert cli.main(begin(folder, tmp_path / "old.pt", "--rate", 1e-3)) == 0
    assert "; next: bitreplay export" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--rate", "nan"), "--rate must be a number above 0"),
        (("--rate", "inf"), "--rate must be a number above 0"),
        (("--rate", 0), "--rate must be a number above 0"),
        (("--cutmix", "nan"), "--cutmix must be 0..1"),
        (("--cutmix", 1.5), "--cutmix must be 0..1"),
        (("--seed", -1), "--seed must be 0..9223372036854775807"),
        (("--seed", 1 << 63), "--seed must be 0..9223372036854775807"),
    ],
)
def test_settings_out_of_range(train, tmp_path, arguments, message):
    status, _, error = train(tmp_path / "net.pt", *arguments)
    assert status == 2 and message in error and error.count("\n") == 1


def test_other_files_beside_the_checkpoint_stay(train, tmp_path):
    status, _, error = train(tmp_path / "net.log")
    assert status == 2 and "net.log would be the log" in error
    (tmp_path / "net.new").write_text("mine")
    assert train(tmp_path / "net.pt", "--widths", 32, 64, 128)[0] == 0
    assert (tmp_path / "net.new").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.log", "net.new", "net.pt"]


@pytest.mark.parametrize("arguments", [("--epochs", 0), ("--batch", 39), ("--batch", 0), ("--batch", -5)])
def test_nothing_to_train_on(train, tmp_path, arguments):
    status, _, error = train(tmp_path / "net.pt", *arguments)
    assert status == 2 and "--epochs must be at least 1 and --batch 1..38" in error


def test_a_checkpoint_of_version_0_1(tmp_path):
    """It called the trainable layer the tail."""
    net = torch_net.Net()
    old = {name.replace("trainable.", "tail."): weight for name, weight in net.state_dict().items()}
    assert "tail.weight" in old
    torch.save({"net": old}, tmp_path / "old.pt")
    found = restore.from_checkpoint(tmp_path / "old.pt")
    assert torch.equal(found.trainable.weight, net.trainable.weight)


def test_widths(train, tmp_path):
    """A smaller net; export finds out what it is."""
    status, _, _ = train(tmp_path / "net.pt", "--widths", 32, 64, 64, 128)
    assert status == 0
    net = restore.from_checkpoint(tmp_path / "net.pt")
    assert [tuple(block.weight.shape[:2]) for block in net.blocks] == [(64, 32), (64, 64), (128, 64)]
    assert [block.stride for block in net.blocks] == [2, 1, 2]


@pytest.mark.parametrize(
    "widths", [(32,), (64, 128), (64, 64, 128), (64, 128, 64, 128, 256), (33, 66, 132), (0, 0, 0)]
)
def test_widths_that_cannot_be(train, tmp_path, widths):
    status, _, error = train(tmp_path / "net.pt", "--widths", *widths)
    assert status == 2 and "--widths must be multiples of 32" in error and error.count("\n") == 1


@pytest.mark.parametrize("net", ["reactnet", "birealnet", "quicknet"])
def test_what_is_trained_folded_is_what_is_exported(train, tmp_path, net):
    """From a checkpoint: the integers are trained, and the net as trained computes what its export does."""
    whole, folded = tmp_path / "whole.pt", tmp_path / "folded.pt"
    assert train(whole, "--net", net, *SMALL)[0] == 0
    assert train(folded, "--net", net, *SMALL, "--init", whole, "--folded", "--rate", 1e-2)[0] == 0
    assert not any(".norm." in name for name in weights(folded))
    trained, x = restore.from_checkpoint(folded).double().eval(), torch.randn(8, 3, 32, 32).double()
    export.export(trained, tmp_path / "model", "model", [f"class {i}" for i in range(100)])
    with torch.no_grad():
        latent = trained.latent(x)
        assert torch.equal(latent, restore.from_model(tmp_path / "model").latent(x))
        assert torch.equal(trained.features(latent), trained.fold().features(latent))
    before = restore.from_checkpoint(whole).blocks[0].weight
    assert torch.equal(before.abs(), before.abs().clamp(max=1)) and not torch.equal(before, trained.blocks[0].weight)


@pytest.mark.parametrize("more", [(), ("--init", "MODEL"), ("--init", "CHECKPOINT", "--net", "vgg")])
def test_what_cannot_be_folded(train, tmp_path, model, more):
    train(tmp_path / "old.pt", *SMALL)
    files = {"MODEL": model[0], "CHECKPOINT": tmp_path / "old.pt"}
    status, _, error = train(tmp_path / "new.pt", "--folded", *(files.get(word, word) for word in more), *SMALL)
    assert status == 2 and "--folded needs --init with a checkpoint" in error and error.count("\n") == 1
