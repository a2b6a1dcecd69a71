"""`bitreplay data hapt` on small synthetic recordings, from a file and from a package index on this machine."""

import gzip
import hashlib
import io
import pickle
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import bitreplay
import numpy as np
import pytest
from bitreplay_host import cli
from bitreplay_host.datasets import hapt
from bitreplay_host.errors import UserError
from synthetic_data import ROOT

STAND, WALK, NOTHING, TRANSITION = 5, 1, -1, 7


def recording(*parts):
    """(samples in g and rad/s, activities) of (activity, length) after each other."""
    activities = np.concatenate([np.full(length, activity) for activity, length in parts])
    samples = np.random.default_rng(len(activities)).uniform(-1.9, 1.9, (len(activities), 6))
    return samples, activities


PEOPLE = {
    2: [recording((WALK, 128), (NOTHING, 200), (STAND, 127)), recording((STAND, 256), (TRANSITION, 150), (WALK, 191))],
    1: [recording((WALK, 192))],
}


class _Frame:
    pass


class _Manager:
    def __getstate__(self):
        return self.state


def pickled(people):
    """As pandas' data frames are pickled, by classes of other names."""
    frames = {}
    for person, recordings in people.items():
        frames[person] = []
        for samples, activities in recordings:
            frame, manager = _Frame(), _Manager()
            numbers = np.stack([np.arange(len(activities)), activities])
            manager.state = (["axes"], [np.ascontiguousarray(samples.T), numbers], ["items"], {})
            frame._data = manager
            frames[person].append(frame)
    return pickle.dumps(frames, protocol=1)


