"""`bitreplay data` on small synthetic datasets: what is refused, what is kept, and that it needs no network."""

import hashlib
import io
import pickle
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest
from bitreplay_host import cli, paths
from bitreplay_host.commands import data
from bitreplay_host.datasets import cifar, fetch, registry
from bitreplay_host.errors import UserError

IMAGES = 6  # in each .bin file


def synthetic_images(count, seed):
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), np.uint8)


def planes(images):
    """As the official files have them: (n, 3072), all of red, then of green, then of blue."""
    return images.transpose(0, 3, 1, 2).reshape(len(images), -1)


def tar_gz(path, files):
    with tarfile.open(path, "w:gz") as tar:
        for name, contents in files.items():
            member = tarfile.TarInfo(f"some-folder/{name}")
            member.size = len(contents)
            tar.addfile(member, io.BytesIO(contents))
    return path


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    monkeypatch.setattr(cifar, "_SITE", "http://127.0.0.1:9/")  # nothing listens there
    monkeypatch.setenv("PATH", "")  # no npm


@pytest.fixture
def bins(tmp_path, monkeypatch):
    """A folder with CIFAR-10's six files, of a few images each, which are taken for the official ones."""
    folder = tmp_path / "bins"
    folder.mkdir()
    for seed, name in enumerate(cifar._CIFAR10_SHA256):
        labels = np.arange(IMAGES, dtype=np.uint8)[:, None]
        (folder / name).write_bytes(np.hstack([labels, planes(synthetic_images(IMAGES, seed))]).tobytes())
    sums = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in cifar._CIFAR10_SHA256}
    monkeypatch.setattr(cifar, "_CIFAR10_SHA256", sums)
    return folder


@pytest.fixture
def archive(tmp_path, bins):
    return tar_gz(tmp_path / "archive.tar.gz", {path.name: path.read_bytes() for path in bins.iterdir()})


@pytest.fixture
def cifar100(monkeypatch):
    """(images, labels) of a small train and test split, not in order, which are taken for CIFAR-100's."""
    splits = [(synthetic_images(n, n), np.arange(n, dtype=np.uint8)[::-1] % 4) for n in (20, 8)]
    arrays = [array for split in splits for array in cifar._in_order(*split)]
    sums = {key: hashlib.sha256(a).hexdigest() for key, a in zip(fetch.IMAGES, arrays, strict=True)}
    monkeypatch.setattr(cifar, "_CIFAR100_SHA256", sums)
    return splits


def test_cifar10_arrays(bins, tmp_path):
    files = cifar.cifar10(tmp_path / "out", bins)
    assert list(files) == list(fetch.IMAGES)
    images, labels = registry.load("cifar10", "train", tmp_path / "out")
    np.testing.assert_array_equal(images, np.concatenate([synthetic_images(IMAGES, seed) for seed in range(5)]))
    np.testing.assert_array_equal(labels, np.tile(np.arange(IMAGES), 5))
    images, labels = registry.load("cifar10", "test", tmp_path / "out")
    np.testing.assert_array_equal(images, synthetic_images(IMAGES, 5))
    assert images.dtype == labels.dtype == np.uint8


def test_npy_as_boards_read_them(bins, tmp_path):
    """Version 1.0 and C order: a header of 10 bytes and a length, then the pixels as they come."""
    raw = cifar.cifar10(tmp_path / "out", bins)["test_images"].read_bytes()
    header = 10 + int.from_bytes(raw[8:10], "little")
    assert raw[:8] == b"\x93NUMPY\x01\x00" and b"'fortran_order': False" in raw[:header]
    assert raw[header:] == synthetic_images(IMAGES, 5).tobytes()


def test_archive_and_folder_are_equal(bins, archive, tmp_path):
    for out, source in (("a", bins), ("b", archive)):
        cifar.cifar10(tmp_path / out, source)
    assert (tmp_path / "a/cifar10.sha256").read_text() == (tmp_path / "b/cifar10.sha256").read_text()


def test_idempotent(bins, tmp_path):
    files = cifar.cifar10(tmp_path, bins)
    before = {path: path.stat().st_mtime_ns for path in files.values()}
    assert cifar.cifar10(tmp_path) == files  # without a source or a network
    assert {path: path.stat().st_mtime_ns for path in files.values()} == before


@pytest.mark.parametrize("damage", [lambda raw: raw[:-1], lambda raw: raw[:-1] + bytes([raw[-1] ^ 1])])
def test_damaged_array_is_made_again(bins, tmp_path, damage):
    path = cifar.cifar10(tmp_path, bins)["train_images"]
    good = path.read_bytes()
    path.write_bytes(damage(good))
    cifar.cifar10(tmp_path, bins)
    assert path.read_bytes() == good


