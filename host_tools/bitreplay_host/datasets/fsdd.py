"""Spoken digits as images: 3000 recordings, 8 kHz, of six speakers who say each digit 50 times. CC BY-SA 4.0.

The Free Spoken Digit Dataset (Jackson and others), as its public repository has it: recordings/DIGIT_SPEAKER_TAKE.wav.
Takes 0..9 are for tests, as its authors propose, the others for training: 600 and 2400.

An image is a spectrogram, which `bitreplay.logmel` computes on a board, too: time from left to right, frequency
from bottom to top, three equal channels.
"""

from __future__ import annotations

import hashlib
import re
import wave
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from bitreplay.sound import SIDE

from ..errors import UserError
from . import fetch, sensors

CLASSES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
TEST_TAKES = 10

_REPOSITORY = "https://github.com/Jakobovski/free-spoken-digit-dataset"
_FIELDS = "wave", "start", "digit", "speaker", "take", "rate"  # of an .npz

# sha256 of the contents of the arrays: log_mel() makes the same of them on every machine
_SHA256 = {
    "train_images": "9e1abb926a8ddedb252a610d3042d772c26f0a752b653b024a9480c8c82193de",
    "train_labels": "cde95728f815c5c892b6a7ecefb75cbb7fa984caec70d2d362b669ff8b2f6548",
    "test_images": "80e8f2946b20b8ca93335de28a93896d3f12e0f200d60eff11ac850c4f137e38",
    "test_labels": "90e16bba894bc1b30f5c61fa81ca2acc408c2e6064d2d0ad6eca6b2a315830a5",
}

RATE = 8000  # samples per second


def log_mel(samples: np.ndarray) -> np.ndarray:
    """The spectrogram of a recording as a board makes it: int16 (n,), n >= 1, 8 kHz, to uint8 (32, 32), the highest
    band first. The middle 0.993 s count; a shorter recording has silence around it."""
    return sensors.picture(sensors.spectrogram(RATE, 1).of(samples), (SIDE, SIDE))


def fsdd(directory: Path, source: Path | None = None) -> dict[str, Path]:
    """Makes sure that the spoken digits are in a directory as images. Returns the path of each of fetch.IMAGES.

    source: a clone of the public repository or its folder recordings, or an .npz with wave (int16, one recording after
    the other), start (of each, and the end), digit, speaker, take and rate. Both make the same images. Nothing is
    fetched. Raises UserError without a source, or when it has other recordings.
    """
    return fetch.ensure("fsdd", directory, source, "recordings", _fetch, _read, fetch.IMAGES)


def _fetch(_):
    raise UserError(f"the spoken digits are not fetched: clone {_REPOSITORY} and give its folder to --from")


def _read(source: Path) -> dict[str, np.ndarray]:
    recordings = _from_folder(source) if source.is_dir() else _from_npz(source)
    images: dict[bool, list] = {True: [], False: []}
    labels: dict[bool, list] = {True: [], False: []}
    for (digit, _, take), samples in sorted(recordings, key=lambda recording: recording[0]):
        images[take < TEST_TAKES].append(log_mel(samples))
        labels[take < TEST_TAKES].append(digit)
    arrays = {}
    for split, test in (("train", False), ("test", True)):
        pictures = np.array(images[test], np.uint8).reshape(-1, SIDE, SIDE, 1)
        arrays[f"{split}_images"] = pictures.repeat(3, axis=-1)
        arrays[f"{split}_labels"] = np.array(labels[test], np.uint8)
    for key, array in arrays.items():
        if hashlib.sha256(array.tobytes()).hexdigest() != _SHA256[key]:
            raise UserError(
                f"{source}: the {key.replace('_', ' ')} are not those of 3000 recordings: clone {_REPOSITORY} again"
            )
    return arrays


def _from_folder(folder: Path) -> Iterator[tuple[tuple[int, str, int], np.ndarray]]:
    """((digit, speaker, take), samples) of each file; others are passed over."""
    folder = folder / "recordings" if (folder / "recordings").is_dir() else folder
    files = [(path, re.fullmatch(r"([0-9])_([a-z]+)_([0-9]+)\.wav", path.name)) for path in folder.iterdir()]
    if not any(match for _, match in files):
        raise UserError(f"{folder} has no recordings DIGIT_SPEAKER_TAKE.wav: clone {_REPOSITORY}")
    for path, match in files:
        if match:
            yield (int(match[1]), match[2], int(match[3])), _wav(path)


def _wav(path):
    try:
        with wave.open(str(path)) as file:
            found = file.getframerate(), file.getnchannels(), file.getsampwidth()
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    except (wave.Error, EOFError, ValueError) as error:
        raise UserError(f"{path} is not a WAV file that can be read ({error}): clone {_REPOSITORY} again") from error
    if found != (RATE, 1, 2) or not samples.size:
        raise UserError(f"{path} must have samples of 8 kHz, one channel and 16 bits: clone {_REPOSITORY} again")
    return samples


def _from_npz(path: Path) -> list[tuple[tuple[int, str, int], np.ndarray]]:
    try:
        with np.load(path) as file:
            samples, start, digit, speaker, take, rate = (file[name] for name in _FIELDS)
        names = zip(digit.tolist(), speaker.tolist(), take.tolist(), strict=True)
        recordings = list(zip(names, np.split(samples, start[1:-1]), strict=True))
        good = (
            int(rate) == RATE
            and samples.dtype == np.int16
            and samples.ndim == 1
            and all(part.size for _, part in recordings)
        )
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is not an .npz with {', '.join(_FIELDS)} ({error})") from error
    if not good:
        raise UserError(f"{path}: wave must be int16, 8000 a second, with samples of each recording")
    return recordings
