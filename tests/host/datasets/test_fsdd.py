"""`bitreplay data fsdd` on a few synthetic recordings: both sources, the spectrogram, what is refused; no network."""

import hashlib
import math

import numpy as np
import pytest
from bitreplay_host.datasets import fetch, fsdd, registry
from bitreplay_host.errors import UserError
from synthetic_data import write_wav

TAKES = 0, 2, 9, 10, 11
LENGTH = 31 * 248 + 256  # samples of an image


@pytest.fixture
def recordings():
    """{(digit, speaker, take): samples}: noise, of more and less than an image's length."""
    rng = np.random.default_rng(0)
    return {
        (digit, speaker, take): rng.integers(-3000, 3000, int(rng.integers(1000, 12000))).astype(np.int16)
        for digit in (0, 1, 9)
        for speaker in ("ann", "bob")
        for take in TAKES
    }


@pytest.fixture
def expected(recordings, monkeypatch):
    """The arrays, which are taken for the official ones."""
    arrays = {}
    for split, takes in (("train", (10, 11)), ("test", (0, 2, 9))):
        chosen = [key for key in sorted(recordings) if key[2] in takes]
        arrays[f"{split}_images"] = np.stack(
            [fsdd.log_mel(recordings[key])[..., None].repeat(3, -1) for key in chosen]
        )
        arrays[f"{split}_labels"] = np.array([key[0] for key in chosen], np.uint8)
    monkeypatch.setattr(fsdd, "_SHA256", {key: hashlib.sha256(a).hexdigest() for key, a in arrays.items()})
    return arrays


@pytest.fixture
def clone(tmp_path, recordings, expected):
    """A folder as the public repository has it."""
    folder = tmp_path / "clone" / "recordings"
    folder.mkdir(parents=True)
    for (digit, speaker, take), samples in recordings.items():
        write_wav(folder / f"{digit}_{speaker}_{take}.wav", samples)
    (folder / "README.md").write_text("passed over")
    return folder.parent


@pytest.fixture
def npz(tmp_path, recordings, expected):
    """The same in one file, in the order of the names (take 10 before 2), and what may be changed of it."""
    names = sorted(recordings, key=lambda key: "{}_{}_{}".format(*key))
    digit, speaker, take = map(np.array, zip(*names, strict=True))
    lengths = [len(recordings[name]) for name in names]
    fields = {
        "wave": np.concatenate([recordings[name] for name in names]),
        "start": np.cumsum([0, *lengths]).astype(np.int32),
        "digit": digit.astype(np.uint8),
        "speaker": speaker,
        "take": take.astype(np.uint8),
        "rate": np.int32(8000),
    }

    def write(**changes):
        np.savez(tmp_path / "digits.npz", **{k: v for k, v in (fields | changes).items() if v is not None})
        return tmp_path / "digits.npz"

    return write


def test_both_sources_are_equal(clone, npz, expected, tmp_path):
    sources = {"a": clone, "b": clone / "recordings", "c": npz()}
    for out, source in sources.items():
        fsdd.fsdd(tmp_path / out, source)
        for split in ("train", "test"):
            images, labels = registry.load("fsdd", split, tmp_path / out)
            np.testing.assert_array_equal(images, expected[f"{split}_images"])
            np.testing.assert_array_equal(labels, expected[f"{split}_labels"])
    assert len({(tmp_path / out / "fsdd.sha256").read_text() for out in sources}) == 1
    assert expected["train_images"].shape == (12, 32, 32, 3) and expected["train_images"].std() > 10


# ---- the spectrogram ------------------------------------------------------------------------------------------------


def in_floats(samples):
    """The same in float64, by its definition and NumPy's FFT."""
    before = (LENGTH - len(samples)) // 2
    whole = np.pad(samples.astype(float), (before, LENGTH - len(samples) - before))
    window = np.sin(np.pi * (np.arange(256) + 0.5) / 256) ** 2
    frames = np.stack([whole[248 * t : 248 * t + 256] * window for t in range(32)])
    power = abs(np.fft.rfft(frames)) ** 2
    ends = 700 * (np.exp(np.linspace(math.log(1 + 60 / 700), math.log(1 + 4000 / 700), 34)) - 1)
    hertz = np.arange(129) * 8000 / 256
    bands = [np.interp(hertz, ends[band : band + 3], [0, 1, 0], left=0, right=0) for band in range(32)]
    value = np.log(np.maximum(power @ np.array(bands).T, 1e-9))
    return 255 * (1 + (value - value.max()) / 12).clip(0).T[::-1]


