"""CORe50: 164,866 frames of 50 objects that a hand holds, in 11 sessions, and lists of what comes when. CC BY 4.0.

Lomonaco and Maltoni 2017, "CORe50: a New Dataset and Benchmark for Continuous Object Recognition", arXiv 1705.03550.
Sessions 3, 7 and 10 are for tests, as in all its lists. As images for the shipped models: 128 x 128 pixels scaled down
to 32 x 32 by averages. Ten categories have five objects each. Read from the layout of the official archives:
core50_128x128/sN/oM/*.png, and folders such as NC_inc/run0 with train_batch_00_filelist.txt ...
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from ..errors import UserError
from . import fetch

_NAMES = "plug adapter, mobile phone, scissors, light bulb, can, glasses, ball, marker, cup, remote control"
CATEGORIES = _NAMES.split(", ")
OBJECTS = 5  # of each category
CLASSES = [f"{name} {n}" for name in CATEGORIES for n in range(1, OBJECTS + 1)]
TEST_SESSIONS = 3, 7, 10
SIDE = 32
SITE = "https://vlomonaco.github.io/core50"

# What a file of batches is called here: the folder of its lists.
BATCHES = {
    "ni": "NI_inc",
    "nc": "NC_inc",
    "nic": "NIC_inc",
    "nicv2_79": "NIC_v2_79",
    "nicv2_196": "NIC_v2_196",
    "nicv2_391": "NIC_v2_391",
}
KEYS = (*fetch.IMAGES, "categories_train_labels", "categories_test_labels", *BATCHES)


def core50(directory: Path, source: Path | None = None) -> dict[str, Path]:
    """Makes sure that CORe50 is in a directory, its objects and its categories. Returns the path of each of KEYS.

    source: the folder with the unpacked archives; nothing is fetched. BATCHES are int16 (runs, training images): the
    number of the batch that each image is in, -1 for none; no runs where the lists are not there. Raises UserError.
    """
    return fetch.ensure("core50", directory, source, "core50_128x128.zip", _fetch, _read, KEYS)


def _fetch(archive):
    raise UserError(
        f"CORe50 is not fetched: get core50_128x128.zip, batches_filelists.zip and batches_filelists_NICv2.zip from "
        f"{SITE}, unpack them into one folder and give that to --from"
    )


def _read(source):
    folder = source / "core50_128x128"
    frames = sorted(_frames(folder))
    if not frames:
        raise UserError(f"{folder} has no files such as s1/o1/C_01_01_000.png: unpack core50_128x128.zip in {source}")
    arrays = {}
    for split, tests in (("train", False), ("test", True)):
        chosen = [frame for frame in frames if (frame[0] in TEST_SESSIONS) == tests]
        if not chosen:
            raise UserError(f"{folder} has no {split} images: unpack all of core50_128x128.zip")
        labels = np.array([number - 1 for _, number, _ in chosen], np.uint8)
        arrays[f"{split}_labels"], arrays[f"categories_{split}_labels"] = labels, labels // OBJECTS
        arrays[f"{split}_images"] = _images(folder, [name for _, _, name in chosen])
        if not tests:
            rows = {name: row for row, (_, _, name) in enumerate(chosen)}
    arrays |= {key: _batches(source, name, rows) for key, name in BATCHES.items()}
    if not any(len(arrays[key]) for key in BATCHES):
        raise UserError(f"{source} has none of {', '.join(BATCHES.values())}: unpack batches_filelists.zip there")
    return arrays


def _frames(folder: Path) -> Iterable[tuple[int, int, str]]:
    """(session, object, name in the lists) of each image."""
    for path in folder.glob("s*/o*/*.png"):
        name = path.relative_to(folder).as_posix()
        match = re.fullmatch(r"s(\d+)/o(\d+)/[^/]+", name)
        if match and 1 <= int(match[2]) <= len(CLASSES):
            yield int(match[1]), int(match[2]), name


def _images(folder, names):
    images = np.empty((len(names), SIDE, SIDE, 3), np.uint8)
    for out, name in zip(images, tqdm(names, desc="reading CORe50", unit="image", delay=2, disable=None), strict=True):
        try:
            with Image.open(folder / name) as frame:
                out[:] = np.asarray(frame.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX))
        except Exception as error:  # a damaged file raises anything
            raise UserError(f"{folder / name} cannot be read ({error}): unpack core50_128x128.zip again") from error
    return images


def _batches(source, name, rows):
    """int16 (runs, training images). rows: {name of a training image: its number}."""
    folders = [path for pattern in (name, f"*/{name}") for path in source.glob(pattern) if path.is_dir()]
    runs = []
    while folders and (folder := folders[0] / f"run{len(runs)}").is_dir():
        found = np.full(len(rows), -1, np.int16)
        lists = sorted(folder.glob("train_batch_*_filelist.txt"), key=lambda path: int(path.name.split("_")[2]))
        for number, path in enumerate(lists):
            if int(path.name.split("_")[2]) != number:
                raise UserError(f"{folder} has no list of batch {number}: unpack it again")
            _read_list(path, number, rows, found)
            if not (found == number).any():
                raise UserError(f"{path} names no image: unpack it again")
        if not lists:
            raise UserError(f"{folder} has no train_batch_00_filelist.txt: unpack it again")
        runs.append(found)
    return np.stack(runs) if runs else np.empty((0, len(rows)), np.int16)


def _read_list(path, number, rows, found):
    """Sets `found` of the images that a list names. Its own labels are another numbering of the same objects."""
    for line in path.read_text().split("\n"):
        if name := line.split(" ")[0].strip():
            if name not in rows:
                raise UserError(f"{path}: {name} is not a training image that is there: unpack the archives again")
            if found[rows[name]] >= 0:
                raise UserError(f"{path}: {name} was in batch {found[rows[name]]}, too: take the official lists")
            found[rows[name]] = number
