"""Convert photographs for a board's learner: OUT/NAME.rgb, side x side x 3 bytes, RGB, without a header.

The largest square in the middle of each photograph is scaled down; transparent pixels become white. --cifar10 N gives
pictures to try it with: N training images of each class, named after it. On the board, read such a file with
open(path, "rb").read().

A folder is converted with its tree: FOLDER/mug/1.jpg becomes OUT/mug/1.rgb. If you name more than one folder, each
keeps its name as well; single files go to OUT itself. If two files would have the same name, the second becomes
NAME-2.rgb, the third NAME-3.rgb, in the order in which they are given.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..datasets import images
from ..errors import UserError
from .options import add_data

EPILOG = """examples:
  bitreplay images mug*.jpg cup*.jpg               mug0.jpg becomes images/mug0.rgb
  bitreplay images photos                          photos/mug/0.jpg becomes images/mug/0.rgb
  bitreplay images --cifar10 5                     cat0.rgb ... truck4.rgb

Then let the board see the folder, and teach it at its prompt:
  mpremote mount images
  >>> me.see(open("/remote/cat0.rgb", "rb").read(), "cat")
"""
SIDE = 32  # of the shipped model's images


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    text = "JPEG, PNG or another common format; a folder of them; or a pattern, for shells that do not expand it"
    parser.add_argument("photos", metavar="PHOTO", type=Path, nargs="*", help=text)
    parser.add_argument(
        "--cifar10", metavar="N", type=int, help="N images of each class of CIFAR-10 (bitreplay data cifar10)"
    )
    parser.add_argument("--side", type=int, default=SIDE, help="pixels, as the model has them (default: %(default)s)")
    add_data(parser, "--dir")
    parser.add_argument("--out", type=Path, default=Path("images"), help="folder (default: %(default)s)")


def run(args: argparse.Namespace) -> None:
    if bool(args.photos) == (args.cifar10 is not None):
        raise UserError("name photographs, or else give --cifar10 N")
    if not 1 <= args.side <= 256:
        raise UserError("--side must be 1..256")
    if args.photos:
        photos = images.named(images.expanded(args.photos))
        written = images.write(images.of_photos(photos, args.side), args.out, [path for path, _ in photos])
    else:
        written = images.write(images.of_cifar10(args.cifar10, args.dir), args.out)
    size = written[0].stat().st_size
    print(f"{len(written)} images of {size} bytes in {args.out}: mpremote mount {args.out}")
