"""`bitreplay data fashion` on small synthetic files: both sources, what is refused, and that it needs no network."""

import gzip
import hashlib
import io
import tarfile

import numpy as np
import pytest
from bitreplay_host import cli
from bitreplay_host.datasets import fashion, registry
from bitreplay_host.errors import UserError

IMAGES = 5


def synthetic(seed):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (IMAGES, 28, 28), np.uint8), np.arange(IMAGES, dtype=np.uint8)


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    monkeypatch.setenv("PATH", "")  # no apt-get


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The four files, of a few pictures each, which are taken for the official ones."""
    folder = tmp_path / "files"
    folder.mkdir()
    values = [array for seed in (1, 2) for array in synthetic(seed)]
    known = {}
    for (name, (start, _)), array in zip(fashion._FILES.items(), values, strict=True):
        raw = bytes(start) + array.tobytes()
        (folder / name).write_bytes(gzip.compress(raw))
        known[name] = start, hashlib.sha256(raw).hexdigest()
    monkeypatch.setattr(fashion, "_FILES", known)
    return folder


def deb(path, files):
    """As Debian's packages are: an ar archive with a compressed tar among its files."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:xz") as tar:
        for name, contents in files.items():
            member = tarfile.TarInfo(f"./usr/share/datasets/fashion-mnist/{name}")
            member.size = len(contents)
            tar.addfile(member, io.BytesIO(contents))
    raw = b"!<arch>\n"
    for name, contents in (("debian-binary", b"2.0\n\n"), ("data.tar.xz", packed.getvalue())):
        raw += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(contents):<10}`\n".encode() + contents
        raw += b"\n" * (len(contents) % 2)
    path.write_bytes(raw)
    return path


def test_arrays(folder, tmp_path):
    """The grey values as they are, two pixels of black around them, in three channels."""
    fashion.fashion(tmp_path / "out", folder)
    for seed, split in ((1, "train"), (2, "test")):
        images, labels = registry.load("fashion", split, tmp_path / "out")
        pictures, classes = synthetic(seed)
        assert images.shape == (IMAGES, 32, 32, 3) and images.dtype == labels.dtype == np.uint8
        for channel in range(3):
            np.testing.assert_array_equal(images[:, 2:30, 2:30, channel], pictures)
        assert images.sum(dtype=np.int64) == 3 * pictures.sum(dtype=np.int64)
        np.testing.assert_array_equal(labels, classes)


def test_package_and_folder_are_equal(folder, tmp_path):
    package = deb(tmp_path / "p.deb", {path.name: path.read_bytes() for path in folder.iterdir()})
    for out, source in (("a", folder), ("b", package)):
        fashion.fashion(tmp_path / out, source)
    assert (tmp_path / "a/fashion.sha256").read_text() == (tmp_path / "b/fashion.sha256").read_text()


def test_apt_get_fetches_it(folder, tmp_path, monkeypatch):
    files = {path.name: path.read_bytes() for path in folder.iterdir()}

    def run(command, cwd, **_):
        assert command[0] == "apt-get"
        deb(cwd / f"{command[-1]}_0.0-1_all.deb", files)

    monkeypatch.setattr(fashion.subprocess, "run", run)
    fashion.fashion(tmp_path / "out")
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".npy", ".sha256"}


def test_no_apt_get(tmp_path):
    with pytest.raises(UserError, match="cannot fetch .* give their folder to --from"):
        fashion.fashion(tmp_path / "out")


def test_wrong_hash(folder, tmp_path):
    path = folder / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(bytes(8 + IMAGES)))
    with pytest.raises(UserError, match=r"t10k-labels.* is not Fashion-MNIST's .* fetch it again"):
        fashion.fashion(tmp_path / "out", folder)
    assert not list((tmp_path / "out").glob("*.npy"))


@pytest.mark.parametrize("damage", [lambda raw: raw[:-9], lambda raw: b"text", lambda raw: raw[:20] + b"x" + raw[21:]])
def test_damaged_file(folder, tmp_path, damage):
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match="train-images.* fetch it again"):
        fashion.fashion(tmp_path / "out", folder)


def test_file_that_is_missing(folder, tmp_path):
    (folder / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(UserError, match=r"has no train-labels-idx1-ubyte.gz"):
        fashion.fashion(tmp_path / "out", folder)


def test_other_packages(tmp_path):
    other = deb(tmp_path / "other.deb", {"a": b"b"})
    with pytest.raises(UserError, match=r"train-images.* is not in it"):
        fashion.fashion(tmp_path / "out", other)
    for raw in (b"", b"!<arch>\n", b"!<arch>\n" + b"x" * 60, other.read_bytes()[:70]):
        other.write_bytes(raw)
        with pytest.raises(UserError, match="is not Debian's package"):
            fashion.fashion(tmp_path / "out", other)
    other.write_bytes(deb(tmp_path / "more.deb", {"a": b"b"}).read_bytes()[:250])
    with pytest.raises(UserError, match="damaged or cut off"):
        fashion.fashion(tmp_path / "out", other)


def test_command(folder, tmp_path, capsys):
    assert cli.main(["data", "fashion", "--dir", str(tmp_path / "out"), "--from", str(folder)]) == 0
    assert capsys.readouterr().out == f"fashion is in {tmp_path / 'out'}, verified\n"
