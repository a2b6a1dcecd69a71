"""Say what a model and a learner take on a board: RAM by formula and as measured, and flash.

Puts the model on the board, unless it is there, loads it, makes a learner with the settings that are given, and looks
at the heap before and after. Nothing that a learner needs is allocated later.
"""

from __future__ import annotations

import argparse

from .. import models
from ..device.connect import connected
from ..measure import memory
from . import options

EPILOG = """examples:
  bitreplay report                              the first board on USB
  bitreplay report --board emulated             an emulated Pico
  bitreplay report --replay 800 --no-conv       without training the binary layer
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    where = parser.add_mutually_exclusive_group()
    options.add_port(where)
    where.add_argument("--board", choices=["emulated"], help="an emulated Pico instead of a board")
    options.add_model(parser)
    parser.add_argument("--replay", type=int, default=500, help="latents in the replay memory (default: %(default)s)")
    parser.add_argument(
        "--fresh", type=int, default=100, help="samples before a learn(), at most (default: %(default)s)"
    )
    parser.add_argument("--classes", type=int, default=10, help="most labels (default: %(default)s)")
    parser.add_argument("--no-conv", action="store_true", help="do not train the binary layer")
    options.add_out(parser)


def run(args: argparse.Namespace) -> None:
    models.load(args.model)
    options.check_out(args.out)
    learner = {name: getattr(args, name) for name in ("replay", "fresh", "classes")} | {"conv": not args.no_conv}
    with connected(args.board == "emulated", args.port) as board:
        found = memory.measure(board, args.board == "emulated", args.model, learner)
    print(memory.describe(found))
    options.write(args, found)
