"""Fashion-MNIST: 70000 pictures of clothes, 28 x 28 grey pixels, in ten classes. MIT licence.

Xiao, Rasul and Vollgraf 2017, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms",
arXiv 1708.07747. As images for the shipped models: the grey values as they are, two black pixels all around, three
equal channels.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import subprocess
import tarfile
import zlib
from pathlib import Path

import numpy as np

from ..errors import UserError
from . import fetch

CLASSES = ["T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"]

_PACKAGE = "dataset-fashion-mnist"  # Debian's
_REPOSITORY = "https://github.com/zalandoresearch/fashion-mnist"

# The official files in the order of fetch.IMAGES: bytes before the values, and sha256 of what is in the .gz (Debian
# compresses it anew, without the file's name).
_FILES = {
    "train-images-idx3-ubyte.gz": (16, "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"),
    "train-labels-idx1-ubyte.gz": (8, "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"),
    "t10k-images-idx3-ubyte.gz": (16, "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"),
    "t10k-labels-idx1-ubyte.gz": (8, "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"),
}


def fashion(directory: Path, source: Path | None = None) -> dict[str, Path]:
    """Makes sure that Fashion-MNIST is in a directory. Returns the path of each of fetch.IMAGES.

    source: a folder with the four official .gz files, or Debian's package of them; None fetches that with apt-get.
    Raises UserError when it cannot be had, or when a file is not the official one.
    """
    return fetch.ensure("fashion", directory, source, f"{_PACKAGE}.deb", _fetch, _read, fetch.IMAGES)


def _fetch(archive):
    try:
        subprocess.run(
            ["apt-get", "--quiet=2", "download", _PACKAGE],
            cwd=archive.parent,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise UserError(
            f"apt-get cannot fetch Debian's package {_PACKAGE} ({error}): run `apt-get update`, or get the four .gz "
            f"files from {_REPOSITORY} and give their folder to --from"
        ) from error
    (package,) = archive.parent.glob(f"{_PACKAGE}_*.deb")
    package.replace(archive)


def _read(source):
    files = _from_folder(source) if source.is_dir() else _from_package(source)
    arrays = []
    for name, (start, expected) in _FILES.items():
        try:
            raw = gzip.decompress(files[name])
        except (OSError, EOFError, zlib.error) as error:
            raise UserError(f"{name} in {source} is damaged or cut off ({error}): fetch it again") from error
        if hashlib.sha256(raw).hexdigest() != expected:
            raise UserError(f"{name} in {source} is not Fashion-MNIST's (its sha256 is another one): fetch it again")
        values = np.frombuffer(raw, np.uint8, offset=start)
        arrays.append(fetch.grey(values.reshape(-1, 28, 28)) if "images" in name else values)
    return dict(zip(fetch.IMAGES, arrays, strict=True))


def _from_folder(folder):
    missing = [name for name in _FILES if not (folder / name).exists()]
    if missing:
        raise UserError(f"{folder} has no {', '.join(missing)}: get the four files from {_REPOSITORY}")
    return {name: (folder / name).read_bytes() for name in _FILES}


def _from_package(package):
    """A .deb is an ar archive: a line of 8 bytes, then of each file 60 bytes (name, ..., size) and its contents."""
    raw, at = package.read_bytes(), 8
    while raw[:8] == b"!<arch>\n" and at + 60 <= len(raw):
        name, size = raw[at : at + 16].strip(b" /"), raw[at + 48 : at + 58].strip()
        if not size.isdigit():
            break
        if name.startswith(b"data.tar"):
            return _from_tar(package, raw[at + 60 : at + 60 + int(size)])
        at += 60 + (int(size) + 1) // 2 * 2
    raise UserError(f"{package} is not Debian's package {_PACKAGE}, and no folder with the four .gz files")


def _from_tar(package, contents):
    files = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(contents)) as tar:
            for member in tar:
                name = Path(member.name).name
                file = tar.extractfile(member) if name in _FILES else None
                if file:
                    files[name] = file.read()
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise UserError(f"{package} is damaged or cut off ({error}): fetch it again") from error
    missing = [name for name in _FILES if name not in files]
    if missing:
        raise UserError(f"{package} is not the package {_PACKAGE}: {', '.join(missing)} is not in it")
    return files
