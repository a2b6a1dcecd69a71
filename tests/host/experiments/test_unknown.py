"""How well a learner tells what it was not taught."""

import numpy as np
import pytest
from bitreplay_host import cli
from bitreplay_host.experiments.unknown import auroc


def test_auroc():
    rng = np.random.default_rng(1)
    higher, lower = rng.integers(2, 9, 20), rng.integers(0, 7, 30)
    pairs = [(a > b) + (a == b) / 2 for a in higher for b in lower]
    assert auroc(higher, lower) == pytest.approx(np.mean(pairs))
    assert auroc(np.array([3]), np.array([1, 2])) == 1 and auroc(np.array([1]), np.array([1, 1])) == 0.5


def test_the_command(small_model, synthetic_data, micropython, tmp_path, capsys):
    places = ["--data", synthetic_data, "--cache", tmp_path, "--micropython", micropython, "--model", small_model]
    line = [*map(str, places), "--fresh", "12", "--test", "6", "--replay", "40", "--epochs", "2", "--seeds", "1", "2"]
    assert cli.main(["unknown", *line]) == 0
    head, _, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["seed", "AUROC", "accuracy", "known", "refused", "unknown", "refused"]
    assert [row.split()[0] for row in rows] == ["1", "2", "mean"]
    assert cli.main(["unknown", *line, "--share", "0"]) == 2
    assert "--share above 0 and at most 1" in capsys.readouterr().err
