"""For the tests of the host's tools: a small model, a small dataset that fits it, and the unix port of MicroPython."""

import os
from pathlib import Path

import pytest
from bitreplay_host import paths
from bitreplay_host.measure import deep
from synthetic_data import ROOT, make_dataset, models


@pytest.fixture(scope="session")
def synthetic_data(tmp_path_factory):
    """A folder with small images for the small model: cifar10 with 12 + 6 a class, cifar100 with 2 + 1."""
    folder = tmp_path_factory.mktemp("data")
    make_dataset(folder, "cifar10", 12, 6)
    make_dataset(folder, "cifar100", 2, 1)
    return folder


@pytest.fixture(scope="session")
def small_model(tmp_path_factory):
    """A model of random weights, for images of 8x8x3."""
    return Path(models.tiny_model(tmp_path_factory.mktemp("model") / "tiny.safetensors"))


@pytest.fixture(scope="session")
def deep_model(tmp_path_factory):
    """A small model with four binary layers that can be trained."""
    path = tmp_path_factory.mktemp("deep") / "deep.safetensors"
    deep.write(str(path))
    return path


@pytest.fixture(scope="session")
def micropython():
    """The unix port; another build, for example build/unix-asan/micropython, can be named."""
    binary = Path(os.environ.get("BITREPLAY_MICROPYTHON", ROOT / "build" / "unix" / "micropython"))
    if not binary.exists():
        if os.environ.get("BITREPLAY_SKIP_UNIX"):
            pytest.skip("BITREPLAY_SKIP_UNIX is set")
        pytest.fail(f"{binary} is missing: run `make unix`, or set BITREPLAY_SKIP_UNIX")
    return binary


@pytest.fixture(scope="session")
def real_data():
    """The folder with the real CIFAR-10 and drawings."""
    for name in "cifar10", "quickdraw":
        if not (paths.DATA / f"{name}_test_images.npy").exists():
            pytest.fail(f"{name} is not in {paths.DATA}: run `make data`")
    return paths.DATA
