"""The float twin and what it teaches: real weights and activations, and predictions that a net learns."""

import math

import pytest
from bitreplay_host import cli

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from bitreplay_host.training import distil, net, plain, restore, twin  # noqa: E402
from random_nets import LABELS, SMALL, as_input, images_of  # noqa: E402


@pytest.fixture
def pretrain(train):
    """A function: trains a small net one epoch of one step; returns exit status, output and errors."""

    def run(out, *more):
        return train(out, "--epochs", 1, "--batch", 38, *more, "--widths", 32, 64, 128)

    return run


@pytest.fixture
def teacher(tmp_path, pretrain):
    """The checkpoint of a float twin."""
    status, shown, _ = pretrain(tmp_path / "twin.pt", "--net", "float")
    assert status == 0 and f"next: bitreplay pretrain --teacher {tmp_path}/twin.pt" in shown
    return tmp_path / "twin.pt"


def test_the_twin_has_the_shape_of_its_net():
    """The same weights by name, and of the same shapes."""
    nets = [plain.make(kind, widths=SMALL).state_dict() for kind in ("reactnet", twin.FLOAT)]
    shapes = [{name: value.shape for name, value in weights.items()} for weights in nets]
    assert shapes[0] == shapes[1]


def test_the_twins_weights_and_activations_are_real():
    """A block is a convolution of what is above the thresholds, with the weights as they are; so is the last layer."""
    torch.manual_seed(1)
    found = plain.make(twin.FLOAT, widths=SMALL).eval()
    block, x = found.blocks[0], torch.randn(2, 32, 16, 16)
    with torch.no_grad():
        block.threshold.normal_()
        read = (x - block.threshold.view(1, -1, 1, 1)).clamp(min=0)
        acc = torch.nn.functional.conv2d(read, block.weight, padding=1)
        assert torch.equal(block(x), net.saturate(x + block.affine(acc)))
        latent = found.latent(as_input(images_of(1, 4)))
        acc = torch.nn.functional.conv2d(latent, found.trainable.weight, groups=2)
        assert latent.min() == 0 and len(latent.unique()) > 2
        assert torch.equal(found.trainable(latent), net.saturate(latent + found.trainable.affine(acc)))


def test_the_loss_is_the_divergence_of_softened_predictions():
    """Of predictions at the temperature, times its square; 0 for equal ones, whatever is added to the scores."""
    torch.manual_seed(1)
    scores, taught = torch.randn(2, 5, 7)
    p, q = ((x / distil.TEMPERATURE).softmax(1) for x in (taught, scores))
    expected = distil.TEMPERATURE**2 * (p * (p / q).log()).sum(1).mean()
    assert math.isclose(distil.loss(scores, taught), expected, rel_tol=1e-5)
    assert distil.loss(taught + 3, taught).abs() < 1e-6


def test_a_teacher_changes_what_is_learned(pretrain, tmp_path, teacher):
    """The net moves another way with each teacher; the teacher's checkpoint stays, and the run can be repeated."""
    before = teacher.read_bytes()
    found = {}
    for name, more in {"alone": (), "taught": ("--teacher", teacher), "again": ("--teacher", teacher)}.items():
        assert pretrain(tmp_path / f"{name}.pt", *more)[0] == 0
        found[name] = restore.checkpoint(tmp_path / f"{name}.pt")["net"]["head"]
    assert torch.equal(found["taught"], found["again"]) and not torch.equal(found["taught"], found["alone"])
    assert teacher.read_bytes() == before


def test_what_is_taught_comes_nearer_to_its_teacher():
    """Steps down the loss bring the predictions of a net to those of a teacher of other widths."""
    torch.manual_seed(1)
    wide = plain.make(twin.FLOAT, widths=(64, 128, 256)).eval()
    small, x = plain.make("reactnet", widths=(32, 64, 128)), as_input(images_of(1, 16))
    optimizer = torch.optim.Adam(small.parameters(), 1e-2)
    with torch.no_grad():
        taught = 5 * wide(x)
    losses = []
    for _ in range(20):
        losses.append(distil.loss(small(x), taught))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < losses[0] / 2


def test_a_teacher_is_not_trained(teacher):
    """It is in the mode that uses what batch norm found, and has no gradients."""
    image = (32, 32, 3)
    found = distil.teacher(teacher, LABELS, image)
    assert not found.training and not any(p.requires_grad for p in found.parameters())


def test_a_checkpoint_goes_on_with_its_teacher_alone(pretrain, tmp_path, teacher):
    """Without it, or with another, the loss would be another."""
    out = tmp_path / "taught.pt"
    assert pretrain(out, "--teacher", teacher)[0] == 0
    assert pretrain(out, "--teacher", teacher)[0] == 0
    status, _, error = pretrain(out)
    assert (status, error.count("\n")) == (2, 1) and "was begun with --teacher" in error


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": LABELS[::-1]}, "was trained on other classes or images: give it the same --data"),
        ({"settings": {"net": "float", "image": [48, 32, 3]}}, "was trained on other classes or images"),
        ({"net": {}}, "holds the weights of another network"),
        (None, "is not a checkpoint"),
    ],
)
def test_teachers_that_cannot_teach(pretrain, tmp_path, teacher, change, message):
    if change:
        torch.save(torch.load(teacher, weights_only=True) | change, teacher)
    else:
        teacher.write_text("text")
    status, _, error = pretrain(tmp_path / "taught.pt", "--teacher", teacher)
    assert (status, error.count("\n")) == (2, 1) and f"{teacher} {message}" in error
    assert not (tmp_path / "taught.pt").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--net", "float", "--latent", "block1"), "--net float has no latent: leave out --latent and --above"),
        (("--net", "float", "--above"), "--net float has no latent"),
        (("--net", "float", "--init", "MODEL"), "--net float needs --init with a checkpoint"),
        (("--init", "TWIN", "--folded"), "a float net cannot be exported"),
        (("--teacher", "nowhere"), "nowhere"),
    ],
)
def test_what_a_float_net_cannot_do(pretrain, tmp_path, teacher, more, message):
    (tmp_path / "model").write_bytes(b"12345678{}")
    files = {"MODEL": tmp_path / "model", "TWIN": teacher}
    status, _, error = pretrain(tmp_path / "new.pt", *(files.get(word, word) for word in more))
    assert (status, error.count("\n")) == (2, 1) and message in error


@pytest.mark.parametrize("command", [("export", "TWIN", "MODEL"), ("export", "TWIN", "MODEL", "--latent", "block1")])
def test_a_float_net_is_not_exported(tmp_path, teacher, folder, capsys, command):
    files = {"TWIN": teacher, "MODEL": tmp_path / "model"}
    assert cli.main([str(files.get(word, word)) for word in [*command, "--dir", folder]]) == 2
    assert capsys.readouterr().err == (
        "bitreplay: a float net cannot be exported: it is for `bitreplay pretrain --teacher`\n"
    )
    assert not (tmp_path / "model").exists()
