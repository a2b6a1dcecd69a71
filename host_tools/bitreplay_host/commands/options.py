"""Options that several commands have."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from .. import paths
from ..experiments.latents import Places

MODEL = "a file, or the name of a shipped model, see `bitreplay models`"


def add_model(parser: argparse.ArgumentParser, name: str = "--model", **more: Any) -> None:
    """--model, or an argument with another name."""
    text = f"{MODEL} (default: %(default)s)"
    parser.add_argument(name, type=paths.model, default=paths.BACKBONE, help=text, **more)


def add_port(parser: argparse._ActionsContainer, default: str | None = "auto") -> None:
    """--port; without a default there need not be a board."""
    text = "of a board: /dev/ttyACM0, COM3, socket://host:port, id:SERIAL; auto, the first one on USB"
    parser.add_argument("--port", default=default, help=text + (" (default)" if default else ""))


def add_micropython(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--micropython", type=Path, help="the unix port (default: what `make unix` built)")


def micropython(args: argparse.Namespace) -> Path:
    """The unix port that is named, or that was built."""
    return args.micropython or paths.built("unix/micropython", "unix", "name it with --micropython")


def add_data(parser: argparse.ArgumentParser, name: str = "--data") -> None:
    parser.add_argument(name, type=Path, default=paths.DATA, help="folder of the datasets (default: %(default)s)")


def add_places(parser: argparse.ArgumentParser) -> None:
    """What places() reads."""
    add_micropython(parser)
    add_data(parser)
    parser.add_argument("--cache", type=Path, default=paths.LATENTS, help="for latents (default: %(default)s)")


def places(args: argparse.Namespace) -> Places:
    return Places(micropython(args), args.data, args.cache)


def add_out(parser: argparse.ArgumentParser) -> None:
    """What write() reads."""
    parser.add_argument("--out", type=Path, metavar="FILE", help="write what is printed as JSON, too")


def write(args: argparse.Namespace, result: dict) -> str:
    """Writes a result as JSON if --out was given; returns what to print of that."""
    if not args.out:
        return ""
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=1) + "\n")
    return f"\n\n{args.out}"
