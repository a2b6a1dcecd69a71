"""Exported nets, and the command that exports."""

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
