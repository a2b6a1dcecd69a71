"""The matrix of what was taken for what, as a table and as a plot."""

import numpy as np
import pytest
from bitreplay_host.teaching import confusion
from PIL import Image

FOUND = np.array([[3, 1, 0, 0], [0, 4, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])


def test_classes_that_play_no_part_are_left_out_and_others_are_by_name():
    found = FOUND.copy()
    found[0, 2] = 1
    lines = confusion.describe(found, ["mug", "cup", "pot", "dish"]).splitlines()
    assert [line.split() for line in lines[2:]] == [
        ["1", "cup", "4", "100.0"],
        ["2", "mug", "1", "3", "1", "60.0"],
        ["3", "pot", "not", "tested"],
    ]
    assert confusion.accuracy(found) == "77.8 % (7 of 9)"


def test_of_many_classes_the_most_frequent_errors_are_told():
    expected, predicted = np.arange(30), np.arange(30)
    found = confusion.matrix(np.append(expected, [3, 3, 5]), np.append(predicted, [4, 4, 6]), 30)
    lines = confusion.describe(found, [f"c{i}" for i in range(30)]).splitlines()
    assert [line.split() for line in lines[2:]] == [["c3", "c4", "2"], ["c5", "c6", "1"]]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("count", [2, 60])
def test_a_plot_takes_any_names(count, tmp_path):
    names = ["$x_1$ \N{CJK UNIFIED IDEOGRAPH-732B}", *("x" * 64 for _ in range(count - 1))]
    confusion.plot(tmp_path / "a.png", np.eye(count, dtype=int), names)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size[0] == picture.size[1] >= 400