def package(path, contents, monkeypatch):
    """The Python package with this pickle, which is taken for the real one."""
    with tarfile.open(path, "w:gz") as tar:
        for name, content in (("setup.py", b"raise SystemExit"), ("data/HAPT.pkl.gz", gzip.compress(contents))):
            member = tarfile.TarInfo(f"folder/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    monkeypatch.setattr(hapt, "_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return path


@pytest.fixture
def archive(tmp_path, monkeypatch):
    return package(tmp_path / "made.tar.gz", pickled(PEOPLE), monkeypatch)


def test_windows_are_cut():
    """Whole windows of one activity, half a window apart; people in order."""
    found = hapt.windows_of(PEOPLE)
    rows = [tuple(int(found[key][i]) for key in hapt.ARRAYS[1:]) for i in range(len(found["windows"]))]
    walking, standing = WALK - 1, STAND - 1
    # activity, person, recording
    assert rows == [(walking, 1, 0)] * 2 + [(walking, 2, 0)] + [(standing, 2, 1)] * 3 + [(walking, 2, 1)]
    samples = PEOPLE[1][0][0][64:192]
    assert found["windows"].dtype == np.int16
    np.testing.assert_allclose(found["windows"][1][:, :3] / 16384, samples[:, :3], atol=1e-4)
    np.testing.assert_allclose(found["windows"][1][:, 3:] / 65.5, np.degrees(samples[:, 3:]), atol=0.01)


def test_out_of_range_is_saturated():
    samples, activities = recording((WALK, 128))
    found = hapt.windows_of({1: [(samples * 1000, activities)]})["windows"]
    assert {-32768, 32767} == set(found[abs(samples[None]) > 0.1])


def test_picture():
    """x, y, z are the colours; above acceleration, below rotation; a row starts 6 samples after the one before."""
    windows = np.zeros((1, 128, 6), np.int16)
    windows[0, 40] = 16384, -16384, 32767, 128, -12800, 32767
    image = hapt.to_images(windows)[0]
    assert image.shape == (32, 32, 3) and image.dtype == np.uint8
    places = {(row, 40 - 6 * row) for row in range(2, 7)}
    assert {tuple(place) for place in np.argwhere((image[:16] != 128).any(2))} == places
    assert {tuple(place) for place in np.argwhere((image[16:] != 128).any(2))} == places
    assert image[2, 28].tolist() == [192, 64, 255] and image[18, 28].tolist() == [129, 28, 255]


def test_package(archive, tmp_path):
    files = hapt.hapt(tmp_path / "out", archive)
    assert list(files) == list(hapt.ARRAYS)
    found = hapt.load(tmp_path / "out")
    for key, array in hapt.windows_of(PEOPLE).items():
        np.testing.assert_array_equal(found[key], array)
    before = files["windows"].stat().st_mtime_ns
    assert hapt.hapt(tmp_path / "out") == files  # without a source or a network
    assert files["windows"].stat().st_mtime_ns == before


def test_other_file_is_refused(archive, tmp_path):
    archive.write_bytes(archive.read_bytes() + b"\0")
    with pytest.raises(UserError, match="made.tar.gz is not kcc2020.* fetch it again"):
        hapt.hapt(tmp_path / "out", archive)
    assert not list((tmp_path / "out").glob("*.npy"))


class _Harmful:
    def __reduce__(self):
        return print, ("run by the pickle",)


def test_pickle_runs_nothing(tmp_path, monkeypatch, capsys):
    path = package(tmp_path / "bad.tar.gz", pickle.dumps({1: [_Harmful()]}, protocol=1), monkeypatch)
    with pytest.raises(AttributeError):
        hapt.hapt(tmp_path / "out", path)
    assert "run by" not in capsys.readouterr().out


def test_nothing_fetched_yet(tmp_path):
    with pytest.raises(UserError, match="run `bitreplay data hapt --dir"):
        hapt.load(tmp_path)


@pytest.fixture
def index(archive, monkeypatch):
    """A package index; {path: contents}."""
    contents = {
        f"/simple/{hapt._PROJECT}/": f'<a href="../../files/{hapt._ARCHIVE}#sha256=0">{hapt._ARCHIVE}</a>'.encode(),
        f"/files/{hapt._ARCHIVE}": archive.read_bytes(),
    }

    class Index(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path not in contents:
                return self.send_error(404)
            self.send_response(200)
            self.send_header("Content-Length", str(len(contents[self.path])))
            self.end_headers()
            self.wfile.write(contents[self.path])

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Index) as server:
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/simple")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield contents
        server.shutdown()
        thread.join()


def test_fetched_from_the_index_that_pip_has(index, tmp_path, capsys):
    assert cli.main(["data", "hapt", "--dir", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out == f"hapt is in {tmp_path / 'out'}, verified\n"
    assert len(hapt.load(tmp_path / "out")["windows"]) == 7


@pytest.mark.parametrize(
    ("page", "words"), [(b"<html>", "has no kcc2020.*give it to --from"), (None, "cannot be read")]
)
def test_index_without_it(index, tmp_path, page, words):
    name = f"/simple/{hapt._PROJECT}/"
    del index[name]
    if page:
        index[name] = page
    with pytest.raises(UserError, match=words):
        hapt.hapt(tmp_path / "out")


# The network for windows, models/imu.safetensors.

MODEL = ROOT / "models" / "imu.safetensors"


@pytest.mark.torch
def test_shipped_model_is_what_pytorch_computes(real_data):
    """The same predictions for windows of people that it was not trained on, nearly all of them right."""
    import torch
    from bitreplay_host.training.net import to_input
    from bitreplay_host.training.restore import from_model

    found = hapt.load(real_data)
    rows = np.flatnonzero(found["people"] > 20)[::80]
    images = hapt.to_images(found["windows"][rows])
    net = bitreplay.load(MODEL)
    integers = np.array([net.labels.index(net.classify(image.tobytes())[0]) for image in images])
    with torch.no_grad():
        pixels = to_input(torch.from_numpy(images).permute(0, 3, 1, 2)).double()
        floats = from_model(MODEL)(pixels).argmax(1).numpy()
    np.testing.assert_array_equal(integers, floats)
    assert (integers == found["labels"][rows]).mean() > 0.9


def test_card_is_of_the_shipped_model():
    card = (ROOT / "models" / "imu.md").read_text()
    assert hashlib.sha256(MODEL.read_bytes()).hexdigest() in card and f"{MODEL.stat().st_size:,} bytes" in card
