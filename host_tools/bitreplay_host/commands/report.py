"""Measure what a model and a learner take on a board: RAM, by formula and as measured, and flash.

Puts the model on the board unless it is there, loads it, makes a learner with the given settings, and compares the
heap before and after. A learner allocates everything when it is made. The formula has the learner's buffers; measured
bytes include Python's objects. `bitreplay plan` predicts bytes and times of other settings, without a board: its
bytes are the sum of this command's formulas for the model and the learner.
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
  bitreplay report --replay 800 --train head    without training binary layers
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
    options.add_train(parser)
    options.add_out(parser)


def run(args: argparse.Namespace) -> None:
    trained = options.train(args, models.load(args.model))
    options.check_result(args.out)
    learner = {name: getattr(args, name) for name in ("replay", "fresh", "classes")} | trained
    with connected(args.board == "emulated", args.port) as board:
        found = memory.measure(board, args.board == "emulated", args.model, learner)
    print(memory.describe(found))
    options.write(args, found)
