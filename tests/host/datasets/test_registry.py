"""Datasets are checked when they are used: what `bitreplay data` did not write is told in one line."""

import numpy as np
import pytest
from bitreplay_host.datasets import registry
from bitreplay_host.errors import UserError
from synthetic_data import make_dataset

IMAGES, LABELS = "cifar10_train_images.npy", "cifar10_train_labels.npy"


@pytest.fixture
def folder(tmp_path):
    make_dataset(tmp_path, "cifar10", 2, 1)
    return tmp_path


def changed(change):
    return lambda path: np.save(path, change(np.load(path)))


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        (IMAGES, changed(np.float64), "is not a full array of uint8 with 4 dimensions"),
        (IMAGES, changed(lambda array: array[0]), "is not a full array of uint8 with 4 dimensions"),
        (IMAGES, changed(np.asfortranarray), "Fortran"),
        (IMAGES, changed(lambda array: array[:-1]), "has 19 images, but there are 20 labels"),
        (LABELS, changed(lambda array: array[:0]), "is "),
        (IMAGES, cut, "is damaged"),
        (IMAGES, lambda path: path.write_bytes(b""), "is damaged"),
        (IMAGES, lambda path: path.write_bytes(b"text"), "is damaged"),
        (IMAGES, lambda path: path.write_bytes(b"\x93NUMPY\1\0\4\0{'a("), "is damaged"),
        (LABELS, changed(np.int64), "is not a full array of uint8 with 1 dimensions"),
        (LABELS, changed(lambda array: array + np.uint8(1)), "has labels above 9"),
        (LABELS, cut, "is damaged"),
    ],
)
@pytest.mark.parametrize("use", [registry.files, registry.load])
def test_a_damaged_dataset(folder, name, damage, message, use):
    use("cifar10", "train", folder)
    damage(folder / name)
    with pytest.raises(UserError) as told:
        use("cifar10", "train", folder)
    assert message in str(told.value) and f"run `bitreplay data cifar10 --dir {folder}` again" in str(told.value)
    use("cifar10", "test", folder)
