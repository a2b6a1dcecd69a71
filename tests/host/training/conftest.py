"""Exported nets, and the commands that export and pretrain."""

import numpy as np
import pytest
from bitreplay_host import cli
from synthetic_data import make_dataset


@pytest.fixture
def exported(request, tmp_path):
    """A random net, and the model exported from it."""
    from bitreplay_host.training import export
    from random_nets import LABELS, random_net

    net, path = random_net(*getattr(request, "param", [1])), tmp_path / "net.safetensors"
    export.export(net, path, "random", LABELS)
    return net, path


@pytest.fixture
def export_command(tmp_path, capsys):
    """A function: exports a file to tmp_path / "model" by the command line, whose errors are those."""
    make_dataset(tmp_path, "cifar100", 1, 1, side=32)

    def run(source, *more):
        out = tmp_path / "model"
        status = cli.main(["export", "--dir", str(tmp_path), *more, str(source), str(out)])
        return status, out, capsys.readouterr().err

    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a cifar100 of 40 + 40 images, of as many classes."""
    folder = tmp_path_factory.mktemp("cifar100")
    make_dataset(folder, "cifar100", 1, 1, side=32)
    for path in folder.iterdir():
        np.save(path, np.load(path)[:40])
    return folder


@pytest.fixture
def train(folder, capsys):
    """A function: trains two epochs of three steps to a checkpoint; returns exit status, output and errors."""

    def train(out, *more):
        line = ["pretrain", "--dir", folder, "--out", out, "--epochs", 2, "--batch", 12, "--no-compile", *more]
        status = cli.main([str(part) for part in line])
        return status, *capsys.readouterr()

    return train
