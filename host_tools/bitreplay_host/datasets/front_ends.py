"""What makes a model's images of a user's files: of recordings `bitreplay.logmel`, of sensors' readings
`bitreplay.window`, as a board does it, bit for bit.
"""

from __future__ import annotations

import csv
from array import array
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile
import soxr
from bitreplay import sound, windows

from ..errors import UserError, as_user_error
from . import images

Shape = tuple[int, int, int]  # height, width, channels

RATES = 8000, 16000  # of samples a second, that boards take
RECORDINGS = ".wav", ".flac", ".ogg", ".mp3"
READINGS = (".csv",)
KINDS = {"pictures": images.PICTURES, "recordings": RECORDINGS, "readings": READINGS}  # by what files are called


def kind(file: Path) -> str | None:
    """One of KINDS, or None."""
    return next((name for name, endings in KINDS.items() if file.suffix.lower() in endings), None)


def reader(name: str, shape: Shape, units: tuple[float, ...] | None) -> Callable[[Path], list[np.ndarray]]:
    """What makes images of a shape, one or more, of a file of this kind; it raises UserError for what cannot be read.

    units: of each sensor of readings, as `bitreplay.window` takes them. UserError for what gives no such images.
    """
    if name == "pictures":
        if shape[2] not in (1, 3):
            raise UserError(f"the model takes samples of shape {shape}, which no picture has: choose another --model")
        return lambda file: [images.of_photo(file, shape)]
    if name == "recordings":
        if shape[:2] != (sound.SIDE, sound.SIDE):
            raise UserError(f"recordings give images of 32x32, and {_text(shape)} is asked for: choose another model")
        return lambda file: [recording(file, shape[2])]
    if shape != (windows.SIDE, windows.SIDE, windows.AXES):
        raise UserError(f"readings give images of 32x32x3, and {_text(shape)} is asked for: choose another model")
    if not units:
        raise UserError("--units: say, for each sensor in the .csv files, the reading that is one of 256 levels; 0 is 128")
    return lambda file: readings(file, units)


def _text(shape: Shape) -> str:
    return "x".join(map(str, shape))


@lru_cache
def _spectrogram(rate: int, channels: int) -> sound.LogMel:
    return sound.LogMel(rate, channels)


def recording(file: Path, channels: int) -> np.ndarray:
    """The spectrogram of a recording's middle second: uint8 (32, 32, channels), as `bitreplay.logmel(rate).of()`.

    Several channels are averaged. Other rates than those of boards become 8000 samples a second, or from 16000 up,
    16000. UserError for what is no recording, and rates below 8000.
    """
    try:
        samples, rate = soundfile.read(file, dtype="int16", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        raise UserError(f"{file} is no recording that can be read: {error}") from None
    if rate < RATES[0] or not len(samples):
        raise UserError(f"{file} has {len(samples)} samples, {rate} a second: record at least 8000 a second")
    mono = np.rint(samples.mean(axis=1)).astype(np.int16)
    wanted = RATES[rate >= RATES[1]]
    if rate != wanted:
        mono = soxr.resample(mono, rate, wanted)
    pixels = _spectrogram(wanted, channels).of(array("h", mono.tobytes()))
    return np.frombuffer(pixels, np.uint8).reshape(sound.SIDE, sound.SIDE, channels).copy()


def readings(file: Path, units: tuple[float, ...]) -> list[np.ndarray]:
    """The windows of a .csv file: uint8 (32, 32, 3) each, as `bitreplay.window(units)` makes them.

    A line is x, y, z of each sensor; the first line may be names. Windows do not overlap, so that none that is held
    back has readings in common with one that is taught. UserError for other lines, and too few of them.
    """
    with as_user_error():
        window = windows.Window(units)
    window.hop = window.samples
    found = []
    try:
        lines = list(csv.reader(file.read_text("utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{file} is no .csv file that can be read: {error}") from None
    for number, line in enumerate(lines, 1):
        values = _numbers(line)
        if values is None and number == 1 or not line:
            continue
        if values is None or len(values) != windows.AXES * len(units):
            wanted = f"{windows.AXES * len(units)} numbers, x, y, z of each sensor that --units names, and no times"
            raise UserError(f"{file}, line {number}: must be {wanted}; it is {','.join(line)[:60]!r}")
        if window.add(values):
            found.append(np.frombuffer(bytes(window.image()), np.uint8).reshape(windows.SIDE, windows.SIDE, windows.AXES))
    if not found:
        raise UserError(f"{file} has {len(lines)} lines, fewer than the {window.samples} readings of an image")
    return found


def _numbers(line: list[str]) -> list[float] | None:
    try:
        values = [float(value) for value in line]
    except ValueError:
        return None
    return values if np.isfinite(values).all() else None