def test_no_stamp_is_made_again(bins, tmp_path):
    cifar.cifar10(tmp_path, bins)
    (tmp_path / "cifar10.sha256").unlink()
    with pytest.raises(UserError, match="cannot be fetched"):
        cifar.cifar10(tmp_path)


def test_wrong_hash(bins, tmp_path):
    raw = bytearray((bins / "data_batch_3.bin").read_bytes())
    raw[100] ^= 1
    (bins / "data_batch_3.bin").write_bytes(raw)
    with pytest.raises(UserError, match=r"data_batch_3\.bin .* fetch it again"):
        cifar.cifar10(tmp_path / "out", bins)
    assert not list((tmp_path / "out").glob("*.npy"))


def test_truncated_archive(archive, tmp_path):
    archive.write_bytes(archive.read_bytes()[:-1000])
    with pytest.raises(UserError, match=r"archive\.tar\.gz is damaged or cut off"):
        cifar.cifar10(tmp_path / "out", archive)
    assert archive.exists()  # it is the user's


def test_archive_of_something_else(tmp_path):
    other = tar_gz(tmp_path / "other.tar.gz", {"data_batch_1.bin": b""})
    with pytest.raises(UserError, match="data_batch_2.bin, .* is not in it"):
        cifar.cifar10(tmp_path / "out", other)


def test_damaged_download_is_dropped(tmp_path):
    download = tmp_path / "cifar10.download/cifar-10-binary.tar.gz"
    download.parent.mkdir()
    download.write_bytes(b"not an archive")
    with pytest.raises(UserError, match="damaged"):
        cifar.cifar10(tmp_path)
    assert not download.exists()


def test_what_is_the_users_stays(bins, archive, tmp_path):
    """An archive of the user in the folder for downloads, and what else is there."""
    out = tmp_path / "out"
    mine = out / "cifar10.download" / "mine.tar.gz"
    mine.parent.mkdir(parents=True)
    archive.rename(mine)
    (mine.parent / "notes").write_text("mine")
    (out / "cifar10_train_images.npy.new").write_text("mine")
    cifar.cifar10(out, mine)
    assert mine.exists() and (mine.parent / "notes").exists()
    assert (out / "cifar10_train_images.npy.new").read_text() == "mine"
    # With nothing given, what lies there under the archive's own name is the download.
    (out / "cifar10.sha256").unlink()
    mine.rename(mine.with_name("cifar-10-binary.tar.gz"))
    cifar.cifar10(out)
    assert [path.name for path in mine.parent.iterdir()] == ["notes"]


def test_a_source_needs_no_folder_for_downloads(bins, tmp_path):
    files = cifar.cifar10(tmp_path / "out", bins)
    found = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert found == sorted([*(path.name for path in files.values()), "cifar10.sha256"])


def test_a_folder_for_downloads_that_is_a_link(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "cifar10.download").symlink_to(tmp_path / "mine")
    with pytest.raises(UserError, match="download is a link"):
        cifar.cifar10(tmp_path)
    assert (tmp_path / "mine").exists()


def test_a_file_of_that_name_that_is_no_array(bins, tmp_path):
    (tmp_path / "cifar10_test_labels.npy").write_text("mine")
    with pytest.raises(UserError, match="cifar10_test_labels.npy would be overwritten, and is not an array"):
        cifar.cifar10(tmp_path, bins)
    assert (tmp_path / "cifar10_test_labels.npy").read_text() == "mine"


def test_nothing_fetched_yet(tmp_path):
    with pytest.raises(UserError, match="run `bitreplay data cifar10 --dir"):
        registry.load("cifar10", "train", tmp_path)


def test_class_names():
    assert {name: len(registry.class_names(name)) for name in registry.DATASETS} == {
        "cifar10": 10, "cifar100": 100, "fashion": 10, "quickdraw": 40, "fsdd": 10,
        "core50": 50, "core50_categories": 10
    }  # fmt: skip
    assert all(len(set(names)) == len(names) for _, names in registry.DATASETS.values())
    assert registry.class_names("cifar10")[3] == "cat" and registry.class_names("cifar100")[0] == "apple"


