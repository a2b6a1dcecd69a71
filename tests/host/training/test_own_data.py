"""Pretraining on pictures of one's own: an .npz of another shape and with other labels."""

import bitreplay
import numpy as np
import pytest
from bitreplay_host import cli

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from bitreplay_host.training import evaluate, restore  # noqa: E402

SMALL = "--widths", 32, 64, 128  # two blocks, block0 and block1


@pytest.fixture
def archive(tmp_path):
    """An .npz of 24 grey images of 48 x 32, of three classes."""
    rng = np.random.default_rng(1)
    labels = np.arange(24) % 3
    images = rng.integers(0, 60, (24, 48, 32)) + 60 * labels[:, None, None]
    np.savez(tmp_path / "own.npz", images=images.astype(np.uint8), labels=np.array(["up", "down", "still"])[labels])
    return tmp_path / "own.npz"


@pytest.mark.parametrize("net", ["reactnet", "vgg"])
def test_own_data(train, tmp_path, archive, net):
    """An .npz to a model of its own shape and labels, which computes what PyTorch does; cut, too."""
    out = tmp_path / "own.pt"
    assert train(out, "--data", archive, "--net", net, "--no-flip", *SMALL)[0] == 0
    images = np.load(archive)["images"][:6, ..., None]
    for latent in ("latent", "block1"):
        path = tmp_path / f"{latent}.safetensors"
        line = ["export", out, path, "--name", "own", "--latent", latent, "--data", archive]
        assert cli.main([str(part) for part in line]) == 0
        model = bitreplay.load(path)
        assert (model.image_shape, model.labels) == ((48, 32, 1), ["down", "still", "up"])
        found = [model.labels.index(model.classify(image.tobytes())[0]) for image in images]
        cut = restore.from_checkpoint(out)
        if latent != "latent":
            cut.cut(latent)
            cut.calibrate(np.load(archive)["images"][..., None])
        assert evaluate.predict(cut.fold(), images).tolist() == found


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--image", "40x49x1"), "--image 40x49x1: sides must be multiples of 16"),
        (("--image", "16x32x1"), "multiples of 16, 32..256"),
        (("--data", "cifar100", "--image", "64x64x3"), "the images of cifar100 are 32x32x3"),
        (("--data", "nowhere"), "nowhere: there is no such folder or file"),
    ],
)
def test_data_that_no_net_takes(train, tmp_path, archive, more, message):
    status, _, error = train(tmp_path / "own.pt", "--data", archive, *more, *SMALL)
    assert status == 2 and message in error and error.count("\n") == 1
