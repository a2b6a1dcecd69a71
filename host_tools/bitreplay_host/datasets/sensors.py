"""Files of sounds and of sensors' readings as images: by the front ends that boards run."""

from __future__ import annotations

import contextlib
import csv
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from bitreplay.sound import SIDE, LogMel
from bitreplay.windows import AXES, Window
from PIL import Image

from ..errors import UserError, as_user_error

Shape = tuple[int, int, int]  # height, width, channels

RATES = 8000, 16000  # of LogMel; what has another one becomes the second
UNITS = 256, 128  # of Window: 2 g and 250 degrees per second, of an MPU-6050
MOST = 1e30  # of a reading; boards have single precision
FULL = 0.5  # this share of readings at the ends of the scale is no chance


def of_sound(path: Path, shape: Shape) -> tuple[list[np.ndarray], str]:
    """(the picture of a recording, as bitreplay.logmel() makes it; what there is to tell of it, or nothing).

    What libsndfile reads: WAV of any kind, FLAC, Ogg, MP3. Channels are mixed; 8000 samples a second or more.
    UserError; OSError.
    """
    if shape[:2] != (SIDE, SIDE):
        raise UserError(f"{path}: sound is pictures of {SIDE}x{SIDE}, and the model's are {_sides(shape)}")
    rate, samples = _read(path)
    if rate != RATES[0]:
        rate, samples = RATES[1], _resampled(samples, rate)
    sound = spectrogram(rate, shape[2])
    if len(samples) < sound.frame:
        raise UserError(f"{path} is too short: it must have {1000 * sound.frame // rate} ms of sound")
    whole = sound.hop * (SIDE - 1) + sound.frame
    long = len(samples) > 1.1 * whole  # a clip of exactly a second has 8 ms more, which are nothing to tell of
    note = f"{path} has {len(samples) / rate:.1f} s: the second in its middle counts" if long else ""
    numbers = np.floor(samples + 0.5).clip(-32768, 32767).astype(np.int16)
    return [picture(sound.of(numbers), shape)], note


def picture(pixels: bytearray, shape: tuple[int, ...]) -> np.ndarray:
    """A copy of a buffer that is used again."""
    return np.frombuffer(pixels, np.uint8).reshape(shape).copy()


@lru_cache
def spectrogram(rate: int, channels: int) -> LogMel:
    """What makes spectrograms, kept for its tables."""
    return LogMel(rate, channels)


def _read(path: Path) -> tuple[int, np.ndarray]:
    """(samples a second, samples in units of 16 bits, float64, mixed of all channels)."""
    import soundfile  # whose library other commands do not need

    try:
        with soundfile.SoundFile(path) as file:
            count = -1 if file.seekable() else file.frames  # GSM 6.10 and such cannot seek
            samples, rate, told = file.read(count, always_2d=True), file.samplerate, file.extra_info
    except (soundfile.SoundFileError, ValueError, MemoryError) as error:
        why = getattr(error, "error_string", str(error)) or "damaged"
        raise UserError(f"{path} is not a sound that can be read ({why}): save it as WAV of 16 bits") from None
    if cut := re.search(r"^data : (\d+) \(should be (\d+)\)", told, re.MULTILINE):
        raise UserError(f"{path} is cut off: it tells of {cut[1]} bytes of sound, and has {cut[2]}")
    if rate < RATES[0]:
        raise UserError(f"{path} has {rate} samples a second: {RATES[0]} are needed at least")
    if not np.isfinite(samples).all():
        raise UserError(f"{path} has samples that are not finite: save it again, as PCM of 16 bits")
    return rate, samples.mean(axis=1) * 32768


def _resampled(samples: np.ndarray, rate: int) -> np.ndarray:
    """With RATES[1]: a picture's resampling has a low-pass filter, and what it leaves lies above the bands' 4 kHz."""
    count = len(samples) * RATES[1] // rate
    if rate == RATES[1] or not count:
        return samples
    line = Image.fromarray(samples[None].astype(np.float32))
    box = 0, 0, count * rate / RATES[1], 1
    return np.asarray(line.resize((count, 1), Image.Resampling.LANCZOS, box))[0].astype(np.float64)


def of_csv(path: Path, shape: Shape, units: Sequence[float] = UNITS) -> tuple[list[np.ndarray], str]:
    """(pictures of all windows of a file, as bitreplay.window(units) makes them; nothing to tell).

    A line is a reading: x, y, z of each sensor. The first line may have names. UserError; OSError.
    """
    if shape != (SIDE, SIDE, AXES):
        raise UserError(f"{path}: readings are pictures of {SIDE}x{SIDE}x{AXES}, and the model's are {_sides(shape)}")
    window = check_units(units)
    readings = _readings(path, AXES * len(units))
    found = [picture(window.image(), shape) for reading in readings if window.add(reading)]
    if not found:
        raise UserError(f"{path} is too short: it has {len(readings)} readings, and a window {window.samples}")
    pixels = np.stack(found)
    for size, levels, most in ("small", (127, 128), 1.0), ("large", (0, 255), FULL):
        if np.isin(pixels, levels).mean() >= most:
            told = " ".join(f"{unit:g}" for unit in units)
            raise UserError(
                f"{path}: its readings are too {size} for units of {told}; "
                "if they are in g and degrees per second: --units 1/64 250/128"
            )
    return found, ""


def check_units(units: Sequence[float]) -> Window:
    """The window of such units; UserError for others."""
    with as_user_error():
        return Window(tuple(units))


def _readings(path: Path, count: int) -> list[list[float]]:
    """The lines of a CSV file, so many numbers in each."""
    found: list[list[float]] = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = list(csv.reader(file))
    except (UnicodeDecodeError, csv.Error):
        raise UserError(f"{path} is not a CSV file that can be read") from None
    for number, line in enumerate(lines, 1):
        if not any(field.strip() for field in line):
            continue
        numbers = [value for value in map(_number, line) if value is not None]
        if number == 1 and not numbers:
            continue  # names of the columns
        if not len(numbers) == len(line) == count:
            told = f"must be {count} numbers with commas, x, y, z of each sensor, at most {MOST:g}"
            raise UserError(f"{path}, line {number}: {told}; it is {','.join(line)[:60]!r}")
        found.append(numbers)
    return found


def _number(field: str) -> float | None:
    """An integer as one, as boards compute with it; None for what is no number, or above MOST."""
    for read in int, float:
        with contextlib.suppress(ValueError):
            value = read(field)
            return value if abs(value) <= MOST else None
    return None


def _sides(shape: Shape) -> str:
    return "x".join(map(str, shape))