class _Site(BaseHTTPRequestHandler):
    """Sends `contents`, from where it is asked to; closes the connection after `cut` bytes."""

    contents, cut, ranges, asked = b"", None, True, []

    def do_GET(self):
        start = int((self.headers["Range"] or "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        self.asked.append(start)
        if self.ranges and start >= len(self.contents):
            return self.send_error(416)
        self.send_response(206 if self.ranges and start else 200)
        rest = self.contents[start if self.ranges else 0 :]
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest[: self.cut])

    def log_message(self, *_):
        pass


@pytest.fixture
def site(archive, monkeypatch):
    """A web server with the archive."""
    for name, value in {"contents": archive.read_bytes(), "cut": None, "ranges": True, "asked": []}.items():
        monkeypatch.setattr(_Site, name, value)
    with HTTPServer(("127.0.0.1", 0), _Site) as server:
        monkeypatch.setattr(cifar, "_SITE", f"http://127.0.0.1:{server.server_port}/")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield _Site
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("ranges", [True, False])
def test_download_goes_on(site, tmp_path, ranges):
    site.cut, site.ranges = 5000, ranges
    with pytest.raises(UserError, match="bytes to go.*run this again"):
        cifar.cifar10(tmp_path / "out")
    site.cut = None
    files = cifar.cifar10(tmp_path / "out")
    assert site.asked == [0, 5000]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(
        [*(p.name for p in files.values()), "cifar10.sha256"]
    )


def test_download_that_was_complete(site, tmp_path):
    part = tmp_path / "cifar10.download/cifar-10-binary.tar.gz.part"
    part.parent.mkdir()
    part.write_bytes(site.contents)
    cifar.cifar10(tmp_path)
    assert site.asked == [len(site.contents)]


def cifar100_tar(path, splits):
    files = {}
    for name, (images, labels) in zip(("train", "test"), splits, strict=True):
        files[name] = pickle.dumps({b"data": planes(images), b"fine_labels": labels.tolist()}, protocol=4)
    return tar_gz(path, files)


def test_cifar100_has_one_order(cifar100, tmp_path):
    """From the official archive and from an .npz in another order: the same files."""
    (x_train, y_train), (x_test, y_test) = cifar100
    npz = tmp_path / "c.npz"
    np.savez(npz, x_train=x_train[::-1], y_train=y_train[::-1].astype(int), x_test=x_test, y_test=y_test)
    cifar.cifar100(tmp_path / "a", npz)
    cifar.cifar100(tmp_path / "b", cifar100_tar(tmp_path / "c.tar.gz", cifar100))
    assert (tmp_path / "a/cifar100.sha256").read_text() == (tmp_path / "b/cifar100.sha256").read_text()
    images, labels = registry.load("cifar100", "train", tmp_path / "a")
    assert (np.diff(labels.astype(int)) >= 0).all()
    pairs = [{(x.tobytes(), int(y)) for x, y in zip(*split, strict=True)} for split in ((images, labels), cifar100[0])]
    assert pairs[0] == pairs[1]


def test_cifar100_wrong_label(cifar100, tmp_path):
    cifar100[1][1][0] ^= 1
    with pytest.raises(UserError, match="the test .* are not those of CIFAR-100"):
        cifar.cifar100(tmp_path / "out", cifar100_tar(tmp_path / "c.tar.gz", cifar100))


@pytest.mark.parametrize("contents", [b"", b"text", b"PK\x03\x04 cut off"])
def test_cifar100_bad_npz(tmp_path, contents):
    (tmp_path / "c.npz").write_bytes(contents)
    with pytest.raises(UserError, match="is not an .npz with x_train"):
        cifar.cifar100(tmp_path / "out", tmp_path / "c.npz")


class _Harmful:
    def __reduce__(self):
        return print, ("run by the pickle",)


def test_cifar100_pickle_runs_nothing(tmp_path, capsys):
    bad = tar_gz(tmp_path / "c.tar.gz", {"train": pickle.dumps(_Harmful()), "test": b""})
    with pytest.raises(UserError, match="it asks for builtins.print"):
        cifar.cifar100(tmp_path / "out", bad)
    assert "run by" not in capsys.readouterr().out


def test_command(bins, tmp_path, capsys):
    assert cli.main(["data", "cifar10", "--dir", str(tmp_path / "out"), "--from", str(bins)]) == 0
    assert capsys.readouterr().out == f"cifar10 is in {tmp_path / 'out'}, verified\n"


@pytest.mark.parametrize("name", registry.DATASETS)
def test_command_says_what_is_wrong_in_one_line(tmp_path, capsys, name):
    assert cli.main(["data", name, "--dir", str(tmp_path), "--from", str(tmp_path / "nowhere")]) == 2
    assert capsys.readouterr().err == f"bitreplay: {tmp_path / 'nowhere'} does not exist\n"


def test_command_ctrl_c(monkeypatch, capsys):
    monkeypatch.setitem(data.DATASETS, "cifar10", lambda *_: exec("raise KeyboardInterrupt"))
    assert cli.main(["data", "cifar10"]) == 130
    assert capsys.readouterr().err == "\nbitreplay: stopped\n"


def test_command_traceback(monkeypatch, tmp_path):
    with pytest.raises(UserError):
        cli.main(["--traceback", "data", "cifar10", "--from", str(tmp_path / "nowhere")])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--help"], ["examples:", "bitreplay demo", "exit status:", *cli.COMMANDS]),
        (["data", "--help"], ["--from", "examples:", str(paths.DATA), "verify", "licence"]),
    ],
)
def test_help(arguments, words, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)
    shown = capsys.readouterr().out
    assert end.value.code == 0
    assert not [word for word in words if word not in shown]
