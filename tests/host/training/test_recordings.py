"""Pretraining on what sensors recorded: HAPT's windows, which are tilted, and sounds; none of it is ever flipped."""

import bitreplay
import numpy as np
import pytest
from bitreplay_host import cli
from bitreplay_host.datasets import hapt
from synthetic_data import write_wav

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from bitreplay_host.training import data, pretrain, restore, tilt  # noqa: E402

PEOPLE = 1, 2, 19, 20, 21, 30


@pytest.fixture
def people(tmp_path):
    """A folder with a HAPT of five windows of each of some people."""
    rng = np.random.default_rng(1)
    windows = rng.integers(-9000, 9000, (5 * len(PEOPLE), 128, 6)).astype(np.int16)
    rows = np.arange(len(windows))
    columns = windows, rows % 6, np.repeat(PEOPLE, 5), rows % 2
    for name, column in zip(hapt.ARRAYS, columns, strict=True):
        np.save(tmp_path / f"hapt_{name}.npy", column if column is windows else column.astype(np.uint8))
    return tmp_path


def generator(seed):
    return torch.Generator().manual_seed(seed)


def test_a_tilt_is_a_rotation(people):
    windows = torch.from_numpy(hapt.load(people)["windows"])
    turned = tilt.turned(windows, generator(2))
    assert turned.dtype == torch.int16 and torch.equal(turned, tilt.turned(windows, generator(2)))
    before, after = (w.double().reshape(len(windows), 128, 2, 3) for w in (windows, turned))
    torch.testing.assert_close(after.norm(dim=-1), before.norm(dim=-1), rtol=0, atol=1)
    for one, other in zip(before, after, strict=True):
        turns = [torch.linalg.lstsq(one[:, sensor], other[:, sensor]).solution for sensor in (0, 1)]
        torch.testing.assert_close(*turns, rtol=0, atol=1e-3)  # one rotation for both of its sensors
    degrees = [np.degrees(np.arccos((turn.trace().item() - 1) / 2)) for turn in turns]
    assert 1 < degrees[0] < 90
    assert torch.equal(
        tilt.images(windows, generator(2)), torch.from_numpy(hapt.to_images(turned.numpy())).permute(0, 3, 1, 2)
    )


def test_hapt(train, people, tmp_path, monkeypatch):
    """Its first 20 people, of whom one is held back, make a model; each minibatch is tilted."""
    found = data.load("hapt", people)
    assert len(found.images) == 20 and found.held.tolist() == [False] * 15 + [True] * 5 and found.recorded
    batches, images = [], tilt.images
    monkeypatch.setattr(tilt, "images", lambda windows, rng: batches.append(windows) or images(windows, rng))
    out, line = tmp_path / "imu.pt", ["--data", "hapt", "--dir", people, "--widths", 32, 64, 128, "--batch", 5]
    status, shown, error = train(out, *line)
    assert (status, error) == (0, "") and "epoch 2/2" in shown
    assert len(batches) == 6
    trained = {window.numpy().tobytes() for batch in batches for window in batch}
    assert trained == {window.tobytes() for window in found.windows[:15]}
    assert cli.main(["export", str(out), str(tmp_path / "imu.safetensors"), "--name", "imu"]) == 0
    net = bitreplay.load(tmp_path / "imu.safetensors")
    assert net.name == "imu" and net.labels == hapt.ACTIVITIES and net.image_shape == (32, 32, 3)
    status, _, error = train(tmp_path / "other.pt", *line, "--image", "64x64x3")
    assert status == 2 and error == "bitreplay: --image: the images of hapt are 32x32x3\n"


def test_hapt_that_was_not_fetched(train, tmp_path):
    status, _, error = train(tmp_path / "imu.pt", "--data", "hapt")
    assert status == 2 and "run `bitreplay data hapt --dir" in error and error.count("\n") == 1


def test_sounds(train, tmp_path, monkeypatch):
    """A folder of WAV files: the spectrograms that a board makes."""
    rng = np.random.default_rng(1)
    sounds = {name: rng.integers(-3000, 3000, (20, 4000)).astype(np.int16) for name in ("no", "yes")}
    for name, recordings in sounds.items():
        for take, samples in enumerate(recordings):
            write_wav(tmp_path / "words" / name / f"{take:02}.wav", samples)
    found = data.load(str(tmp_path / "words"), tmp_path)
    sound = bitreplay.logmel()
    expected = [bytes(sound.of(samples)) for samples in np.concatenate(list(sounds.values()))]
    assert [image.tobytes() for image in found.images] == expected
    batches, augment = [], pretrain.augment
    monkeypatch.setattr(pretrain, "augment", lambda x, *more: batches.append((x, augment(x, *more))) or batches[-1][1])
    assert train(tmp_path / "words.pt", "--data", tmp_path / "words", "--widths", 32, 64, 128)[0] == 0
    assert len(batches) == 6
    for before, after in batches:
        assert all(any(torch.equal(new, old) for old in shifted(one)) for one, new in zip(before, after, strict=True))
    assert restore.checkpoint(tmp_path / "words.pt")["labels"] == ["no", "yes"]


def shifted(image):
    """A picture (channels, 32, 32) shifted by up to 4 pixels each way, its borders drawn out; never mirrored."""
    padded = torch.from_numpy(np.pad(image.numpy(), ((0, 0), (4, 4), (4, 4)), "edge"))
    return [padded[:, y : y + 32, x : x + 32] for y in range(9) for x in range(9)]


@pytest.mark.parametrize(("name", "recorded"), [("fsdd", True), ("fashion", False)])
def test_spectrograms_are_recordings(tmp_path, name, recorded):
    np.save(tmp_path / f"{name}_train_images.npy", np.zeros((40, 32, 32, 3), np.uint8))
    np.save(tmp_path / f"{name}_train_labels.npy", np.arange(40, dtype=np.uint8) % 10)
    assert data.load(name, tmp_path).recorded == recorded