def test_as_in_floats():
    """A chirp and noise: the integers are within two of 255 levels where it is loud, and close elsewhere."""
    t = np.arange(6000) / 8000
    rng = np.random.default_rng(0)
    for samples in (8000 * np.sin(2 * np.pi * (200 * t + 1500 * t * t)), rng.normal(0, 2000, 6001)):
        samples = np.rint(samples).astype(np.int16)
        found, exact = fsdd.log_mel(samples).astype(float), in_floats(samples)
        loud = exact > 100
        assert abs(found - exact)[loud].max() <= 2 and loud.sum() > 50
        assert abs(found - exact).mean() < 2


@pytest.mark.parametrize(("hertz", "row"), [(100, 31), (3900, 0)])
def test_a_tone_is_a_line(hertz, row):
    """Low ones at the bottom, high ones at the top, all the time."""
    tone = np.rint(10000 * np.sin(2 * np.pi * hertz / 8000 * np.arange(LENGTH))).astype(np.int16)
    found = fsdd.log_mel(tone)
    assert abs(int(found.mean(axis=1).argmax()) - row) <= 1
    assert found[found.mean(axis=1).argmax()].min() > 240


def test_a_short_recording_is_in_the_middle():
    found = fsdd.log_mel(np.resize([5000, -5000, 3000], 1000).astype(np.int16))
    columns = np.flatnonzero(found.max(axis=0))
    assert columns.min() + columns.max() in (30, 31, 32) and 3 <= len(columns) <= 6


def test_a_long_recording_is_cut_in_the_middle():
    rng = np.random.default_rng(1)
    middle = rng.integers(-999, 999, LENGTH)
    long = np.concatenate([rng.integers(-9999, 9999, 500), middle, rng.integers(-9999, 9999, 501)])
    np.testing.assert_array_equal(fsdd.log_mel(long.astype(np.int16)), fsdd.log_mel(middle.astype(np.int16)))


def test_silence_is_black():
    assert not fsdd.log_mel(np.zeros(5000, np.int16)).any()


# ---- what is refused ------------------------------------------------------------------------------------------------


def test_nothing_is_fetched(tmp_path):
    with pytest.raises(UserError, match="are not fetched: clone https://.* give its folder to --from"):
        fsdd.fsdd(tmp_path)


def test_a_recording_is_missing(clone, tmp_path):
    (clone / "recordings" / "1_ann_10.wav").unlink()
    with pytest.raises(UserError, match="the train images are not those of 3000 recordings"):
        fsdd.fsdd(tmp_path / "out", clone)
    assert not list((tmp_path / "out").glob("*.npy"))


def test_a_folder_without_recordings(tmp_path):
    with pytest.raises(UserError, match="has no recordings DIGIT_SPEAKER_TAKE.wav"):
        fsdd.fsdd(tmp_path / "out", tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"rate": 16000}, "must have samples of 8 kHz"), ({"width": 1}, "must have samples of 8 kHz")],
)
def test_wav_of_another_kind(clone, tmp_path, settings, message):
    write_wav(clone / "recordings" / "0_ann_2.wav", np.zeros(1000), **settings)
    with pytest.raises(UserError, match=f"0_ann_2.wav {message}"):
        fsdd.fsdd(tmp_path / "out", clone)


@pytest.mark.parametrize("cut", [0, 10, 40, 44])
def test_wav_that_is_cut(clone, tmp_path, cut):
    path = clone / "recordings" / "9_bob_0.wav"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(UserError, match=r"9_bob_0.wav .* clone .* again"):
        fsdd.fsdd(tmp_path / "out", clone)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"take": None}, "is not an .npz with wave, start, .*take"),
        ({"digit": np.zeros(3, np.uint8)}, "is not an .npz with"),
        ({"rate": np.int32(16000)}, "8000 a second"),
        ({"wave": np.zeros(300000)}, "must be int16"),
        ({"wave": np.zeros((300000, 2), np.int16)}, "must be int16"),
        ({"wave": np.zeros(10, np.int16)}, "samples of each recording"),
        ({"wave": np.zeros(300000, np.int16)}, "are not those of 3000 recordings"),
    ],
)
def test_npz_of_something_else(npz, tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        fsdd.fsdd(tmp_path / "out", npz(**changes))


@pytest.mark.parametrize("contents", [b"", b"text", b"PK\x03\x04 cut off"])
def test_no_npz(tmp_path, contents):
    (tmp_path / "d.npz").write_bytes(contents)
    with pytest.raises(UserError, match="is not an .npz with wave"):
        fsdd.fsdd(tmp_path / "out", tmp_path / "d.npz")


def test_images_of_digits_have_what_ensure_leaves(clone, tmp_path):
    assert list(fsdd.fsdd(tmp_path / "out", clone)) == list(fetch.IMAGES)
