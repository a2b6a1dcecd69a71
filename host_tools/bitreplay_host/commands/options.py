"""Options that several commands have."""

from __future__ import annotations

import argparse
import json
import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import bitreplay
from bitreplay import trainer

from .. import paths
from ..errors import UserError, as_user_error
from ..experiments.latents import Places

LATENT_HELP = (
    "where the model is cut; the layers above can be trained on a board: block0, block1, ..., at the bits of this "
    "block; latent, at those after the last"
)
MODEL = "a file, or the name of a shipped model, see `bitreplay models`"


LONGEST_NAME = 200  # bytes: those of temporary files are longer


def add_model(parser: argparse.ArgumentParser, name: str = "--model", **more: Any) -> None:
    """--model, or an argument with another name."""
    text = f"{MODEL} (default: %(default)s)"
    parser.add_argument(name, type=paths.model, default=paths.BACKBONE, help=text, **more)


def add_port(parser: argparse._ActionsContainer, default: str | None = "auto") -> None:
    """--port; without a default there need not be a board."""
    text = "a board's port: /dev/ttyACM0, COM3, socket://host:port, id:SERIAL; auto, the first one on USB"
    parser.add_argument("--port", default=default, help=text + (" (default)" if default else ""))


def add_micropython(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--micropython", type=Path, help="the unix port (default: what `make unix` built)")


def micropython(args: argparse.Namespace) -> Path:
    """The unix port that is named, or that was built."""
    return args.micropython or paths.built("unix/micropython", "unix", "name it with --micropython")


def add_train(parser: argparse._ActionsContainer, default: str = "1, or head if the model has none") -> None:
    """What train() reads."""
    text = "layers to train: head, all, or how many binary layers from the top"
    parser.add_argument("--train", type=layers, help=f"{text} (default: {default})")
    text = "share of their output channels to train, above 0 and at most 1 (default: %(default)s)"
    parser.add_argument("--channels", type=float, default=1.0, help=text)


def layers(text: str) -> str | int:
    """--train as a Learner takes it, who checks it."""
    return int(text) if text.isdecimal() and len(text) < 10 else text


def train(args: argparse.Namespace, net: bitreplay.Network) -> dict[str, Any]:
    """Keyword arguments of Learner. UserError if the model has no such layers."""
    chosen = min(1, trainer.most(net)) if args.train is None else args.train
    learner = {"train": chosen, "channels": args.channels}
    with as_user_error():
        bitreplay.Learner(net, replay=0, fresh=1, **learner)
    return learner


def add_data(parser: argparse.ArgumentParser, name: str = "--data") -> None:
    parser.add_argument(name, type=Path, default=paths.DATA, help="folder of the datasets (default: %(default)s)")


def add_places(parser: argparse.ArgumentParser) -> None:
    """What places() reads."""
    add_micropython(parser)
    add_data(parser)
    parser.add_argument(
        "--cache", type=Path, default=paths.LATENTS, help="folder of computed latents (default: %(default)s)"
    )


def places(args: argparse.Namespace) -> Places:
    return Places(micropython(args), args.data, args.cache)


def add_units(parser: argparse.ArgumentParser) -> None:
    """units of labelled.load()."""
    text = "of CSV files: of each sensor, how much of a reading is one of 256 levels (default: 256 128, an MPU-6050)"
    parser.add_argument("--units", type=_unit, nargs="+", metavar="U", help=text)


def _unit(text: str) -> float:
    """A number, or a fraction. Integers stay such, as boards compute with them."""
    try:
        value = Fraction(text) if "/" not in text else Fraction(*map(Fraction, text.split("/", 1)))
        return value.numerator if value.denominator == 1 else float(value)
    except (ValueError, ZeroDivisionError, OverflowError):
        raise argparse.ArgumentTypeError(f"must be a number such as 128, 0.5 or 1/64, got {text!r}") from None


def add_out(parser: argparse.ArgumentParser) -> None:
    """What check_result() and write() read."""
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the result as JSON")


def check_out(path: Path | None) -> None:
    """UserError if a file, unless it is None, cannot be written: told before the minutes that its content may take."""
    if path is None:
        return
    if path.is_dir():
        raise UserError(f"{path} is a folder: name a file in it")
    if len(os.fsencode(path.name)) > LONGEST_NAME:
        raise UserError(f"{path.name}: a file's name can have {LONGEST_NAME} bytes; choose a shorter one")
    if not path.exists():
        paths.make_folder(path.parent)
    elif not os.access(path, os.W_OK):
        raise UserError(f"{path} cannot be written: choose another file")


def check_new(path: Path | None) -> None:
    """check_out() for what may replace nothing."""
    if path is not None and (path.exists() or path.is_symlink()):
        raise UserError(f"{path} is there already: name another file with -o")
    check_out(path)


def check_result(path: Path | None) -> None:
    """check_out() for a result as JSON, which may replace another one, and nothing else."""
    check_out(path)
    if path is None or not path.exists():
        return
    try:
        json.loads(path.read_text() if path.is_file() else "")
    except ValueError:  # no JSON, or no text
        raise UserError(f"{path} is there already, and no result of a command: choose another file") from None


def write(args: argparse.Namespace, result: dict) -> None:
    """Writes a result as JSON if --out was given, and says so."""
    if args.out:
        paths.replace(args.out, (json.dumps(result, indent=1) + "\n").encode())
        print(f"\n{args.out}")
