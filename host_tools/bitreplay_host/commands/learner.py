"""Show a saved learner (classes, samples, settings), change it, or test it.

Changes are made in this order, by the learner's own methods: --classes, --rename, --forget, --merge. The result
replaces FILE when it is complete, or goes to OUT. --merge teaches it the samples that another learner on the same
model keeps, fresh and replayed, unless it has them already. The other's weights are not merged: the sum of two heads
means nothing.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import bitreplay
from bitreplay.checks import check_epochs

from .. import paths
from ..datasets import labelled
from ..errors import UserError, as_user_error, printable
from ..teaching import confusion, state
from ..teaching.lesson import MOST_CLASSES
from . import options

EPILOG = """examples:
  bitreplay learner me.safetensors                            its classes, samples and settings
  bitreplay learner me.safetensors --rename mug=cup --forget table
  bitreplay learner me.safetensors --classes 20               room for more; the board needs more RAM, too
  bitreplay learner desk.safetensors --merge kitchen.safetensors -o both.safetensors
  bitreplay learner me.safetensors --evaluate photos/test     how much of it is right, class by class
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument("file", metavar="FILE", type=Path, help="what `bitreplay teach` or me.save() wrote")
    parser.add_argument("--rename", action="append", default=[], metavar="OLD=NEW", help="give a class another label")
    parser.add_argument(
        "--forget", action="append", default=[], metavar="LABEL", help="remove a class and its samples"
    )
    parser.add_argument("--classes", type=int, metavar="N", help="room for N classes, 2..255; it can only grow")
    parser.add_argument("--merge", type=Path, metavar="OTHER", help="learn the samples of another learner")
    parser.add_argument("--epochs", type=int, default=4, help="of --merge (default: %(default)s)")
    text = "test it on labelled files, a folder for each class or an .npz, as `bitreplay teach` takes them"
    parser.add_argument("--evaluate", type=Path, metavar="FOLDER", help=text)
    options.add_units(parser)
    text = f"that it was taught on: {options.MODEL} (default: the shipped one that it was)"
    parser.add_argument("--model", type=paths.model, help=text)
    parser.add_argument("-o", "--out", type=Path, help="file of the changed learner (default: FILE)")


def run(args: argparse.Namespace) -> None:
    if args.classes is not None and not 2 <= args.classes <= MOST_CLASSES:
        raise UserError(f"--classes must be 2..{MOST_CLASSES}, got {args.classes}")
    changes = args.rename or args.forget or args.classes is not None or args.merge
    if args.out and not changes:
        raise UserError("-o is for a changed learner: add --rename, --forget, --classes or --merge")
    here = not args.out or args.out.resolve() == args.file.resolve()
    (options.check_out if here else options.check_new)(args.out)
    with as_user_error():
        check_epochs(args.epochs)
    path = args.out or args.file
    model, before = state.model_of(args.file, args.model), state.content(path)
    me = state.load(args.file, model, args.classes)
    merged = _change(args, me) if changes else 0
    told = _evaluated(me, args) if args.evaluate else ""  # what may fail comes before the file is written
    if changes:
        state.write(me, path, before)
    if args.merge:
        print(f"{merged} samples of {args.merge} are learned")
    print(told or state.describe(me, path))


def _change(args: argparse.Namespace, me: bitreplay.Learner) -> int:
    """What changes it, but for --classes, which was done as it was loaded. Returns how many samples were merged."""
    for change in args.rename:
        state.rename(me, change)
    for label in args.forget:
        state.forget(me, label)
    return state.merge(me, args.merge, args.epochs) if args.merge else 0


def _evaluated(me: bitreplay.Learner, args: argparse.Namespace) -> str:
    """What is right of labelled files."""
    images, labels, names = labelled.load(args.evaluate, me.net.image_shape, args.units)
    expected, predicted = state.test(me, images, labels, names)
    found = confusion.matrix(expected, predicted, len(me.labels))
    told = confusion.describe(found, [printable(str(label)) for label in me.labels])
    return f"{told}\n\naccuracy: {confusion.accuracy(found)}"
