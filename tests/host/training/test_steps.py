"""The steps of pretraining: images are augmented as told, all of a net is trained, and it learns."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from bitreplay_host.training import net as torch_net  # noqa: E402
from bitreplay_host.training import pretrain  # noqa: E402


def generator(seed=1):
    return torch.Generator().manual_seed(seed)


def numbered(count):
    """Images in which every pixel is another (up to channels), so that its place tells where it came from."""
    place = torch.arange(1024).view(1, 1, 32, 32)
    red, green = place // 8, place % 8 * 16
    return torch.cat([red, green, torch.zeros_like(place)], 1).repeat(count, 1, 1, 1).to(torch.uint8)


def test_augment():
    """Each image is a crop of itself with 4 grey pixels around, some flipped; all 81 places and both ways occur."""
    images = numbered(2000)
    found = pretrain.augment(images, generator())
    assert found.shape == images.shape and found.dtype == torch.uint8
    padded = torch.nn.functional.pad(images[:1], (4, 4, 4, 4), value=128)[0]
    crops = {}
    for y in range(9):
        for x in range(9):
            crop = padded[:, y : y + 32, x : x + 32]
            crops[crop.numpy().tobytes()] = (y, x, False)
            crops[crop.flip(2).numpy().tobytes()] = (y, x, True)
    assert len(crops) == 162
    assert len({crops[image.numpy().tobytes()] for image in found}) == 162
    assert torch.equal(found, pretrain.augment(images, generator()))
    assert not torch.equal(found, pretrain.augment(images, generator(2)))


def test_cutmix():
    """A box of another image, as large as the share says, at the same place in all; the images themselves stay."""
    images = torch.arange(40, dtype=torch.uint8).view(40, 1, 1, 1).expand(40, 3, 32, 32).contiguous()
    shares = []
    for seed in range(60):
        mixed, order, share = pretrain.cutmix(images, generator(seed))
        assert mixed.shape == images.shape and mixed.dtype == torch.uint8
        assert sorted(order.tolist()) == list(range(40))
        other = (mixed != images).any(1)[order != torch.arange(40)]
        assert (other == other[0]).all()
        rows, columns = other[0].any(1), other[0].any(0)
        assert torch.equal(other[0], rows[:, None] & columns) and rows.sum() == columns.sum()
        assert share == 1 - int(other[0].sum()) / 1024
        box = mixed[:, :, rows][..., columns]
        assert (box == order.to(torch.uint8).view(40, 1, 1, 1)).all()
        shares.append(share)
    assert torch.equal(images[:, 0, 0, 0], torch.arange(40, dtype=torch.uint8))
    assert min(shares) < 0.1 and max(shares) > 0.9
    again = pretrain.cutmix(images, generator(3)), pretrain.cutmix(images, generator(3))
    assert torch.equal(again[0][0], again[1][0]) and again[0][2] == again[1][2]


def test_to_input():
    """What the integers take as p - 128, in units of 1/64."""
    x = pretrain.to_input(torch.tensor([0, 128, 255], dtype=torch.uint8).view(3, 1, 1, 1).expand(3, 3, 32, 32))
    assert x.dtype == torch.float32 and x.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_array_equal(x[:, 1, 5, 7] * 64, [-128, 0, 127])


@pytest.mark.parametrize("latent", ["latent", "block3", "block5"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_reach_every_parameter(dtype, latent):
    torch.manual_seed(0)
    net = torch_net.Net(classes=10, latent=latent)
    images = torch.randint(0, 256, (16, 3, 32, 32), dtype=torch.uint8)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        scores = net(pretrain.to_input(images)).float()
    torch.nn.functional.cross_entropy(scores, torch.arange(16) % 10).backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        assert (parameter.grad != 0).float().mean() > 0.3, name


def test_it_learns():
    """A few steps on one minibatch lower its loss."""
    torch.manual_seed(0)
    net = torch_net.Net(classes=4)
    x, y = pretrain.to_input(torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8)), torch.arange(8) % 4
    optimizer, losses = torch.optim.Adam(net.parameters(), 3e-3), []
    for _ in range(12):
        loss = torch.nn.functional.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0], losses
