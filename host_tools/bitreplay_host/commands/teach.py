"""Teach a learner labelled pictures, sounds or readings of sensors, and test it on some that it was not shown.

FOLDER has a folder for each class, named after it. In that are pictures, or recordings of words (WAV, FLAC, ...), or
sensor readings (CSV: x, y, z of each sensor in a line). bitreplay.logmel and bitreplay.window make pictures of these,
as on a board. Or FOLDER has train and test, each with such folders. An .npz works as well, with the arrays images
(uint8, n x height x width x 3) and labels. A share of each class is held back for the test. A sample's bytes and
--seed decide which, so that few change sides when you add some and teach again. Of a CSV file it is the end.

The learner is saved to OUT, and a picture of its mistakes to OUT's name with .confusion.png. Every target computes the
same bits. So latents, 128 bytes a picture, are computed here and sent to the board, which learns them and saves the
learner under the same name in its own files. The result is compared, bit for bit, with that of a learner here.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import re
import sys
import tempfile
from pathlib import Path

import numpy as np
from bitreplay.interrupts import held

from .. import models, paths
from ..datasets import labelled
from ..device import upload
from ..device.connect import connected
from ..errors import UserError, as_user_error, printable
from ..experiments.latents import Places
from ..measure import bench
from ..teaching import confusion, lesson, on_board, state
from . import options

EPILOG = """examples:
  bitreplay teach photos                              photos/mug/*.jpg, photos/cup/*.jpg: here, to me.safetensors
  bitreplay teach words                               words/yes/*.wav, words/no/*.wav
  bitreplay teach moves --units 1/64 250/128          moves/walk/*.csv: in g and degrees per second
  bitreplay teach photos --board auto -o desk.safetensors    on the board on USB, and here
  bitreplay teach photos --board emulated             on an emulated Pico
  bitreplay teach more --add                          me.safetensors goes on, with new classes or more of the old
  bitreplay teach photos --model backbone_4x4 --train all --channels 0.25 -o deep.safetensors

Then, in Python here or on the board:
  >>> net = bitreplay.load("models/backbone.safetensors")
  >>> me = bitreplay.Learner.load(net, "me.safetensors")
"""
HERE = "unix"
PICTURE = ".confusion.png"  # what its name ends with
FIXED = "train", "channels"  # when a learner is made


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="a folder for each class in it; or an .npz")
    text = "default: backbone for pictures, speech for recordings, imu for readings; with --add that of OUT"
    parser.add_argument("--model", type=paths.model, help=f"{options.MODEL} ({text})")
    text = "unix, this computer (default); emulated, a Pico; or a board's port: auto, /dev/ttyACM0, COM3, ..."
    parser.add_argument("--board", default=HERE, help=text)
    text = "share of each class that is held back (default: 20%%; not with folders train and test)"
    parser.add_argument("--test", type=share, metavar="20%", help=text)
    parser.add_argument("--replay", type=int, help="latents in the replay memory (default: 500, at most 64 KB)")
    options.add_units(parser)
    text = "samples that are learned at a time, at most (default: 100, at most 12.8 KB)"
    parser.add_argument("--fresh", type=int, help=text)
    parser.add_argument("--epochs", type=int, default=4, help="of each time (default: %(default)s)")
    options.add_train(parser, default="head")
    parser.add_argument("--seed", type=int, default=1, help="of what is held back, and of learning (default: 1)")
    parser.add_argument("--add", action="store_true", help="OUT is there: teach that learner more")
    parser.add_argument(
        "--on-board", action="store_true", help="send pictures to the board, not latents: it computes these itself"
    )
    text = "file of the learner (default: %(default)s)"
    parser.add_argument("-o", "--out", type=Path, default=Path("me.safetensors"), help=text)
    options.add_micropython(parser)
    parser.add_argument("--cache", type=Path, default=paths.LATENTS, help="for latents (default: %(default)s)")


def share(text: str) -> float:
    """--test as a fraction."""
    if not re.fullmatch(r"\d{1,2}(\.\d+)?%", text):
        raise argparse.ArgumentTypeError(f"must be a share such as 20%, less than 100%, got {text!r}")
    return float(text[:-1]) / 100


def run(args: argparse.Namespace) -> None:
    if not 1 <= args.seed < 1 << 32:
        raise UserError("--seed must be 1..4294967295")
    if args.on_board and args.board == HERE:
        raise UserError("--on-board needs a board: add --board auto, a port, or emulated")
    places = Places(options.micropython(args), paths.DATA, args.cache)
    picture = args.out.with_suffix(PICTURE)
    _check_out(args, picture)
    before = state.content(args.out) if args.add else None
    args.model = args.model or _model(args)
    settings, data = _settings(args), _data(args)
    taught = lesson.prepare(args.model, args.out if args.add else None, settings, args.epochs, data, args.seed)
    count, kept_back = len(taught.rows), len(taught.tested)
    classes = f"{len(data.names)} class{'es' * (len(data.names) > 1)}"
    print(f"{classes}, {count + kept_back} {data.what}: {count} to learn, {kept_back} held back", flush=True)
    with contextlib.ExitStack() as stack:
        pupil = _pupil(args, taught, stack)
        kept = lesson.latents(taught, places)
        taught = lesson.without_known(taught, kept)
        result, content = lesson.teach(taught, kept, places.micropython)
        if pupil:
            pupil.lesson = taught
            pupil.check_room(len(content))
            seconds = pupil.teach(taught.data.images if args.on_board else kept)
            result |= {"seconds": seconds, "there": pupil.path}
        if state.content(args.out) != before:
            args.out, picture = _beside(args.out)
        try:
            held(_save, args.out, content, pupil)
            _tell(args, taught, result, content, picture)
        except KeyboardInterrupt:
            print(f"\n{args.out} is saved; Ctrl-C came after that", file=sys.stderr)
            raise


def _pupil(args: argparse.Namespace, taught: lesson.Lesson, stack: contextlib.ExitStack) -> on_board.Pupil | None:
    """The learner on the board, if there is one."""
    if args.board == HERE:
        return None
    name, emulated = upload.file_name(args.out.name), args.board == "emulated"
    board = stack.enter_context(connected(emulated, None if emulated else args.board))
    return on_board.Pupil(board, taught, name, args.on_board)


def _save(out: Path, content: bytes, pupil: on_board.Pupil | None) -> None:
    """There and here: what held() does not let Ctrl-C divide."""
    if pupil:
        pupil.save(content)
    paths.replace(out, content)


def _check_out(args: argparse.Namespace, picture: Path) -> None:
    """UserError if a file would be lost, or cannot be written."""
    options.check_out(args.out)
    if args.out.suffix != paths.SUFFIX:
        raise UserError(f"-o {args.out}: its name must end with {paths.SUFFIX}")
    if args.add and not args.out.exists():
        raise UserError(f"{args.out} is not there, and --add goes on with it: leave --add out, or name it with -o")
    instead = {args.out: "--add goes on with that learner", picture: "remove it"}
    for path in () if args.add else instead:
        if path.exists() or path.is_symlink():
            raise UserError(f"{path} is there already: {instead[path]}, or name another file with -o")


def _beside(out: Path) -> tuple[Path, Path]:
    """Names for a learner and its picture, where another command has just written to that of -o."""
    for number in itertools.count(2):
        path = out.with_name(f"{out.stem}-{number}{out.suffix}")
        picture = path.with_suffix(PICTURE)
        if not path.exists() and not picture.exists():
            print(f"{out} was changed meanwhile, and is left as it is: this learner goes to {path}", file=sys.stderr)
            return path, picture
    raise AssertionError


def _model(args: argparse.Namespace) -> Path:
    """That of the learner that goes on; else the shipped one for what is in the folder."""
    if args.add:
        return state.model_of(args.out, None)
    there = labelled.kind(args.folder) if args.folder.is_dir() else labelled.PICTURES
    name = next((name for name, kind in labelled.WANTED.items() if kind is there), None)
    if name:
        print(f"{args.folder} has {there.name}, so the model is {name}; --model takes another one")
    return paths.model(name or paths.BACKBONE)


def _settings(args: argparse.Namespace) -> dict:
    """Keyword arguments of a new learner, or what is to grow of an old one."""
    given = {name: getattr(args, name) for name in ("replay", "fresh") if getattr(args, name) is not None}
    if args.add:
        if args.train is not None or args.channels != 1:
            raise UserError("--train and --channels were fixed when the learner was made: leave them out with --add")
        return given
    net = models.load(args.model)
    return (
        bench.sizes(net) | given | {"train": "head" if args.train is None else args.train, "channels": args.channels}
    )


def _data(args: argparse.Namespace) -> labelled.Labelled:
    net = models.load(args.model)
    wanted = labelled.WANTED.get(net.name)
    if wanted and args.folder.is_dir() and (there := labelled.kind(args.folder)) is not wanted:
        told = f"{net.name} takes {wanted.name} ({', '.join(wanted.suffixes)}), not {there.name}"
        raise UserError(f"{told}: choose another --model")
    if args.test is not None and args.folder.is_dir() and labelled.parts(args.folder):
        raise UserError(f"{args.folder} has its own folder test: leave --test out")
    with as_user_error():
        test = 0.2 if args.test is None else args.test
        return labelled.load_split(args.folder, net.image_shape, test, args.seed, args.units)


def _tested(taught: lesson.Lesson, result: dict) -> tuple[np.ndarray, np.ndarray]:
    """Of the test: what each is, and was taken for, as numbers of the learner's labels."""
    numbers = np.array([result["labels"].index(name) for name in taught.data.names])
    return numbers[taught.data.labels[taught.tested]], np.array(result["predicted"], int)


def _tell(args: argparse.Namespace, taught: lesson.Lesson, result: dict, content: bytes, picture: Path) -> None:
    """What is printed at the end, and the plot."""
    lines, names = [], [printable(str(label)) for label in result["labels"]]
    found = confusion.matrix(*_tested(taught, result), len(names))
    if found.sum():
        told = f"accuracy on what was held back: {confusion.accuracy(found)}"
        lines = ["", confusion.describe(found, names), "", told]
    where = " on the board, with what was sent" if "there" in result else ""
    lines.append(f"taught in {result['seconds']:.2f} s{where}")
    lines.append(f"{args.out}: {len(content)} bytes, digest {result['digest'][:16]}")
    if "there" in result:
        lines.append(f"{result['there']}: the same on the board, every bit as it was learned here")
    print("\n".join(lines), flush=True)
    if found.sum():
        with tempfile.TemporaryDirectory() as folder:
            drawn = Path(folder) / picture.name
            confusion.plot(drawn, found, names)
            paths.replace(picture, drawn.read_bytes())
        print(picture)
